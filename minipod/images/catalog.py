"""The images there are, in memory: looking one up by what users write. Pure; a change makes a new catalog."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minipod.images import reference
from minipod.images.content import Content
from minipod.images.errors import ImageNotFoundError, InvalidReferenceError
from minipod.images.layout import Record
from minipod.images.types import Image

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_SHORT_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,63})")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image with what it consists of."""

    image: Image
    content: Content


@dataclass(frozen=True, slots=True)
class Removal:
    """What taking a name away comes to."""

    image: Image
    records: tuple[Record, ...]
    """Those that go."""


class Catalog:
    """`entries` by the digest of their target; every record's target is among them."""

    def __init__(self, records: Sequence[Record], entries: Mapping[str, Entry]) -> None:
        self.records = tuple(records)
        self.entries = dict(entries)
        self._by_name = {r.name: self.entries[r.target.digest].image for r in records if r.name}
        self._by_digest: dict[str, Image] = {}
        for entry in self.entries.values():
            for digest in (entry.image.id, *(d.digest for d in entry.content.documents)):
                self._by_digest.setdefault(digest, entry.image)

    def images(self) -> list[Image]:
        """By name, those without names last."""
        found = [entry.image for entry in self.entries.values()]
        return sorted(found, key=lambda image: (not image.names, image.names, image.id))

    def resolve(self, text: str) -> Image | None:
        """The image of a name, name@digest, digest or full ID."""
        if match := _ID.fullmatch(text):
            return self._by_digest.get(f"sha256:{match[1]}")
        try:
            wanted = reference.parse(text)
        except InvalidReferenceError:
            return None
        if not wanted.digest:
            return self._by_name.get(str(wanted))
        image = self._by_digest.get(wanted.digest)
        return image if image and any(_in(wanted.repository, name) for name in image.names) else None

    def removal(self, text: str) -> Removal:
        """What removing by that name, digest, ID or start of an ID means. Raises ImageNotFoundError."""
        image = self.resolve(text) or self._by_short_id(text)
        if image is None:
            raise ImageNotFoundError(text)
        records = [r for r in self.records if r.target.digest == image.digest]
        try:
            wanted = reference.parse(text)
        except InvalidReferenceError:
            return Removal(image, tuple(records))
        named = [r for r in records if r.name == str(wanted)]
        if wanted.digest:
            named = [r for r in records if _in(wanted.repository, r.name)]
        return Removal(image, tuple(named or records))

    def _by_short_id(self, text: str) -> Image | None:
        match = _SHORT_ID.fullmatch(text)
        found = {
            image.id: image
            for image in self._by_digest.values()
            if match and image.id.startswith(f"sha256:{match[1]}")
        }
        return next(iter(found.values())) if len(found) == 1 else None


def merge(old: Sequence[Record], new: Sequence[Record], ids: Mapping[str, str]) -> list[Record]:
    """Records after new images came: a name belongs to the image that came last. See tidy for `ids`."""
    taken = {r.name for r in new if r.name}
    kept = [r for r in old if r.name not in taken]
    lost = [Record("", r.target, leftover=True) for r in old if r.name in taken]
    return tidy([*new, *kept, *lost], ids)


def tidy(records: Sequence[Record], ids: Mapping[str, str]) -> list[Record]:
    """Each image with its names, or with one nameless record.

    A leftover stays only when no other record leads to the same image: `ids` has the image's ID for every target's
    digest (an image compressed in another way has another target).
    """
    named = {r.target.digest for r in records if r.name}
    wanted = {ids[r.target.digest] for r in records if not r.leftover}
    found: dict[tuple[str, str], Record] = {}
    for record in records:
        digest = record.target.digest
        superfluous = ids[digest] in wanted if record.leftover else not record.name and digest in named
        if not superfluous:
            found[record.name, digest] = record
    return list(found.values())


def same(one: Sequence[Record], other: Sequence[Record]) -> bool:
    """Whether they say the same, in whatever order."""
    return _keys(one) == _keys(other)


def _keys(records: Sequence[Record]) -> set[tuple[str, str, bool]]:
    return {(r.name, r.target.digest, r.leftover) for r in records}


def _in(repository: str, name: str) -> bool:
    return name.startswith((f"{repository}:", f"{repository}@"))
