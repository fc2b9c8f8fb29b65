"""Kubernetes' own OpenAPI definitions, cut to what minipod serves: the data behind the generated types.

Only what the types cannot say is read from here at run time: the patch strategies and list map keys.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def definitions() -> dict[str, Any]:
    """A name such as "core.v1.Pod" -> its schema; references are such names too, or aliases of meta_v1 ("Quantity")."""
    text = resources.files(__name__).joinpath("definitions.json").read_text()
    loaded: dict[str, Any] = json.loads(text)["definitions"]
    return loaded


def definition(type_: type) -> dict[str, Any]:
    """The schema a generated struct type came from. Raises KeyError for a type that was not generated."""
    group_version = type_.__module__.rpartition(".")[2].replace("_", ".")
    found: dict[str, Any] = definitions()[f"{group_version}.{type_.__name__}"]
    return found
