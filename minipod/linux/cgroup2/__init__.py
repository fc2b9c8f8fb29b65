"""cgroup v2: the hierarchy and one module per controller (kernel doc admin-guide/cgroup-v2)."""
