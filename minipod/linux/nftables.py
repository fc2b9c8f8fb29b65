"""nftables by way of nft(8): rules as text, one call is one transaction.

The text grammar is nft's stable interface (its JSON cannot express maps of concatenations in 1.0.6). The kernel
applies a script wholly or not at all. Rules land in the network namespace of the calling thread. Starting nft costs
some 5 ms, so callers collect changes into one script.
"""

from __future__ import annotations

import re

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
"""Names of tables, chains and maps that need no thought about quoting."""
