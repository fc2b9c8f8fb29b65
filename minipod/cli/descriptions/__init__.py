"""Objects told at length, in kubectl's layout: one module a kind, each a pure function from an object to text."""
