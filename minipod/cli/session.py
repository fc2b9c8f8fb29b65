"""What a command line has settled before its verb begins: which API, which namespace, how talkative."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from minipod.cli.errors import CommandError

if TYPE_CHECKING:
    from minipod.cli.discovery import Discovery
    from minipod.client.http import ApiClient, Server
    from minipod.client.kubeconfig import Context

DEFAULT_SOCKET = "/run/minipod/minipod.sock"


@dataclass
class Session:
    """Filled in by the global flags, wherever they stand. Nothing is opened before it is asked for."""

    socket: str = ""
    kubeconfig: str = ""
    namespace: str = ""
    verbosity: int = 0
    request_timeout: str = ""

    @property
    def socket_path(self) -> str:
        """Of the daemon on this machine. Raises CommandError when the flags name another."""
        if self.kubeconfig:
            raise CommandError("--kubeconfig: this is done on the node itself, without that flag")
        return self.socket or os.environ.get("MINIPOD_SOCKET") or DEFAULT_SOCKET

    @property
    def current_namespace(self) -> str:
        return self.namespace or (self._context.namespace if self._context else "") or "default"

    @property
    def server(self) -> str | Server:
        """Where the API is: a socket's path, or what --kubeconfig names. Raises CommandError."""
        return self._context.server if self._context else self.socket_path

    @cached_property
    def _context(self) -> Context | None:
        if not self.kubeconfig:
            return None
        if self.socket:
            raise CommandError("--socket and --kubeconfig name two places: give one of them")
        from minipod.client.kubeconfig import KubeconfigError, load

        try:
            return load(Path(self.kubeconfig))
        except KubeconfigError as error:
            raise CommandError(str(error)) from error

    @cached_property
    def api(self) -> ApiClient:
        """The connection to the API. Raises CommandError when the flags name none that can be used."""
        return self.new_client()

    def close(self) -> None:
        """Hang up, if there is a connection."""
        if "api" in self.__dict__:
            self.api.close()

    def new_client(self) -> ApiClient:
        """Another connection, for another thread."""
        from minipod.client.http import ApiClient

        timeout = None
        if self.request_timeout:
            from minipod.cli.durations import parse_duration

            timeout = parse_duration(self.request_timeout, "--request-timeout") or None
        if self.verbosity >= 6:
            from minipod.cli.tracing import TracingClient

            return TracingClient(self.server, timeout=timeout, on_warning=warn, bodies=self.verbosity >= 8)
        return ApiClient(self.server, timeout=timeout, on_warning=warn)

    @cached_property
    def discovery(self) -> Discovery:
        from minipod.cli.discovery import Discovery

        return Discovery(self.api)


def warn(text: str) -> None:
    """A warning on standard error, its first word yellow on a terminal."""
    label = "\x1b[33;1mWarning:\x1b[0m" if sys.stderr.isatty() else "Warning:"
    print(label, text, file=sys.stderr)
