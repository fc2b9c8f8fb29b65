"""Request bodies: read up to a limit, then JSON or YAML into objects, with Kubernetes' field validation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web

from minipod.api import codec, documents, errors, strict
from minipod.api.errors import StatusError
from minipod.api.field_errors import not_supported
from minipod.api.scheme import Resource
from minipod.apiserver.http.negotiation import JSON
from minipod.apiserver.http.request_info import RequestInfo

MAX_BODY = 3 * 1024 * 1024
"""Bytes, as kube-apiserver."""
YAML = "application/yaml"
ACCEPTED = (JSON, YAML)

T = TypeVar("T")


class FieldValidation(StrEnum):
    """What to do about unknown and duplicate fields: refuse, warn, or drop them in silence."""

    STRICT = "Strict"
    WARN = "Warn"
    IGNORE = "Ignore"


@dataclass(frozen=True, slots=True)
class Body:
    data: bytes
    content_type: str
    """Without parameters, in lower case; "" when the client did not say."""


async def read(request: web.BaseRequest) -> Body:
    """Raises StatusError 413 (more than MAX_BODY) and 400 (the client did not send what it announced)."""
    content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not request.can_read_body:
        return Body(b"", content_type)
    if (request.content_length or 0) > MAX_BODY:
        raise errors.too_large(f"limit is {MAX_BODY}")
    data = bytearray()
    try:
        async for chunk in request.content.iter_any():
            data += chunk
            if len(data) > MAX_BODY:
                raise errors.too_large(f"limit is {MAX_BODY}")
    except web.RequestPayloadError as error:
        raise errors.bad_request(f"cannot read the body: {error}") from None
    return Body(bytes(data), content_type)


def validation(info: RequestInfo) -> FieldValidation:
    """Warn unless the client says otherwise. Raises StatusError 422."""
    text = info.one("fieldValidation")
    if not text:
        return FieldValidation.WARN
    try:
        return FieldValidation(text)
    except ValueError:
        problem = not_supported("fieldValidation", text, sorted(FieldValidation))
        raise errors.invalid("CreateOptions", "", [problem], "meta.k8s.io") from None


def decode(resource: Resource, body: Body, how: FieldValidation, warnings: list[str]) -> Any:
    """The object in a body. Raises StatusError 400 (not readable, of another kind, not strict) and 415."""
    if body.content_type in ("", JSON):
        obj = codec.decode(resource.type, body.data)
        raw, problems = (None, []) if how is FieldValidation.IGNORE else strict.load(body.data)
    elif body.content_type == YAML:
        raw, problems = _yaml(body.data), []
        obj = codec.from_builtins(resource.type, raw)
    else:
        raise errors.unsupported_media_type(ACCEPTED)
    if how is not FieldValidation.IGNORE:
        problems += strict.unknown_fields(resource.type, raw)
        report(resource, problems, how, warnings)
    check_kind(resource, obj)
    return obj


def convert(resource: Resource, raw: Any, how: FieldValidation, warnings: list[str]) -> Any:
    """Plain values (a patched object) as an object, with the same rules."""
    obj = codec.from_builtins(resource.type, raw)
    if how is not FieldValidation.IGNORE:
        report(resource, strict.unknown_fields(resource.type, raw), how, warnings)
    check_kind(resource, obj)
    return obj


def decode_options(type_: type[T], body: Body) -> T:
    """A small object that goes with a request, such as DeleteOptions or a Binding; all defaults without a body."""
    if not body.data.strip():
        return type_()
    if body.content_type in ("", JSON):
        return codec.decode(type_, body.data)
    if body.content_type == YAML:
        return codec.from_builtins(type_, _yaml(body.data))
    raise errors.unsupported_media_type(ACCEPTED)


def report(resource: Resource, problems: list[str], how: FieldValidation, warnings: list[str]) -> None:
    """Raises StatusError 400 when strict, warns otherwise."""
    if not problems:
        return
    if how is FieldValidation.STRICT:
        raise errors.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"strict decoding error: {', '.join(problems)}"
        )
    warnings.extend(problems)


def check_kind(resource: Resource, obj: Any) -> None:
    """Raises StatusError 400 for an object of another kind or version than the URL's."""
    if obj.kind not in ("", resource.kind):
        raise _unexpected("kind", obj.kind, resource.kind)
    if obj.apiVersion not in ("", resource.api_version):
        raise _unexpected("API version", obj.apiVersion, resource.api_version)
    obj.kind, obj.apiVersion = resource.kind, resource.api_version


def _unexpected(what: str, found: str, expected: str) -> StatusError:
    return errors.bad_request(
        f"the {what} in the data ({found}) does not match the expected {what} ({expected})"
    )


def _yaml(data: bytes) -> Any:
    try:
        found = documents.parse(data.decode(), "body")
    except (documents.DocumentError, UnicodeDecodeError) as error:
        raise errors.bad_request(f"cannot read the body as YAML: {error}") from None
    if len(found) != 1:
        raise errors.bad_request(f"expected one YAML document in the body, got {len(found)}")
    return found[0].value
