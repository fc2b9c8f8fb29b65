"""Names, labels, annotations and owners: what holds for the metadata of every object."""
