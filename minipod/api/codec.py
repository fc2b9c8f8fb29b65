"""JSON and plain Python values <-> objects, with Kubernetes' leniency and Kubernetes' error texts.

The fast way is msgspec's alone. Only input it refuses takes the second way, which does what Kubernetes does for
everyone: nulls count as absent, numbers are quantities. What is then still wrong is reported for every field.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from minipod.api import errors, quantity, shapes
from minipod.api.field_errors import quoted
from minipod.api.meta_v1 import Time
from minipod.api.shapes import Kind, Shape

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

_INTEGER_LIMITS = {32: (-(2**31), 2**31 - 1), 64: (-(2**63), 2**63 - 1)}
MAX_REPORTED = 20


def encode(obj: Any) -> bytes:
    """An object (or plain values around objects) as JSON: absent optional fields left out."""
    return _encoder.encode(obj)


def decode(type_: type[T], data: bytes | bytearray | memoryview | str) -> T:
    """JSON -> an object of `type_`. Unknown fields are dropped (strict.py reports them).

    Raises StatusError 400 for text that is not JSON and for values of the wrong type, naming each one's path:
    "spec.containers[0].ports[0].containerPort: expected integer, got string".
    """
    try:
        return _decoder(type_).decode(data)
    except msgspec.ValidationError:
        return from_builtins(type_, parse(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.bad_request(f"cannot read the body as JSON: {error}") from None


def parse(data: bytes | bytearray | memoryview | str) -> Any:
    """JSON -> dicts, lists and scalars. Raises StatusError 400."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.bad_request(f"cannot read the body as JSON: {error}") from None


def to_builtins(obj: Any) -> Any:
    """An object as fresh dicts, lists and scalars, absent fields left out."""
    return msgspec.to_builtins(obj)


def from_builtins(type_: type[T], value: Any) -> T:
    """Plain values (parsed JSON or YAML) -> an object; `value` is not changed. Raises as decode does."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        reason = str(error)
    shape = shapes.of(type_)
    problems = list(_problems(shape, value, ""))
    if not problems:
        try:
            return msgspec.convert(_normalised(shape, value), type_)
        except msgspec.ValidationError as error:
            reason = str(error)
    raise _unreadable(type_, value, problems or [reason])


def copy(obj: T) -> T:
    """A deep copy that shares nothing changeable with the original."""
    return msgspec.convert(msgspec.to_builtins(obj), type(obj))


def type_errors(type_: type[Any], value: Any) -> list[str]:
    """Every value of the wrong type in parsed JSON, each with its path; [] when it can be read."""
    return list(_problems(shapes.of(type_), value, ""))


def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.json.Decoder(type_)
    return decoder


def _unreadable(type_: type[Any], value: Any, problems: list[str]) -> errors.StatusError:
    kind = value.get("kind") if isinstance(value, dict) else None
    name = kind if isinstance(kind, str) and kind else type_.__name__
    shown = problems[:MAX_REPORTED]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    text = shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"
    return errors.bad_request(f"cannot read this as a {name}: {text}")


def _problems(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if value is None and path:
        return
    wrong = _mismatch(shape, value)
    if wrong:
        yield f"{path}: {wrong}" if path else wrong
    elif shape.struct is not None:
        known = shapes.fields(shape.struct)
        for key, item in value.items():
            if key in known:
                yield from _problems(known[key], item, f"{path}.{key}" if path else key)
    elif shape.kind is Kind.MAP and shape.element is not None:
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"{path}: expected string keys, got {_type_name(key)} {key!r}"
            yield from _problems(shape.element, item, f"{path}[{key}]")
    elif shape.kind is Kind.LIST and shape.element is not None:
        for index, item in enumerate(value):
            yield from _problems(shape.element, item, f"{path}[{index}]")


_ACCEPTED: dict[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.TIME: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.QUANTITY: (str, int, float),
    Kind.INT_OR_STRING: (int, str),
    Kind.OBJECT: (dict,),
    Kind.MAP: (dict,),
    Kind.LIST: (list, tuple),
}
_CALLED = {Kind.MAP: "object", Kind.TIME: "string"}


def _mismatch(shape: Shape, value: Any) -> str:
    if shape.kind is Kind.ANY:
        return ""
    accepted = _ACCEPTED[shape.kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        return f"expected {_CALLED.get(shape.kind, shape.kind.value)}, got {_type_name(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected {shape.kind.value}, got {value}"
    if shape.kind in (Kind.INTEGER, Kind.INT_OR_STRING) and isinstance(value, int):
        bits = shape.bits if shape.kind is Kind.INTEGER else 32
        low, high = _INTEGER_LIMITS[bits]
        if not low <= value <= high:
            return f"expected a {bits}-bit integer, got {value}"
    if shape.kind is Kind.TIME and not _is_time(value):
        return f"expected an RFC 3339 time such as 2026-01-02T03:04:05Z, got {quoted(value)}"
    return ""


def _is_time(text: str) -> bool:
    try:
        msgspec.convert(text, Time)
    except msgspec.ValidationError:
        return False
    return True


def _type_name(value: Any) -> str:
    """JSON's word for a Python value's type."""
    names = {
        bool: "boolean",
        str: "string",
        int: "integer",
        float: "number",
        dict: "object",
        type(None): "null",
    }
    if isinstance(value, list | tuple):
        return "list"
    return names.get(type(value), type(value).__name__)


_ZERO: dict[Kind, Any] = {
    Kind.STRING: "",
    Kind.TIME: None,
    Kind.INTEGER: 0,
    Kind.NUMBER: 0,
    Kind.BOOLEAN: False,
    Kind.QUANTITY: "0",
    Kind.INT_OR_STRING: 0,
    Kind.ANY: None,
}


def _normalised(shape: Shape, value: Any) -> Any:
    """A copy without nulls (an element of a list or map becomes its type's zero value) and with text quantities."""
    if shape.kind is Kind.QUANTITY and isinstance(value, int | float):
        return quantity.from_number(value)
    if shape.struct is not None:
        known = shapes.fields(shape.struct)
        return {key: _normalised(known[key], value[key]) for key in known if value.get(key) is not None}
    if shape.element is None:
        return value
    element = shape.element
    if shape.kind is Kind.MAP:
        return {key: _element(element, item) for key, item in value.items()}
    return [_element(element, item) for item in value]


def _element(shape: Shape, value: Any) -> Any:
    if value is None:
        return _ZERO.get(shape.kind, {} if shape.kind is not Kind.LIST else [])
    return _normalised(shape, value)
