"""What happened to pods, kept on disk: past restarts of containers, daemon and machine, and past deletion."""
