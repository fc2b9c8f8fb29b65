"""Whether a host has what pods need: what is asked (checks), how it is found out (facts, trials)."""
