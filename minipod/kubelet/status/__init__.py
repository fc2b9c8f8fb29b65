"""What the API shows of a pod: computed by generate.py (pure), written by manager.py."""
