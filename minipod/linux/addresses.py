"""rtnetlink(7): the addresses this machine has, and word of every change.

Asked by hand instead of by pyroute2, because it is one question of 24 bytes and the answer two fixed structures.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator

_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x01, 0x300
_RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x10, 0x100
_RT_SCOPE_UNIVERSE = 0
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_TEMPORARY = 0x01
_HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_IFADDRMSG = struct.Struct("=BBBBI")
"""family, prefix length, flags, scope, interface."""
_RTATTR = struct.Struct("=HH")
_BUFFER = 1 << 16


def machine_addresses() -> tuple[str, ...]:
    """Every address that is good beyond this link and lasts: no loopback, link-local or temporary ones. OSError."""
    found: set[str] = set()
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as asking:
        size = _HEADER.size + _IFADDRMSG.size
        head = _HEADER.pack(size, _RTM_GETADDR, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
        asking.sendto(head + _IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0), (0, 0))
        while True:
            for kind, body in _messages(asking.recv(_BUFFER)):
                if kind == _NLMSG_DONE:
                    return tuple(sorted(found))
                if kind == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, "RTM_GETADDR was refused")
                if kind == _RTM_NEWADDR and (address := _lasting(body)):
                    found.add(address)


def open_changes() -> socket.socket:
    """A non-blocking socket that becomes readable when addresses come and go. Raises OSError."""
    sock = socket.socket(
        socket.AF_NETLINK,
        socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
        socket.NETLINK_ROUTE,
    )
    try:
        sock.bind((0, _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError:
        sock.close()
        raise
    return sock


def is_change(data: bytes) -> bool:
    """Whether a datagram from open_changes() is about an address machine_addresses() would name.

    Links of pods come and go all the time, each with a link-local address.
    """
    return any(kind in (_RTM_NEWADDR, _RTM_DELADDR) and _lasting(body) for kind, body in _messages(data))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _lasting(body: bytes) -> str:
    """ "" for what is not such an address."""
    family, _, flags, scope, _ = _IFADDRMSG.unpack_from(body)
    temporary = family == socket.AF_INET6 and flags & _IFA_F_TEMPORARY
    if scope != _RT_SCOPE_UNIVERSE or temporary:
        return ""
    attributes = dict(_attributes(body[_IFADDRMSG.size :]))
    # Of a point-to-point link IFA_ADDRESS is the other end.
    packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    if packed is None or len(packed) not in (4, 16):
        return ""
    address = ipaddress.ip_address(packed)
    return "" if address.is_loopback else str(address)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _RTATTR.size <= len(data):
        length, kind = _RTATTR.unpack_from(data, at)
        if length < _RTATTR.size:
            return
        yield kind, data[at + _RTATTR.size : at + length]
        at += (length + 3) & ~3
