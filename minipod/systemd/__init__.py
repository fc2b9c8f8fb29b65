"""minipod as a service of systemd: its units, and what becomes of pods when it is stopped."""
