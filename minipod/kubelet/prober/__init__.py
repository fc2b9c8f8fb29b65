"""Probes of running containers, and the handlers that probes and lifecycle hooks share."""
