"""Lists in pages (limit and continue): all pages of one list show the same moment.

The first page's snapshot is kept for the pages that follow: a list of references, which costs little. Few are kept,
the oldest goes first, and whoever comes too late is told to list again (410), as etcd's compaction has taught clients.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count

from minipod.api import codec, errors
from minipod.apiserver.registry.registry import Listing
from minipod.storage.interface import Stored

MAX_SNAPSHOTS = 16


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list and its ListMeta as JSON."""

    items: list[Stored]
    metadata: bytes


class Pager:
    """Cuts listings into pages and remembers what is to come."""

    def __init__(self) -> None:
        self._snapshots: OrderedDict[int, Listing] = OrderedDict()
        self._ids = count(1)

    def first(self, listing: Listing, limit: int) -> Page:
        """`limit` 0: all of it."""
        if not limit or len(listing.items) <= limit:
            return Page(listing.items, list_metadata(listing.version))
        snapshot = next(self._ids)
        self._snapshots[snapshot] = listing
        while len(self._snapshots) > MAX_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return self._page(snapshot, listing, 0, limit)

    def next(self, token: str, limit: int) -> Page:
        """The page a `continue` token stands for. Raises StatusError 400 and 410."""
        snapshot, start = _read_token(token)
        listing = self._snapshots.get(snapshot)
        if listing is None:
            raise errors.expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You must start a new list without the continue parameter."
            )
        return self._page(snapshot, listing, start, limit or len(listing.items))

    def _page(self, snapshot: int, listing: Listing, start: int, limit: int) -> Page:
        end = start + limit
        left = len(listing.items) - end
        if left <= 0:
            self._snapshots.pop(snapshot, None)
            return Page(listing.items[start:], list_metadata(listing.version))
        metadata = list_metadata(listing.version, _write_token(snapshot, end), left)
        return Page(listing.items[start:end], metadata)


def list_metadata(version: int, token: str = "", left: int = 0) -> bytes:
    """A ListMeta as JSON."""
    found: dict[str, str | int] = {"resourceVersion": str(version)}
    if token:
        found |= {"continue": token, "remainingItemCount": left}
    return codec.encode(found)


def _write_token(snapshot: int, start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([snapshot, start]).encode()).decode()


def _read_token(token: str) -> tuple[int, int]:
    try:
        snapshot, start = json.loads(base64.urlsafe_b64decode(token.encode()))
        if isinstance(snapshot, int) and isinstance(start, int) and start > 0:
            return snapshot, start
    except (ValueError, TypeError, binascii.Error):
        pass
    raise errors.bad_request("continue key is not valid")
