"""The verbs on objects: get, list, create, update, patch, delete, deletecollection, and pods/binding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from minipod.api import codec, core_v1, errors, meta_v1
from minipod.api.scheme import Resource
from minipod.apiserver.http import bodies, patches, responses
from minipod.apiserver.http.call import Call, is_dry_run
from minipod.apiserver.http.negotiation import Form, choose_form
from minipod.apiserver.http.paging import Pager, list_metadata
from minipod.apiserver.registry.options import DeleteOptions, parse_version
from minipod.apiserver.table.table import IncludeObject, partial_metadata, table
from minipod.storage.interface import Stored


async def get(call: Call) -> web.StreamResponse:
    form = choose_form(call.request.headers.get("Accept", ""))
    stored = call.registry.get(call.resource, call.info.name, call.namespace)
    return await _send(call, stored, form)


async def list_(call: Call, pager: Pager) -> web.StreamResponse:
    form = choose_form(call.request.headers.get("Accept", ""))
    info = call.info
    limit = max(info.number("limit") or 0, 0)
    if token := info.one("continue"):
        page = pager.next(token, limit)
    else:
        version = parse_version(info.one("resourceVersion"))
        listing = call.registry.list(call.resource, call.selection(), version)
        if info.one("resourceVersionMatch") == "Exact" and version != listing.version:
            raise errors.expired(f"too old resource version: {version} ({listing.version})")
        page = pager.first(listing, limit)
    body = list_form(call.resource, page.items, page.metadata, form, include_object(call))
    return await responses.send(call.request, body)


async def create(call: Call) -> web.StreamResponse:
    form = choose_form(call.request.headers.get("Accept", ""))
    how = bodies.validation(call.info)
    obj = bodies.decode(call.resource, await bodies.read(call.request), how, call.warnings)
    _check_place(call, obj)
    stored = await call.registry.create(call.resource, obj, call.namespace, call.write_options())
    return await _send(call, stored, form, status=201)


async def update(call: Call) -> web.StreamResponse:
    form = choose_form(call.request.headers.get("Accept", ""))
    how = bodies.validation(call.info)
    obj = bodies.decode(call.resource, await bodies.read(call.request), how, call.warnings)
    _check_place(call, obj)
    stored = await call.registry.update(
        call.resource,
        call.info.name,
        call.namespace,
        lambda _: obj,
        subresource=call.info.subresource,
        options=call.write_options(),
    )
    return await _send(call, stored, form)


async def patch(call: Call) -> web.StreamResponse:
    form = choose_form(call.request.headers.get("Accept", ""))
    how = bodies.validation(call.info)
    body = await bodies.read(call.request)
    apply = patches.parse(body.content_type, body.data, call.resource.type)

    def change(old: Any) -> Any:
        raw = apply(codec.to_builtins(old))
        if not isinstance(raw, dict):
            raise errors.bad_request("the patched value is no object")
        obj = bodies.convert(call.resource, raw, how, call.warnings)
        _check_place(call, obj)
        return obj

    stored = await call.registry.update(
        call.resource,
        call.info.name,
        call.namespace,
        change,
        subresource=call.info.subresource,
        options=call.write_options(),
    )
    return await _send(call, stored, form)


async def delete(call: Call) -> web.StreamResponse:
    options = await _delete_options(call)
    written = await call.registry.delete(call.resource, call.info.name, call.namespace, options)
    assert written.stored is not None
    if written.removed and not call.registry.strategy(call.resource).returns_deleted:
        return await responses.send_object(call.request, responses.deleted(call.resource, written.stored))
    return await responses.send(call.request, written.stored.encoded)


async def delete_collection(call: Call) -> web.StreamResponse:
    options = await _delete_options(call)
    items = await call.registry.delete_collection(call.resource, call.selection(), options)
    metadata = list_metadata(call.registry.version)
    return await responses.send(call.request, responses.list_body(call.resource, items, metadata))


async def bind(call: Call) -> web.StreamResponse:
    """POST pods/NAME/binding."""
    binding = bodies.decode_options(core_v1.Binding, await bodies.read(call.request))
    await call.registry.bind(binding, call.info.name, call.namespace, call.write_options())
    return await responses.send_object(call.request, meta_v1.Status(status="Success", code=201), status=201)


def include_object(call: Call) -> IncludeObject:
    """How much of the objects a Table shall hold. Raises StatusError 400."""
    text = call.info.one("includeObject")
    if not text:
        return IncludeObject.METADATA
    try:
        return IncludeObject(text)
    except ValueError:
        raise errors.bad_request(f'includeObject: expected None, Metadata or Object, got "{text}"') from None


def list_form(
    resource: Resource, items: Sequence[Stored], metadata: bytes, form: Form, include: IncludeObject
) -> bytes:
    """Objects as a list of the form that was asked for."""
    if form is Form.TABLE:
        return table(resource, items, metadata, include=include)
    if form is Form.METADATA:
        joined = b",".join(partial_metadata(stored) for stored in items)
        return (
            b'{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":%b,"items":[%b]}'
            % (metadata, joined)
        )
    return responses.list_body(resource, items, metadata)


def object_form(
    resource: Resource, stored: Stored, form: Form, include: IncludeObject, *, columns: bool = True
) -> bytes:
    """One object in the form that was asked for."""
    if form is Form.TABLE:
        metadata = codec.encode({"resourceVersion": stored.obj.metadata.resourceVersion})
        return table(resource, [stored], metadata, include=include, columns=columns)
    return partial_metadata(stored) if form is Form.METADATA else stored.encoded


async def _send(call: Call, stored: Stored, form: Form, *, status: int = 200) -> web.Response:
    body = (
        stored.encoded
        if form is Form.OBJECT
        else object_form(call.resource, stored, form, include_object(call))
    )
    return await responses.send(call.request, body, status=status, warnings=call.warnings)


def _check_place(call: Call, obj: Any) -> None:
    """The URL and the object must name the same. Raises StatusError 400."""
    meta, info = obj.metadata, call.info
    if meta.namespace and meta.namespace != call.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if info.name and meta.name and meta.name != info.name:
        raise errors.bad_request(
            f"the name of the object ({meta.name}) does not match the name on the URL ({info.name})"
        )
    if info.name and not meta.name:
        raise errors.bad_request("name must be provided in the object's metadata")


async def _delete_options(call: Call) -> DeleteOptions:
    """From the body, and from the query what the body leaves out."""
    found = bodies.decode_options(meta_v1.DeleteOptions, await bodies.read(call.request))
    if found.kind not in ("", "DeleteOptions"):
        raise errors.bad_request(f"expected DeleteOptions in the body, got {found.kind}")
    grace = found.gracePeriodSeconds
    if grace is None:
        grace = call.info.number("gracePeriodSeconds")
    conditions = found.preconditions or meta_v1.Preconditions()
    return DeleteOptions(
        grace_period_seconds=grace,
        uid=conditions.uid or "",
        resource_version=conditions.resourceVersion or "",
        dry_run=is_dry_run(found.dryRun) or is_dry_run(call.info.query.get("dryRun", ())),
    )
