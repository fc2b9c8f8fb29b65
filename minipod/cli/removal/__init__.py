"""Taking minipod off a host: what there is (survey), taking it away (actions)."""
