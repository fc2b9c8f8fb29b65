"""HTTP: from a request's bytes to the registry and back, as Kubernetes' API conventions have it."""
