"""Watches over HTTP: one JSON line per change for as long as the client listens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from aiohttp import web

from minipod.api import codec, errors
from minipod.api.errors import StatusError
from minipod.apiserver.http import responses
from minipod.apiserver.http.call import Call
from minipod.apiserver.http.negotiation import Form, choose_form
from minipod.apiserver.http.objects import include_object, object_form
from minipod.apiserver.registry.options import parse_version
from minipod.apiserver.registry.watch import Delivery, Watch
from minipod.client.interface import EventType

BOOKMARK_EVERY = 60.0
"""Seconds. A bookmark is only sent when it says something: when versions have passed unseen by this watcher."""
SHORTEST_DEFAULT = 1800
"""Seconds a watch without timeoutSeconds lives, or up to twice as long: clients must not all return at once."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


async def watch(call: Call) -> web.StreamResponse:
    """Raises StatusError only before the stream begins; later errors are its last line."""
    info = call.info
    form = choose_form(call.request.headers.get("Accept", ""))
    lines = Lines(call, form)
    bookmarks = info.flag("allowWatchBookmarks")
    wants_initial = _wants_initial(call)
    version = parse_version(info.one("resourceVersion"))
    timeout = info.number("timeoutSeconds") or random.randint(SHORTEST_DEFAULT, 2 * SHORTEST_DEFAULT)  # noqa: S311
    response = web.StreamResponse(headers=responses.headers(content_type=_content_type(form)))
    try:
        if wants_initial is False and not version:
            version = call.registry.version
        found = call.registry.watch(call.resource, call.selection(), version, initial=bool(wants_initial))
    except StatusError as error:
        if error.code != 410:
            raise
        await response.prepare(call.request)
        await response.write(lines.error(error))
        return response
    await response.prepare(call.request)
    stream = _Stream(response, lines, found, lambda: call.registry.version, bookmarks=bookmarks)
    try:
        async with asyncio.timeout(max(timeout, 0)):
            await stream.run(announce_end=bool(wants_initial))
    except TimeoutError:
        await stream.bookmark()
    except asyncio.CancelledError:
        if not call.is_closing():
            raise
    except StatusError as error:
        await response.write(lines.error(error))
    return response


class Lines:
    """Words events as lines of JSON, in the form the client asked for."""

    def __init__(self, call: Call, form: Form) -> None:
        self._resource = call.resource
        self._form = form
        self._include = include_object(call)
        self._columns = True

    def changes(self, deliveries: Sequence[Delivery]) -> bytes:
        return b"".join([self._line(one) for one in deliveries])

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        metadata: dict[str, object] = {"resourceVersion": str(version)}
        if initial_end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        obj: dict[str, object] = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": metadata,
        }
        if self._form is Form.TABLE:
            # A table's bookmark is a row without cells around the object that carries the version.
            obj = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": str(version)},
                "columnDefinitions": [],
                "rows": [{"cells": [], "object": obj}],
            }
        return b'{"type":"BOOKMARK","object":%b}\n' % codec.encode(obj)

    def error(self, error: StatusError) -> bytes:
        return b'{"type":"ERROR","object":%b}\n' % codec.encode(error.to_status())

    def _line(self, delivery: Delivery) -> bytes:
        if self._form is Form.OBJECT:
            body = delivery.stored.encoded
        else:
            body = object_form(
                self._resource, delivery.stored, self._form, self._include, columns=self._columns
            )
            self._columns = False  # a watcher learns the columns once
        return b'{"type":"%b","object":%b}\n' % (delivery.type.encode(), body)


class _Stream:
    def __init__(
        self,
        response: web.StreamResponse,
        lines: Lines,
        watch: Watch,
        version: Callable[[], int],
        *,
        bookmarks: bool,
    ) -> None:
        """`version`: asks for the newest version of all."""
        self._response = response
        self._version = version
        self._lines = lines
        self._watch = watch
        self._bookmarks = bookmarks
        self._told = watch.version
        """The newest version the client knows of."""

    async def run(self, *, announce_end: bool) -> None:
        """Send until the watch breaks (StatusError) or this is cancelled."""
        initial = [Delivery(EventType.ADDED, stored) for stored in self._watch.initial]
        if initial:
            await self._response.write(self._lines.changes(initial))
        if announce_end and self._bookmarks:
            await self._response.write(self._lines.bookmark(self._watch.version, initial_end=True))
        while True:
            await self._response.write(self._lines.changes(await self._next()))
            self._told = self._watch.version

    async def bookmark(self) -> None:
        """Tell the client where to go on, if it would not know."""
        seen = self._seen()
        if self._bookmarks and seen > self._told:
            self._told = seen
            await self._response.write(self._lines.bookmark(seen))

    def _seen(self) -> int:
        """With nothing of this resource left to read, all that happened to others counts as seen too."""
        return self._version() if self._watch.is_at_end else self._watch.version

    async def _next(self) -> Sequence[Delivery]:
        if not self._bookmarks:
            return await self._watch.next()
        while True:
            try:
                async with asyncio.timeout(BOOKMARK_EVERY):
                    return await self._watch.next()
            except TimeoutError:
                await self.bookmark()


def _wants_initial(call: Call) -> bool | None:
    """sendInitialEvents (KEP-3157). Raises StatusError 400 where it makes no sense."""
    if not call.info.one("sendInitialEvents"):
        return None
    wanted = call.info.flag("sendInitialEvents")
    if wanted and call.info.one("resourceVersionMatch") != "NotOlderThan":
        raise errors.bad_request("sendInitialEvents needs resourceVersionMatch=NotOlderThan")
    return wanted


def _content_type(form: Form) -> str:
    if form is Form.OBJECT:
        return "application/json"
    return f"application/json;as={form.value};v=v1;g=meta.k8s.io"
