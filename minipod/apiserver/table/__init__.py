"""Tables: what `get` prints, made by the server so that every client prints the same (meta.k8s.io/v1 Table)."""
