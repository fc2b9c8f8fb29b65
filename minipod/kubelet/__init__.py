"""The node agent: makes the processes on this machine match the Pods assigned to it, and reports back.

The rooms, in reading order:

    pods/           the life of one pod: actions.py decides what to do next (pure), pod_worker.py does it
    containers/     from Pod and image to what the runtime is asked for: pure
    volumes/        what containers share on disk, and how it is made, owned and removed safely
    prober/         asks running containers how they are; its handlers are what lifecycle hooks run, too
    status/         what is on record of a pod's containers, and what the API shows of it
    eviction/       who has to go: when the node runs short, or for having written more than allowed
    gc/             which images and ended attempts at containers are deleted, and when
    history/        what happened to each pod, kept on disk past its deletion, and why it is not Ready
    server/         what the API server asks of a node: logs, exec, attach, the node's own pages
    shutdown/       a shutdown of the machine: who ends when, and the lock that delays it
    kubelet.py      feeds the workers, adopts what runs, registers the node (node_status.py, host_facts.py);
                    arrivals.py starts in order what was there before
"""
