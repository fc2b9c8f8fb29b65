"""Who is asking. What they may do is another question (authorization)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import web

from minipod.api import errors

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()


ADMIN = User("system:admin", (MASTERS, AUTHENTICATED))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))

Authenticator: TypeAlias = Callable[[web.BaseRequest], User]
"""Raises StatusError 401 or 403 for those who are not let in."""


def unix_peer(request: web.BaseRequest) -> User:
    """Root at the other end of a unix socket, or who runs this daemon, is the administrator (unix(7), SO_PEERCRED)."""
    uid = _peer_uid(request)
    if uid is None or uid not in (0, os.geteuid()):
        who = "unknown" if uid is None else f"uid {uid}"
        raise errors.forbidden("", "", f"the API socket is for root, the peer is {who}")
    return ADMIN


def client_certificate(request: web.BaseRequest) -> User:
    """The name and the groups in the certificate that the peer has shown; nobody's without one.

    TLS has seen to it that the local authority signed it. Raises StatusError 401 for a token: there are none yet.
    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates
    """
    if "Authorization" in request.headers:
        raise errors.unauthorized()
    shown = request.transport.get_extra_info("peercert") if request.transport else None
    if not shown:
        return ANONYMOUS
    subject = [pair for part in shown.get("subject", ()) for pair in part]
    name = next((value for key, value in subject if key == "commonName"), "")
    if not name:
        raise errors.unauthorized()
    groups = [value for key, value in subject if key == "organizationName"]
    return User(name, (*groups, AUTHENTICATED))


def anyone(_: web.BaseRequest) -> User:
    """For tests on the loopback interface: no question asked."""
    return ADMIN


def _peer_uid(request: web.BaseRequest) -> int | None:
    transport = request.transport
    sock = transport.get_extra_info("socket") if transport else None
    if sock is None or sock.family != socket.AF_UNIX:
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)
