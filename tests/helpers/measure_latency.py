"""A program that measures a node from outside while something else goes on: `python -I -S FILE SOCKET HOST:PORT`.

Until its stdin closes it asks, in turn, the daemon's API by its unix socket and a web server by TCP, each time on a
new connection as a stranger would. Then it prints the seconds each answer took, as JSON; a failure counts as an hour.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

PAUSE = 0.03
GIVE_UP = 20.0
FAILED = 3600.0
API = b"GET /api/v1/namespaces/default/pods/neighbour HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
WEB = b"GET / HTTP/1.0\r\n\r\n"


def ask(family: int, address: str | tuple[str, int], request: bytes) -> float:
    began = time.monotonic()
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(GIVE_UP)
            connection.connect(address)
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
    except OSError:
        return FAILED
    return time.monotonic() - began if b" 200 " in answer[:20] else FAILED


def main() -> None:
    path, web = sys.argv[1:]
    host, _, port = web.rpartition(":")
    found: dict[str, list[float]] = {"api": [], "web": []}
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        found["api"].append(ask(socket.AF_UNIX, path, API))
        found["web"].append(ask(socket.AF_INET, (host, int(port)), WEB))
    print(json.dumps(found))


main()
