"""The API server: Kubernetes' HTTP on top of a registry of objects. It knows nodes only as connections."""
