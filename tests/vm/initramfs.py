"""The guest's first user space: a static busybox, a handful of modules, and a script that finds the root.

Made of Debian's own packages (a kernel, busybox-static) and cached by the content of what goes into it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

MODULES = ("virtio_pci", "virtiofs", "virtio_blk", "overlay", "ext4")
GUEST = Path(__file__).parent / "guest"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel image and the modules that belong to it."""

    image: Path
    version: str

    @classmethod
    def newest(cls) -> Kernel:
        """The newest one installed. Raises FileNotFoundError."""
        images = sorted(Path("/boot").glob("vmlinuz-*"), key=lambda p: _version_key(p.name))
        if not images:
            raise FileNotFoundError("no /boot/vmlinuz-*: apt-get install linux-image-cloud-amd64")
        return cls(images[-1], images[-1].name.removeprefix("vmlinuz-"))

    def modules(self) -> list[Path]:
        """The files of MODULES and of what they need, in the order to load them; built-in ones have none."""
        found: dict[Path, None] = {}
        for name in MODULES:
            shown = subprocess.run(
                ["modprobe", "-S", self.version, "--show-depends", name],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for line in shown.splitlines():
                word, _, path = line.partition(" ")
                if word == "insmod":
                    found[Path(path.strip())] = None
        return list(found)


def build(kernel: Kernel, cache: Path) -> Path:
    """The compressed cpio archive, made anew only when something in it has changed."""
    parts = {"bin/busybox": Path("/bin/busybox"), "init": GUEST / "init.sh"}
    for number, module in enumerate(kernel.modules(), 10):
        parts[f"modules/{number}-{module.name}"] = module
    digest = hashlib.sha256()
    for name, path in parts.items():
        digest.update(name.encode() + b"\0" + path.read_bytes())
    made = cache / f"initramfs-{digest.hexdigest()[:16]}.cpio"
    if not made.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _archive(parts, made)
    return made


def _archive(parts: dict[str, Path], target: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("proc", "sys", "dev", "host", "upper", "new"):
            (root / name).mkdir()
        for name, path in parts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / name)
        (root / "init").chmod(0o755)
        names = "\n".join(sorted(str(p.relative_to(root)) for p in root.rglob("*")))
        fresh = target.with_suffix(f".{os.getpid()}")
        with fresh.open("wb") as out:
            subprocess.run(
                ["cpio", "--create", "--format=newc", "--quiet"],
                input=names.encode(),
                stdout=out,
                cwd=root,
                check=True,
            )
        fresh.rename(target)


def _version_key(name: str) -> list[tuple[int, str]]:
    """Sorts as `sort -V` does: numbers by value."""
    parts: list[tuple[int, str]] = []
    number = ""
    for character in f"{name} ":
        if character.isdigit():
            number += character
            continue
        if number:
            parts.append((int(number), ""))
            number = ""
        parts.append((-1, character))
    return parts
