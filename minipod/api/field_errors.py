"""What is wrong with one field, in Kubernetes' words (k8s.io/apimachinery/pkg/util/validation/field)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from minipod.api.meta_v1 import StatusCause


class ErrorReason(StrEnum):
    """A StatusCause's reason."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    NOT_SUPPORTED = "FieldValueNotSupported"
    DUPLICATE = "FieldValueDuplicate"
    FORBIDDEN = "FieldValueForbidden"
    NOT_FOUND = "FieldValueNotFound"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    TYPE_INVALID = "FieldValueTypeInvalid"


_TITLES = {
    ErrorReason.REQUIRED: "Required value",
    ErrorReason.INVALID: "Invalid value",
    ErrorReason.NOT_SUPPORTED: "Unsupported value",
    ErrorReason.DUPLICATE: "Duplicate value",
    ErrorReason.FORBIDDEN: "Forbidden",
    ErrorReason.NOT_FOUND: "Not found",
    ErrorReason.TOO_LONG: "Too long",
    ErrorReason.TOO_MANY: "Too many",
    ErrorReason.TYPE_INVALID: "Invalid value",
}
_WITHOUT_VALUE = frozenset({ErrorReason.REQUIRED, ErrorReason.FORBIDDEN, ErrorReason.TOO_LONG})


@dataclass(frozen=True, slots=True)
class FieldError:
    """`path` is the field ("spec.containers[0].name"), `message` the detail behind the title, may be empty."""

    path: str
    reason: ErrorReason
    message: str = ""
    value: Any = None

    @property
    def body(self) -> str:
        """Without the path: 'Invalid value: "a_b": must be ...'."""
        body = _TITLES[self.reason]
        if self.reason not in _WITHOUT_VALUE:
            body += f": {_shown(self.value)}"
        return f"{body}: {self.message}" if self.message else body

    def __str__(self) -> str:
        return f"{self.path}: {self.body}" if self.path else self.body

    def to_cause(self) -> StatusCause:
        return StatusCause(reason=self.reason.value, message=self.body, field=self.path)


def required(path: str, message: str = "") -> FieldError:
    return FieldError(path, ErrorReason.REQUIRED, message)


def invalid(path: str, value: Any, message: str) -> FieldError:
    return FieldError(path, ErrorReason.INVALID, message, value)


def invalids(path: str, value: Any, messages: Iterable[str]) -> Iterator[FieldError]:
    """One error for each thing that is wrong with the same value."""
    return (invalid(path, value, message) for message in messages)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    listed = ", ".join(quoted(one) for one in supported)
    return FieldError(
        path, ErrorReason.NOT_SUPPORTED, f"supported values: {listed}" if listed else "", value
    )


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(path, ErrorReason.DUPLICATE, "", value)


def forbidden(path: str, message: str) -> FieldError:
    return FieldError(path, ErrorReason.FORBIDDEN, message)


def not_found(path: str, value: Any) -> FieldError:
    return FieldError(path, ErrorReason.NOT_FOUND, "", value)


def too_long(path: str, limit: int) -> FieldError:
    return FieldError(path, ErrorReason.TOO_LONG, f"may not be more than {limit} bytes")


def too_many(path: str, count: int, limit: int) -> FieldError:
    return FieldError(path, ErrorReason.TOO_MANY, f"must have at most {limit} items", count)


def quoted(text: str) -> str:
    """Text in double quotes with control characters escaped."""
    return json.dumps(text, ensure_ascii=False)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, default=str, ensure_ascii=False)
