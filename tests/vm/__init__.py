"""Tests in a virtual machine: a real Debian kernel with systemd as PID 1 and every cgroup v2 controller."""
