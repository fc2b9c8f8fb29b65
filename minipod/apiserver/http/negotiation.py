"""Which form of the answer a client wants: the objects, a Table of them, or their metadata alone."""

from __future__ import annotations

from enum import StrEnum

from minipod.api import errors


class Form(StrEnum):
    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


JSON = "application/json"
_JSON_RANGES = (JSON, "application/*", "*/*")
_FORMS = {
    ("Table", "v1", "meta.k8s.io"): Form.TABLE,
    ("PartialObjectMetadata", "v1", "meta.k8s.io"): Form.METADATA,
    ("PartialObjectMetadataList", "v1", "meta.k8s.io"): Form.METADATA,
}


def choose_form(accept: str) -> Form:
    """The best form an Accept header asks for that there is. Raises StatusError 406."""
    if accept in ("", "*/*", JSON):
        return Form.OBJECT
    for media_type, parameters in _by_preference(accept):
        if media_type not in _JSON_RANGES:
            continue
        wanted = tuple(parameters.get(key, "") for key in ("as", "v", "g"))
        if not wanted[0]:
            return Form.OBJECT
        form = _FORMS.get((wanted[0], wanted[1], wanted[2]))
        if form:
            return form
    raise errors.not_acceptable([JSON])


def accepts_gzip(accept_encoding: str) -> bool:
    return any(
        name == "gzip" and parameters.get("q", "1") not in ("0", "0.0", "0.00", "0.000")
        for name, parameters in map(_parse_range, accept_encoding.lower().split(","))
    )


def _by_preference(accept: str) -> list[tuple[str, dict[str, str]]]:
    ranges = [_parse_range(part) for part in accept.split(",")]
    return sorted(ranges, key=lambda found: -_quality(found[1]))


def _parse_range(text: str) -> tuple[str, dict[str, str]]:
    """'application/json;as=Table;v=v1' -> the media type and its parameters."""
    media_type, *parameters = (part.strip() for part in text.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters)
    return media_type.lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
