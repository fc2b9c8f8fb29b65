"""A pod's volumes: manager.py plans them (pure) and makes them; one file per volume type."""
