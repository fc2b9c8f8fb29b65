"""The objects named with -f: files, directories, standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from minipod.api.documents import Document, DocumentError, parse
from minipod.cli.errors import CommandError

SUFFIXES = (".json", ".yaml", ".yml")


def read_objects(filenames: Iterable[str], *, recursive: bool = False) -> list[Document]:
    """Every object of every file, in order; all files are read before the first object is used.

    Raises CommandError for what cannot be read and DocumentError (with file:line:column) for what is no manifest.
    """
    documents = [document for name in filenames for document in _read(name, recursive=recursive)]
    if not documents:
        raise CommandError("no objects passed: the files named with -f hold none")
    for document in documents:
        _require_head(document)
    return documents


def _read(name: str, *, recursive: bool) -> Iterator[Document]:
    if name == "-":
        yield from parse(_decode(sys.stdin.buffer.read(), "standard input"), "standard input")
    elif "://" in name:
        raise CommandError(f"{name}: fetching manifests is not supported; download the file and name it")
    else:
        for path in _expand(Path(name), recursive=recursive):
            yield from parse(_decode(_bytes_of(path), str(path)), str(path))


def _expand(path: Path, *, recursive: bool) -> list[Path]:
    """The manifests in a directory, by name; a file is taken whatever it is called."""
    if not path.exists():
        raise CommandError(f'the path "{path}" does not exist')
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.iterdir()
    files = sorted(p for p in found if p.suffix in SUFFIXES and p.is_file())
    if not files:
        hint = "" if recursive else " (-R also looks into its directories)"
        raise CommandError(f'the directory "{path}" holds no {", ".join(SUFFIXES)} file{hint}')
    return files


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(f"{source}: byte {error.start} is not UTF-8: this is no manifest") from error


def _require_head(document: Document) -> None:
    """apiVersion and kind decide what the rest means."""
    for key in ("apiVersion", "kind"):
        value = document.value.get(key)
        if not isinstance(value, str) or not value:
            problem = "is not set" if value is None else "must be a string"
            raise DocumentError(f"{document.source}:{document.line}: {key} {problem}")
    if not isinstance(document.value.get("metadata", {}), dict):
        raise DocumentError(f"{document.source}:{document.line}: metadata must be an object")
