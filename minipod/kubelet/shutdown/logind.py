"""systemd-logind as kubelet uses it: a lock that delays the shutdown, and the news that one begins.

Calls block, for milliseconds, and belong in a thread; the news comes by the event loop. See
org.freedesktop.login1(5) and https://systemd.io/INHIBITOR_LOCKS/.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jeepney import (
    DBusAddress,
    DBusErrorResponse,
    MatchRule,
    Properties,
    message_bus,
    new_method_call,
)
from jeepney.io.blocking import open_dbus_connection
from jeepney.low_level import Message
from jeepney.wrappers import unwrap_msg

DROP_IN = Path("/run/systemd/logind.conf.d/99-minipod.conf")
"""Gone with the next boot, which makes it anew: nothing of it stays on the machine."""

_PATH, _NAME, _INTERFACE = (
    "/org/freedesktop/login1",
    "org.freedesktop.login1",
    "org.freedesktop.login1.Manager",
)
_SYSTEMD = DBusAddress(
    "/org/freedesktop/systemd1", "org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager"
)
_TIMEOUT = 10.0
"""Seconds for one call."""
_RELOAD_TIMEOUT = 5.0
_RELOAD_PAUSE = 0.05
_SIGHUP = 1


class LogindError(Exception):
    """logind cannot be used. The message says what was asked of it and what it answered."""


class Logind:
    """One connection to the system bus. Every method raises LogindError."""

    def __init__(self) -> None:
        self._address = DBusAddress(_PATH, _NAME, _INTERFACE)
        self._news: deque[Message] = deque()
        self._on_shutdown: Callable[[bool], None] | None = None
        self._on_lost: Callable[[Exception], None] | None = None
        try:
            self._connection = open_dbus_connection("SYSTEM", enable_fds=True, auth_timeout=_TIMEOUT)
        except (OSError, KeyError, ValueError) as error:
            raise LogindError(f"cannot connect to the system bus: {error}") from error
        try:
            rule = MatchRule(
                type="signal", interface=_INTERFACE, path=_PATH, member="PrepareForShutdown", sender=_NAME
            )
            self._call("follow PrepareForShutdown", message_bus.AddMatch(rule))
            # The sender of a signal is a number there, not the name it was asked for by.
            local = MatchRule(type="signal", interface=_INTERFACE, path=_PATH, member="PrepareForShutdown")
            self._connection.filter(local, queue=self._news)
        except LogindError:
            self._connection.close()
            raise

    def longest_delay(self) -> float:
        """Seconds for which a lock delays a shutdown at most: InhibitDelayMaxSec of logind.conf(5)."""
        microseconds: int = self._property("InhibitDelayMaxUSec")
        return microseconds / 1_000_000

    def lock(self, why: str) -> int:
        """A descriptor that delays shutdowns for as long as it is open."""
        arguments = ("shutdown", "minipod", why, "delay")
        message = new_method_call(self._address, "Inhibit", "ssss", arguments)
        (fd,) = self._call("take a lock that delays shutdown", message)
        number: int = fd.to_raw_fd()
        os.set_inheritable(number, False)
        return number

    def allow_delay(self, seconds: float, *, drop_in: Path = DROP_IN) -> None:
        """Raise InhibitDelayMaxSec, if it is less, by a file that logind reads when told to."""
        if self.longest_delay() >= seconds:
            return
        try:
            drop_in.parent.mkdir(parents=True, exist_ok=True)
            drop_in.write_text(f"# Written by minipod.\n[Login]\nInhibitDelayMaxSec={seconds:.0f}\n")
        except OSError as error:
            raise LogindError(f"cannot raise logind's InhibitDelayMaxSec: {error}") from error
        self.reload()
        deadline = time.monotonic() + _RELOAD_TIMEOUT
        while (delay := self.longest_delay()) < seconds:
            if time.monotonic() > deadline:
                raise LogindError(
                    f"logind delays a shutdown by {delay:g} s at most, not by {seconds:g} s: another file sets "
                    f"InhibitDelayMaxSec after {drop_in.name} (systemd-analyze cat-config systemd/logind.conf)"
                )
            time.sleep(_RELOAD_PAUSE)

    def reload(self) -> None:
        """Have logind read its configuration again."""
        arguments = ("systemd-logind.service", "main", _SIGHUP)
        self._call("reload logind", new_method_call(_SYSTEMD, "KillUnit", "ssi", arguments))

    def follow(self, on_shutdown: Callable[[bool], None], on_lost: Callable[[Exception], None]) -> None:
        """Call, from the event loop, when a shutdown begins (True) or is called off (False), or the bus has gone.

        Between this and close() no other method may be used.
        """
        self._on_shutdown, self._on_lost = on_shutdown, on_lost
        asyncio.get_running_loop().add_reader(self._connection.sock, self._readable)
        self._tell()  # what came during the calls before

    def close(self) -> None:
        if self._on_shutdown is not None:
            asyncio.get_running_loop().remove_reader(self._connection.sock)
            self._on_shutdown = None
        self._connection.close()

    def _readable(self) -> None:
        try:
            while True:
                self._connection.recv_messages(timeout=0)
        except TimeoutError:
            self._tell()
        except Exception as error:
            asyncio.get_running_loop().remove_reader(self._connection.sock)
            if self._on_lost is not None:
                self._on_lost(error)

    def _tell(self) -> None:
        while self._news and self._on_shutdown is not None:
            self._on_shutdown(bool(self._news.popleft().body[0]))

    def _property(self, name: str) -> Any:
        (found,) = self._call(f"read {name} of logind", Properties(self._address).get(name))
        return found[1]

    def _call(self, what: str, message: Message) -> Any:
        try:
            return unwrap_msg(self._connection.send_and_get_reply(message, timeout=_TIMEOUT))
        except (DBusErrorResponse, OSError) as error:
            raise LogindError(f"cannot {what}: {error}") from error
