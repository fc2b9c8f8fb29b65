"""Values of types.py (and whatever is built from them) as JSON, for channels and for state files.

Decoding is strict: a field that is missing, unknown or of another type is a ProtocolError that names it. The field
types that may occur are the closed list in _CONVERTERS, keyed by their annotation; anything else fails at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from minipod.runtime.errors import ProtocolError
from minipod.runtime.types import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    ExecConfig,
    ExitRecord,
    NamespaceMode,
    OverlayRootfs,
    ProcessExit,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
    StartFailure,
    SubPathMount,
    TmpfsMount,
)

T = TypeVar("T")
Converter = Callable[[Any], Any]


def encode(value: object) -> bytes:
    """Compact JSON of builtins, paths, enums and dataclasses."""
    return _ENCODER.encode(value).encode()


def decode(cls: type[T], data: object) -> T:
    """A dataclass from its JSON object. Raises ProtocolError."""
    if not isinstance(data, dict):
        raise ProtocolError(f"{cls.__name__}: expected an object, got {type(data).__name__}")
    plan = _plan(cls)
    unknown = data.keys() - plan.keys()
    if unknown:
        raise ProtocolError(f"{cls.__name__}: unknown fields {sorted(unknown)}")
    values = {}
    for name, (convert, required) in plan.items():
        if name in data:
            values[name] = _convert(cls, name, convert, data[name])
        elif required:
            raise ProtocolError(f"{cls.__name__}.{name}: missing")
    return cls(**values)


def parse(data: bytes) -> Any:
    """JSON text as builtins. Raises ProtocolError."""
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error


def register(cls: type, annotation: str = "") -> None:
    """Let `cls` (a dataclass) be a field's type, and optional or in a tuple."""
    name = annotation or cls.__name__
    _CONVERTERS[name] = lambda value: decode(cls, value)
    _CONVERTERS[f"{name} | None"] = lambda value: None if value is None else decode(cls, value)
    _CONVERTERS[f"tuple[{name}, ...]"] = lambda value: tuple(decode(cls, item) for item in _list(value))


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is not None:
        return {name: getattr(value, name) for name in names}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"cannot send a {type(value).__name__}")


_ENCODER = json.JSONEncoder(default=_plain, separators=(",", ":"), check_circular=False)
_DECODER = json.JSONDecoder()
_PLANS: dict[type, dict[str, tuple[Converter, bool]]] = {}


def _plan(cls: Any) -> dict[str, tuple[Converter, bool]]:
    """Field name -> (converter, whether it must be there), worked out once per class."""
    plan = _PLANS.get(cls)
    if plan is None:
        plan = _PLANS[cls] = {
            f.name: (_CONVERTERS[f.type], f.default is MISSING and f.default_factory is MISSING)
            for f in fields(cls)
        }
    return plan


def _convert(cls: type, name: str, convert: Converter, value: object) -> object:
    try:
        return convert(value)
    except ProtocolError:
        raise
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"{cls.__name__}.{name}: {error}") from error


def _exactly(kind: type) -> Converter:
    def check(value: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return check


_str = _exactly(str)
_dict = _exactly(dict)
_list = _exactly(list)


def _member(kind: type[Enum]) -> Converter:
    members = {member.value: member for member in kind}

    def convert(value: object) -> Enum:
        if not isinstance(value, str) or value not in members:
            raise ValueError(f"{value!r} is not a valid {kind.__name__}")
        return members[value]

    return convert


def _path(value: object) -> Path:
    return Path(_str(value))


def _strings(value: object) -> dict[str, str]:
    return {key: _str(item) for key, item in _dict(value).items()}


_CONVERTERS: dict[Any, Converter] = {
    "str": _str,
    "int": _exactly(int),
    "bool": _exactly(bool),
    "Path": _path,
    "Mapping[str, str]": _strings,
    "Mapping[str, Any]": _dict,
    "tuple[str, ...]": lambda value: tuple(_str(item) for item in _list(value)),
    "tuple[Path, ...]": lambda value: tuple(_path(item) for item in _list(value)),
    "NamespaceMode": _member(NamespaceMode),
    "SandboxState": _member(SandboxState),
    "ContainerState": _member(ContainerState),
}

for _cls in (
    TmpfsMount,
    SubPathMount,
    OverlayRootfs,
    SandboxConfig,
    ContainerConfig,
    ExecConfig,
    ProcessExit,
    ExitRecord,
    StartFailure,
    ContainerStatus,
    SandboxStatus,
):
    register(_cls)
