"""What every test has: nothing yet but the rule that root tests say why they are skipped."""
