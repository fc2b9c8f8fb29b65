"""minipod: Kubernetes Pods as plain Linux processes on one machine."""

__version__ = "0.1.0"
