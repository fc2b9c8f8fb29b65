"""Keeps the node alive when memory, disk or process ids run out: it frees what nobody needs, then ends pods."""
