"""The node agent: makes the processes on this machine match the Pods assigned to it, and reports back.

Reading order: actions.py (what to do next, pure) - pod_worker.py (does it, one per pod) - kubelet.py
(feeds the workers) - status/generate.py (what the API shows, pure).
"""
