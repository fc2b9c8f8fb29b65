"""YAML as kubectl writes it: sorted keys, lists not indented, double quotes where quotes are due."""

from __future__ import annotations

from typing import Any

import yaml

from minipod.api.documents import plain_scalar

AMBIGUOUS = frozenset(("y", "Y", "n", "N"))
"""Plain to us, truth values to Kubernetes' parser."""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _string(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text and not any(line.endswith((" ", "\t")) for line in text.split("\n")):
        style = "|"
    elif text in AMBIGUOUS or not isinstance(plain_scalar(text), str) or _is_special(dumper, text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_special(dumper: Any, text: str) -> bool:
    """Whether PyYAML would take the bare text for something else: a date, a merge key, a number in base 60."""
    return bool(dumper.resolve(yaml.ScalarNode, text, (True, False)) != "tag:yaml.org,2002:str")


_Dumper.add_representer(str, _string)


def yaml_text(obj: Any) -> str:
    """A document of a mapping or list."""
    text = str(yaml.dump(obj, Dumper=_Dumper, default_flow_style=False, width=80, allow_unicode=True))
    # libyaml marks the end of a document that has an open-ended scalar anywhere.
    return text.removesuffix("...\n")
