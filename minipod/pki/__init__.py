"""The node's own certificates: a local authority, what the API shows its clients, and what clients show it.

certificates.py   making and judging certificates: values in, values out
directory.py      data_dir/pki: made once, renewed in time, never half written
__main__.py       the same in a process of its own, so that the daemon need not hold the library
serving.py        the daemon's TLS context, kept fresh
"""
