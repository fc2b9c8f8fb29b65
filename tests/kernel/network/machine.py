"""A small world of network namespaces: the node a test runs in, its pods, and somebody outside.

The test's own thread is the node: it lives in a fresh network namespace until the test has ended, and so does every
thread and process started meanwhile. Everything that talks does so with real packets.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from minipod.linux.namespaces import CLONE_NEWNET, setns, unshare
from minipod.linux.netns import run_in_netns
from tests.helpers.wait import wait_until

T = TypeVar("T")

NODE_ADDRESS = "198.51.100.1"
WORLD_ADDRESS = "198.51.100.2"
PATIENCE = 5.0
"""Seconds an answer may take."""
IMPATIENCE = 0.3
"""Seconds in which an answer that must not come would have come (answers take less than a millisecond)."""


@contextlib.contextmanager
def fresh_netns() -> Iterator[None]:
    """The calling thread lives in a network namespace of its own, with lo up, and comes back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            run("ip", "link", "set", "lo", "up")
            yield
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


class Machine:
    """A process in a network namespace of its own: a pod's infra process, or a machine in the world outside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._holder = subprocess.Popen(["unshare", "--net", "--", "sleep", "infinity"])
        self._listeners: list[socket.socket] = []
        own = os.stat("/proc/thread-self/ns/net").st_ino
        wait_until(lambda: os.stat(self.netns).st_ino != own, message="unshare to make a namespace")

    @property
    def netns(self) -> Path:
        return Path(f"/proc/{self._holder.pid}/ns/net")

    def end(self) -> None:
        """Kill the process; its namespace goes with it, unless something else holds it."""
        for listener in self._listeners:
            # A thread that waits in accept or recv is not woken by close alone.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._listeners.clear()
        self._holder.kill()
        self._holder.wait()

    def inside(self, work: Callable[[], T]) -> T:
        """Call `work` in this machine's network namespace."""
        fd = os.open(self.netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return run_in_netns(fd, work)
        finally:
            os.close(fd)

    def run(self, *argv: str) -> str:
        return self.inside(lambda: run(*argv))

    def serve(self, port: int, address: str = "0.0.0.0") -> None:
        """Answer on TCP and UDP with this machine's name and the address of who asks."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            self._listeners.append(self.inside(lambda kind=kind: serve(self.name, port, address, kind)))

    def ask(self, protocol: str, address: str, port: int, **options: Any) -> str | None:
        """Ask a server, from here. See `ask`."""
        return self.inside(lambda: ask(protocol, address, port, **options))


def serve(name: str, port: int, address: str, kind: socket.SocketKind) -> socket.socket:
    """A listening socket, answered by a thread until it is closed."""
    listener = socket.socket(socket.AF_INET, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))

    def tcp() -> None:
        while True:
            connection, peer = listener.accept()
            with connection:
                connection.sendall(f"{name} {peer[0]}".encode())

    def udp() -> None:
        while True:
            _, peer = listener.recvfrom(100)
            if not peer:
                return
            listener.sendto(f"{name} {peer[0]}".encode(), peer)

    def answer() -> None:
        with contextlib.suppress(OSError):
            tcp() if kind == socket.SOCK_STREAM else udp()

    if kind == socket.SOCK_STREAM:
        listener.listen(64)
    threading.Thread(target=answer, daemon=True).start()
    return listener


def ask(
    protocol: str, address: str, port: int, *, timeout: float = PATIENCE, source_port: int = 0
) -> str | None:
    """ "NAME ADDRESS" (who answered, whom it saw), None when nobody did."""
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(timeout)
        client.bind(("0.0.0.0", source_port))
        try:
            client.connect((address, port))
            if protocol == "UDP":
                client.send(b"?")
            return client.recv(100).decode()
        except (TimeoutError, ConnectionRefusedError, OSError):
            return None


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
    return done.stdout


def links(*argv: str) -> dict[str, dict[str, Any]]:
    """`ip -j address` of the calling thread's namespace, by interface name."""
    return {link["ifname"]: link for link in json.loads(run("ip", "-j", "-d", "address", *argv))}


def connect_world(world: Machine, mtu: int = 1500) -> None:
    """A cable between node and world; the node's default route leads there. The world knows nothing of pods."""
    pid = world.netns.parts[2]
    run("ip", "link", "add", "up0", "mtu", str(mtu), "type", "veth", "peer", "name", "eth0", "netns", pid)
    run("ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", "up0")
    run("ip", "link", "set", "up0", "up")
    world.run("ip", "address", "add", f"{WORLD_ADDRESS}/24", "dev", "eth0")
    world.run("ip", "link", "set", "eth0", "mtu", str(mtu), "up")
    run("ip", "route", "add", "default", "via", WORLD_ADDRESS)
    wait_until(lambda: links("show", "dev", "up0")["up0"]["operstate"] == "UP")
