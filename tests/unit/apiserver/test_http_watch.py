"""Watches over HTTP: lines, versions, bookmarks, timeouts, and ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from minipod.api.errors import StatusError
from minipod.apiserver.http import watching
from minipod.client.http import TABLE, ApiClient, Query, resource_path
from tests.helpers.wait import wait_until
from tests.unit.apiserver.serving import ServerThread
from tests.unit.apiserver.test_http import PODS, manifest


def names(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


def take(watch: Iterator[Any], count: int) -> list[Any]:
    return [next(watch) for _ in range(count)]


def test_changes_come_as_they_happen(server: ServerThread, api: ApiClient) -> None:
    version = api.get(PODS)["metadata"]["resourceVersion"]
    with server.client() as other:
        watch = other.watch(PODS, {"resourceVersion": version})
        api.create(PODS, manifest())
        api.patch(f"{PODS}/web", {"metadata": {"labels": {"a": "b"}}})
        api.delete(f"{PODS}/web")
        events = take(watch, 3)
    assert names(events) == [("ADDED", "web"), ("MODIFIED", "web"), ("DELETED", "web")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)


def test_without_a_version_what_exists_comes_first(api: ApiClient) -> None:
    for name in "ab":
        api.create(PODS, manifest(name))
    assert names(take(api.watch(PODS), 2)) == [("ADDED", "a"), ("ADDED", "b")]


def test_a_watch_goes_on_from_any_event(api: ApiClient) -> None:
    for name in "abc":
        api.create(PODS, manifest(name))
    first = next(api.watch(PODS))
    version = first["object"]["metadata"]["resourceVersion"]
    assert names(take(api.watch(PODS, {"resourceVersion": version}), 2)) == [("ADDED", "b"), ("ADDED", "c")]


def test_one_object_is_watched_by_its_name(server: ServerThread, api: ApiClient) -> None:
    for name in "ab":
        api.create(PODS, manifest(name))
    watch = api.watch(PODS, {"fieldSelector": "metadata.name=b"})
    assert names(take(watch, 1)) == [("ADDED", "b")]
    with server.client() as other:
        other.delete(f"{PODS}/a")
        other.delete(f"{PODS}/b")
    assert names(take(watch, 1)) == [("DELETED", "b")]


def test_a_version_that_is_too_old_is_gone(server: ServerThread, api: ApiClient) -> None:
    api.create(PODS, manifest())
    server.store._tables["pods"].window.oldest = 5
    with pytest.raises(StatusError, match=r"too old resource version: 1 \(5\)") as error:
        next(api.watch(PODS, {"resourceVersion": "1"}))
    assert (error.value.code, error.value.reason) == (410, "Expired")


def test_initial_events_end_with_a_bookmark(api: ApiClient) -> None:
    api.create(PODS, manifest())
    query: Query = {
        "sendInitialEvents": True,
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": True,
    }
    added, bookmark = take(api.watch(PODS, query), 2)
    assert names([added]) == [("ADDED", "web")]
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["kind"] == "Pod"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert bookmark["object"]["metadata"]["resourceVersion"] == api.get(PODS)["metadata"]["resourceVersion"]
    with pytest.raises(StatusError, match="resourceVersionMatch=NotOlderThan"):
        next(api.watch(PODS, {"sendInitialEvents": True}))


def test_bookmarks_come_when_they_say_something(
    server: ServerThread, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_EVERY", 0.05)
    version = api.get(PODS)["metadata"]["resourceVersion"]
    watch = api.watch(PODS, {"resourceVersion": version, "allowWatchBookmarks": True})
    for name in ("unrelated", "another"):
        with server.client() as other:
            other.create("/api/v1/namespaces", {"metadata": {"name": name}})
            newest = other.get(PODS)["metadata"]["resourceVersion"]
        event = next(watch)
        assert event["type"] == "BOOKMARK"
        assert event["object"]["metadata"]["resourceVersion"] == newest


def test_a_timed_out_watch_says_where_to_go_on(server: ServerThread, api: ApiClient) -> None:
    version = api.get(PODS)["metadata"]["resourceVersion"]
    watch = api.watch(PODS, {"resourceVersion": version, "allowWatchBookmarks": True, "timeoutSeconds": 1})
    with server.client() as other:
        other.create("/api/v1/namespaces", {"metadata": {"name": "unrelated"}})
    assert [event["type"] for event in watch] == ["BOOKMARK"]


def test_tables_are_watched(server: ServerThread, api: ApiClient) -> None:
    api.create(PODS, manifest("a"))
    watch = api.watch(PODS, accept=TABLE)
    [first] = take(watch, 1)
    with server.client() as other:
        other.create(PODS, manifest("b"))
    [second] = take(watch, 1)
    assert [column["name"] for column in first["object"]["columnDefinitions"]][:3] == [
        "Name",
        "Ready",
        "Status",
    ]
    assert second["object"]["columnDefinitions"] == []
    assert [event["object"]["rows"][0]["cells"][0] for event in (first, second)] == ["a", "b"]
    assert first["object"]["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_all_namespaces_and_the_old_watch_parameter(server: ServerThread, api: ApiClient) -> None:
    api.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
    watch = api.watch(resource_path("pods"), {"watch": 1})
    with server.client() as writer:
        writer.create(resource_path("pods", "other"), manifest())
    assert take(watch, 1)[0]["object"]["metadata"]["namespace"] == "other"


def test_a_watcher_that_goes_away_is_forgotten(server: ServerThread) -> None:
    with server.client() as api:
        watch = api.watch(PODS)
        api.create(PODS, manifest())
        next(watch)
        assert len(server.server._handler._streaming) == 1
        watch.close()  # type: ignore[attr-defined]
        wait_until(lambda: not server.server._handler._streaming)


def test_a_stopping_server_ends_watches_as_if_they_were_over(server: ServerThread, api: ApiClient) -> None:
    api.create(PODS, manifest())
    watch = api.watch(PODS)
    next(watch)
    server.stop()
    assert list(watch) == []


def test_many_watchers_hear_the_same(server: ServerThread) -> None:
    clients = [server.client() for _ in range(50)]
    streams = [client.stream("GET", PODS, query={"watch": True}) for client in clients]
    with server.client() as api:
        api.create(PODS, manifest())
    heard = {next(stream.lines()) for stream in streams}
    assert len(heard) == 1
    assert json.loads(heard.pop())["type"] == "ADDED"
    for stream in streams:
        stream.close()


def test_a_watcher_that_does_not_listen_costs_no_more_than_the_window(
    server: ServerThread, api: ApiClient
) -> None:
    api.create(PODS, manifest())
    server.store._tables["pods"].window._max_changes = 2
    with server.client() as deaf:
        stream = deaf.stream("GET", PODS, query={"watch": True})
        for number in range(12):
            annotations = {"big": "x" * 200_000, "number": str(number)}
            api.patch(f"{PODS}/web", {"metadata": {"annotations": annotations}})
        assert len(server.store._tables["pods"].window._changes) < 4
        events = [json.loads(line) for line in stream.lines()]
        stream.close()
    assert len(events) < 12
    assert events[-1]["type"] == "ERROR"
    assert (events[-1]["object"]["code"], events[-1]["object"]["reason"]) == (410, "Expired")
