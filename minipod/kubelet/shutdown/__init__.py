"""A shutdown of the machine, made gentle: pods get time to end, the important ones last (KEP-2000, KEP-2712)."""
