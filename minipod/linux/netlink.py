"""netlink(7): framing of messages and attributes, and a socket that sends many requests in one system call.

The kernel works through a netlink datagram inside sendmsg(2), so an answer is always waiting when the call returns:
nothing here blocks for longer than the kernel needs. Knows no message type; rtnetlink(7) and conntrack build on it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_ECHO = 0x8
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_REPLACE = 0x100

NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLMSGERR_ATTR_MSG = 1

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
ERROR = struct.Struct("=i")
RECEIVE_SIZE = 1 << 16
"""More than the kernel ever puts into one datagram (NLMSG_GOODSIZE and dumps: 32 KiB)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request. `call` names type and operands for errors: "RTM_NEWLINK(mp0, kind=veth)"."""

    kind: int
    flags: int
    body: bytes
    call: str


def attribute(kind: int, payload: bytes) -> bytes:
    """A type-length-value, padded to four bytes."""
    length = len(payload) + 4
    return ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length % 4)


def string(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=B", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes in `data` from `offset` on, by type. Of two of one type the last counts."""
    found = {}
    while offset + 4 <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & NLA_TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


class NetlinkSocket:
    """A netlink socket of one protocol, in the network namespace of the thread that makes it, for good.

    Used by one thread at a time. Every failed request raises OSError with errno and the message's `call`, plus what
    the kernel says about it (extended acknowledgement).
    """

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, *messages: Message) -> list[bytes]:
        """Send all in one datagram and return the bodies the kernel answered with.

        The kernel carries on after a message that failed; the error raised is the first one's.
        """
        first = self._send(messages, NLM_F_ACK)
        bodies: list[bytes] = []
        failure: OSError | None = None
        waiting = len(messages)
        while waiting:
            for kind, flags, sequence, body in self._receive():
                if not first <= sequence < first + len(messages):
                    continue
                if kind != NLMSG_ERROR:
                    bodies.append(body)
                    continue
                waiting -= 1
                failure = failure or _failure(flags, body, messages[sequence - first])
        if failure:
            raise failure
        return bodies

    def dump(self, message: Message) -> list[bytes]:
        """The bodies of all objects a dump request lists."""
        first = self._send((message,), NLM_F_DUMP)
        bodies: list[bytes] = []
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != first:
                    continue
                if kind == NLMSG_DONE:
                    return bodies
                if kind == NLMSG_ERROR:
                    raise _failure(flags, body, message) or _error(errno.EPROTO, message.call)
                bodies.append(body)

    def _send(self, messages: tuple[Message, ...], flags: int) -> int:
        first = self._sequence + 1
        self._sequence += len(messages)
        parts = []
        for number, message in enumerate(messages, first):
            length = HEADER.size + len(message.body)
            flag = message.flags | flags | NLM_F_REQUEST
            parts += [
                HEADER.pack(length, message.kind, flag, number, 0),
                message.body,
                b"\0" * (-length % 4),
            ]
        self._socket.send(b"".join(parts))
        return first

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data, (sender, _) = self._socket.recvfrom(RECEIVE_SIZE)
        if sender != 0:
            return  # not the kernel: a process with CAP_NET_ADMIN in this namespace, a pod's say, plays it
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _failure(flags: int, body: bytes, message: Message) -> OSError | None:
    """What an NLMSG_ERROR says; None for an acknowledgement (error 0)."""
    number = -ERROR.unpack_from(body)[0]
    if not number:
        return None
    said = b""
    if flags & NLM_F_ACK_TLVS:
        echoed = 0 if flags & NLM_F_CAPPED else HEADER.unpack_from(body, ERROR.size)[0] - HEADER.size
        said = attributes(body, ERROR.size + HEADER.size + echoed).get(NLMSGERR_ATTR_MSG, b"")
    return _error(number, message.call, said.rstrip(b"\0").decode(errors="replace"))


def _error(number: int, call: str, said: str = "") -> OSError:
    text = os.strerror(number)
    return OSError(number, f"{call}: {text} ({said})" if said else f"{call}: {text}")
