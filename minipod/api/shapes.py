"""What JSON each generated type is made of, read off its annotations.

msgspec stops at the first mistake and names fields its own way; Kubernetes names every wrong field by its path.
Strict decoding and the error texts therefore walk these shapes themselves; decoding proper stays msgspec's.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec


class Kind(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    QUANTITY = "quantity"
    TIME = "time"
    INT_OR_STRING = "integer or string"
    OBJECT = "object"
    MAP = "map"
    LIST = "list"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Shape:
    kind: Kind
    element: Shape | None = None
    """Of a LIST or MAP."""
    struct: type[msgspec.Struct] | None = None
    """Of an OBJECT; its fields are `fields(struct)`."""
    bits: int = 64
    """Of an INTEGER."""


@cache
def fields(struct: type[msgspec.Struct]) -> dict[str, Shape]:
    """JSON name -> shape, for every field of a generated type."""
    names = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    return {names[name]: _shape(annotation) for name, annotation in struct.__annotations__.items()}


def of(type_: Any) -> Shape:
    """The shape of a generated type or of any annotation used in one."""
    return _shape(type_)


_PLAIN = {str: Kind.STRING, float: Kind.NUMBER, bool: Kind.BOOLEAN, int: Kind.INTEGER}
_MARKED = {"Quantity": Kind.QUANTITY, "Time": Kind.TIME, "MicroTime": Kind.TIME}


def _shape(annotation: Any) -> Shape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        chosen = [argument for argument in arguments if argument is not type(None)]
        if set(chosen) == {int, str}:
            return Shape(Kind.INT_OR_STRING)
        (annotation,) = chosen
        return _shape(annotation)
    if origin is Annotated:
        return _annotated(arguments)
    if origin is list:
        return Shape(Kind.LIST, element=_shape(arguments[0]))
    if origin is dict:
        return Shape(Kind.MAP, element=_shape(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return Shape(Kind.OBJECT, struct=annotation)
    return Shape(_PLAIN.get(annotation, Kind.ANY))


def _annotated(arguments: tuple[Any, ...]) -> Shape:
    plain, *marks = arguments
    for mark in marks:
        if isinstance(mark, str):
            return Shape(_MARKED[mark])
    (meta,) = marks
    assert isinstance(meta, msgspec.Meta)
    return Shape(_PLAIN[plain], bits=32 if meta.le == 2**31 - 1 else 64)
