"""What is known of a pod's containers (records.py), and what the API shows of it (generate.py, pure; manager.py)."""
