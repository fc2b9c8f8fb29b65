"""Garbage collection: images that no container uses, and ended attempts at containers."""
