"""The node agent: makes the processes on this machine match the Pods assigned to it, and reports back.

Reading order:

    actions.py                  what to do next with a pod, pure; backoff.py and records.py with it
    pod_worker.py               does it, one worker per pod: sandbox.py, container_starter.py, termination.py
    container_config.py         from Pod and image to what the runtime is asked for, pure: environment.py, process.py,
                                security_context.py, oci_mounts.py, cgroups.py, dns.py, pod_files.py
    volumes/                    what containers share on disk, and how it is made, owned and removed safely
    status/generate.py          what the API shows, pure; pod_reporter.py and status/manager.py bring it there
    kubelet.py                  feeds the workers, adopts what runs, registers the node (node_status.py)
    server.py                   what the API server asks of a node: logs.py, node_pages.py, anatomy.py
"""
