"""`minipod logs`: what containers wrote, once or as they write it."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.discovery import ApiResource
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError, ReportedError
from minipod.cli.pods import choose_container, container_names, get_pod, pod_name
from minipod.cli.session import Session
from minipod.client.http import ApiClient, Query

SELECTED_TAIL = 10
"""Lines of each pod when several are chosen by label and --tail does not say."""


@dataclass(frozen=True, slots=True)
class Source:
    """One container's log."""

    namespace: str
    pod: str
    container: str

    @property
    def prefix(self) -> bytes:
        return f"[pod/{self.pod}/{self.container}] ".encode()


@click.command("logs", cls=Verb)
@click.argument("words", nargs=-1, metavar="POD [CONTAINER]", shell_complete=options.completer("pods"))
@options.flag("-f", "--follow", help="Go on printing what is written.")
@options.container()
@options.flag("-p", "--previous", help="The container before its last restart.")
@click.option(
    "--tail", type=int, default=None, metavar="N", help="The last N lines; -1: all [all, 10 with -l]."
)
@click.option(
    "--since", default="", metavar="TIME", help="Only what is newer than this, such as 5s, 2m or 3h."
)
@click.option(
    "--since-time", default="", metavar="DATE", help="Only what is newer than this date (RFC 3339)."
)
@options.flag("--timestamps", help="Put the time before each line.")
@options.flag("--all-containers", help="Every container of the pod.")
@options.flag("--prefix", help="Put pod and container before each line.")
@options.selector()
@click.option("--limit-bytes", type=int, default=None, metavar="N", help="Stop after N bytes.")
@click.option(
    "--max-log-requests", type=int, default=5, metavar="N", help="How many logs to follow at once [5]."
)
@click.pass_obj
def command(session: Session, /, words: tuple[str, ...], **flags: Any) -> None:
    """Print the logs of a container.

    \b
    minipod logs web                       minipod logs web -c sidecar -f
    minipod logs web --previous            minipod logs -l app=web --all-containers --prefix
    """
    sources = _sources(session, words, flags)
    query = _query(flags, selected=bool(flags["selector"]))
    reader = _Reader(session, query, prefix=flags["prefix"])
    if not flags["follow"] or len(sources) <= 1:
        for source in sources:
            reader.copy(session.api, source)
        return
    if len(sources) > flags["max_log_requests"]:
        raise CommandError(
            f"you are attempting to follow {len(sources)} log streams, but at most {flags['max_log_requests']} are "
            "followed at once; raise --max-log-requests"
        )
    reader.copy_all_at_once(sources)


def _query(flags: dict[str, Any], *, selected: bool) -> Query:
    if flags["since"] and flags["since_time"]:
        raise CommandError("at most one of --since and --since-time may be used")
    tail = flags["tail"]
    if tail is None:
        tail = SELECTED_TAIL if selected else -1
    if tail < -1:
        raise CommandError("--tail must be greater than or equal to -1")
    if flags["limit_bytes"] is not None and flags["limit_bytes"] < 1:
        raise CommandError("--limit-bytes must be greater than 0")
    since = math.ceil(parse_duration(flags["since"], "--since")) if flags["since"] else None
    return {
        "follow": flags["follow"] or None,
        "previous": flags["previous"] or None,
        "timestamps": flags["timestamps"] or None,
        "tailLines": tail if tail >= 0 else None,
        "sinceSeconds": since,
        "sinceTime": flags["since_time"] or None,
        "limitBytes": flags["limit_bytes"],
    }


def _sources(session: Session, words: tuple[str, ...], flags: dict[str, Any]) -> list[Source]:
    """Which logs are meant. Raises CommandError."""
    everything, wanted = flags["all_containers"], flags["container"]
    if bool(words) == bool(flags["selector"]):
        raise CommandError("name one pod, or choose pods with -l")
    if len(words) > 2:
        raise CommandError("logs takes one pod, and perhaps one of its containers")
    if len(words) == 2:
        if wanted:
            raise CommandError("name the container once: with -c, or after the pod")
        wanted = words[1]
    if everything and wanted:
        raise CommandError("--all-containers and a container's name exclude each other")
    if words:
        pods = [get_pod(session, pod_name(session, words[0]))]
    else:
        resource: ApiResource = session.discovery.find("pods")
        query = {"labelSelector": flags["selector"]}
        pods = session.api.get(resource.path(session.current_namespace), query)["items"] or []
        if not pods:
            print(f"No resources found in {session.current_namespace} namespace.", file=sys.stderr)
    return [source for pod in pods for source in _of_pod(session, pod, wanted, everything=everything)]


def _of_pod(session: Session, pod: dict[str, Any], wanted: str, *, everything: bool) -> Iterator[Source]:
    name = pod["metadata"]["name"]
    names = container_names(pod) if everything else [choose_container(pod, wanted)]
    return (Source(session.current_namespace, name, container) for container in names)


class _Reader:
    """Copies logs to standard output, whole lines at a time when there is a prefix or several at once."""

    def __init__(self, session: Session, query: Query, *, prefix: bool) -> None:
        self._session = session
        self._query = query
        self._prefix = prefix
        self._lock = threading.Lock()
        self._errors: list[Exception] = []

    def copy(self, api: ApiClient, source: Source, *, by_line: bool = False) -> None:
        path = self._session.discovery.find("pods").path(source.namespace, source.pod, "log")
        out = sys.stdout.buffer
        with api.stream("GET", path, query={**self._query, "container": source.container}) as stream:
            if not self._prefix and not by_line:
                for chunk in stream:
                    out.write(chunk)
                    out.flush()
                return
            prefix = source.prefix if self._prefix else b""
            for line in stream.lines():
                with self._lock:
                    out.write(prefix + line + b"\n")
                    out.flush()

    def copy_all_at_once(self, sources: list[Source]) -> None:
        """Follow them all until each has ended. Raises ReportedError when one failed."""
        self._session.discovery.find("pods")
        threads = [threading.Thread(target=self._follow, args=(source,), daemon=True) for source in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            from minipod.cli.errors import describe

            for error in self._errors:
                print(describe(error) or f"error: {error}", file=sys.stderr)
            raise ReportedError

    def _follow(self, source: Source) -> None:
        try:
            # One connection a thread: a client is not to be shared.
            with self._session.new_client() as api:
                self.copy(api, source, by_line=True)
        except Exception as error:
            self._errors.append(error)
