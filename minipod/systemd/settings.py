"""The configuration file of the service: what `minipod install` puts there. Pure text; what people wrote stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from minipod.config import camel
from minipod.systemd.units import MARK

PREAMBLE = f"""{MARK}
# Every key: docs/configuration.md. After a change: systemctl restart minipod (pods go on).
"""

DEFAULTS = {"log_format": "journal"}
"""What a service has unless it is told otherwise: its log with the fields POD_NAME, CONTAINER_NAME, ..."""


class SettingsError(ValueError):
    """What was asked for cannot be written. The message names file's key and both values."""


def with_settings(text: str | None, asked: Mapping[str, str]) -> str:
    """The file with what was asked for, by field name; None: there is no file yet.

    A key that has another value already is an error: which one is meant is not for us to say.
    """
    if text is None:
        return PREAMBLE + _lines({**DEFAULTS, **asked})
    document = _parse(text)
    missing = {}
    for name, value in asked.items():
        key = camel(name)
        if key not in document:
            missing[name] = value
        elif not _same(document[key], value):
            raise SettingsError(f"{key} is {document[key]!r} already, not {value!r}: change it there")
    if not missing:
        return text
    return text + ("" if text.endswith("\n") or not text else "\n") + _lines(missing)


def ours(text: str) -> bool:
    """Whether the file was made by us, whoever has changed it since."""
    return text.startswith(MARK)


def _lines(settings: Mapping[str, str]) -> str:
    return "".join(f"{camel(name)}: {json.dumps(value)}\n" for name, value in settings.items())


def _parse(text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"no YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError("expected a mapping of keys to values")
    return document


def _same(found: Any, asked: str) -> bool:
    if isinstance(found, list):
        return ",".join(map(str, found)) == asked
    return str(found) == asked or (isinstance(found, bool) and str(found).lower() == asked)
