"""Unpacked layers on disk: one directory per chain ID, shared by all images that have that layer on those below it.

By chain and not by content alone, because unpacking looks at the layers below (implied directories, whiteouts), and
because overlayfs refuses the same lowerdir twice in one mount.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from minipod.linux.tree import remove_tree

_INFO = "layer.json"
_TREE = "fs"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerInfo:
    """Kept beside a layer. Its being there says that the layer is whole."""

    diff_id: str
    size: int
    """Bytes of its files."""


class LayerDirectory:
    """Layers in one directory. `trash` is a directory on the same file system that is emptied at start."""

    def __init__(self, directory: Path, trash: Path) -> None:
        self.directory = directory
        self._trash = trash

    def tree(self, chain_id: str) -> Path:
        """The overlay lowerdir."""
        return self._home(chain_id) / _TREE

    def info(self, chain_id: str) -> LayerInfo | None:
        """None when the layer is not here."""
        try:
            found = json.loads((self._home(chain_id) / _INFO).read_bytes())
            return LayerInfo(diff_id=found["diff_id"], size=found["size"])
        except FileNotFoundError:
            return None

    def begin(self, chain_id: str) -> Path:
        """Make the empty directory a layer is to be unpacked into."""
        tree = self.tree(chain_id)
        tree.mkdir(parents=True)
        return tree

    def complete(self, chain_id: str, info: LayerInfo) -> None:
        (self._home(chain_id) / _INFO).write_text(json.dumps(asdict(info)))

    def adopt(self, chain_id: str, other: LayerDirectory) -> bool:
        """Take over a complete layer of another directory; False when there is one already."""
        home = self._home(chain_id)
        if self.info(chain_id):
            return False
        if home.exists():
            self.delete(chain_id)
        other._home(chain_id).rename(home)
        return True

    def delete(self, chain_id: str) -> None:
        """In two steps, so that no half a layer is ever left behind under its name."""
        grave = self._trash / secrets.token_hex(8)
        self._home(chain_id).rename(grave)
        remove_tree(grave)

    def chain_ids(self) -> Iterator[str]:
        """Of all layers there are."""
        for path in self.directory.iterdir():
            yield f"sha256:{path.name}"

    def _home(self, chain_id: str) -> Path:
        return self.directory / chain_id.removeprefix("sha256:")
