"""What may be done to objects, whoever asks: over HTTP or in the same process, the rules are applied here."""
