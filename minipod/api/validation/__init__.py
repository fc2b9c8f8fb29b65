"""Whether an object may be stored: Kubernetes' rules in Kubernetes' words.

`validate` judges a new object, `validate_update` a change. Both expect defaults to be set and return every mistake
found; `errors.invalid` makes the API's answer of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipod.api.field_errors import ErrorReason, FieldError

__all__ = ["ErrorReason", "FieldError", "validate", "validate_update"]


def validate(obj: Any) -> list[FieldError]:
    """What is wrong with a new object of a served kind; [] when it may be stored."""
    judge = _CREATE.get(type(obj))
    return judge(obj) if judge is not None else []


def validate_update(new: Any, old: Any) -> list[FieldError]:
    """What is wrong with replacing `old` by `new` (status apart: a subresource of its own)."""
    judge = _UPDATE.get(type(new))
    return judge(new, old) if judge is not None else []


_CREATE: dict[type, Callable[[Any], list[FieldError]]] = {}
_UPDATE: dict[type, Callable[[Any, Any], list[FieldError]]] = {}
