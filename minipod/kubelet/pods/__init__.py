"""The life of one pod on this node, from admission to the last trace: decided in actions.py, done by pod_worker.py."""
