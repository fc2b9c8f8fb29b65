"""netlink(7): requests that pyroute2 encodes, and a socket that sends many of them in one system call.

pyroute2 knows the messages, both ways. Only the sending is our own: pyroute2's sockets send one request at a time and
from an event loop each brings along, which is 4 to 60 ms for every pod. The kernel works through a netlink datagram
inside sendmsg(2), so an answer is always waiting when the call returns: nothing here blocks for longer than the kernel
needs. No message type is known here; rtnetlink(7) and conntrack build on it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from pyroute2.netlink import (
    NETLINK_EXT_ACK,
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
    nlmsg,
    nlmsg_base,
    nlmsgerr,
)

HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence number, port."""
SEQUENCE, SEQUENCE_OFFSET = struct.Struct("=I"), 8
ERROR = struct.Struct("=i")
"""What follows the header of an NLMSG_ERROR: a negative errno, or 0."""
ATTRIBUTE_HEADER = 4
RECEIVE_SIZE = 1 << 16
"""More than the kernel ever puts into one datagram (NLMSG_GOODSIZE and dumps: 32 KiB)."""
TEMPLATES = 64
"""Encoded requests to keep. A pod needs eight; MTUs, indices and lengths of aliases make others."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request as the kernel reads it, all but its number; can be sent any number of times.

    `call` names type and operands for errors: "RTM_NEWLINK(mp0, kind=veth)".
    """

    data: bytes
    call: str


@dataclass(frozen=True, slots=True)
class Varying:
    """An attribute's value that is another one in every use of a request, as the bytes to send.

    pyroute2 encodes `room` in its place, which has as many bytes, or more: the rest is filled with zeros.
    """

    room: str | int
    value: bytes = field(compare=False)


Value = int | str | Varying | tuple[tuple[str, "Value"], ...]
Attributes = tuple[tuple[str, Value], ...]
"""Names as in the kernel's headers, and values as pyroute2 takes them; nested ones are Attributes again."""


def message(
    layout: type[nlmsg], kind: int, flags: int, call: str, attributes: Attributes = (), /, **fields: int
) -> Message:
    """A request of type `kind`, encoded by pyroute2's class for it; flags as for `encode`.

    Requests that differ in their `Varying` values only are encoded once: that takes pyroute2 up to 0.5 ms, half of
    what all of a pod's network takes the kernel. Raises ValueError for a value that has no room.
    """
    template = _template(layout, kind, flags, tuple(fields.items()), attributes)
    data = bytearray(template.data)
    for place, value in zip(template.places, _varying(attributes), strict=True):
        size = place.stop - place.start
        if len(value) > size:
            raise ValueError(f"{call}: {value!r} has {len(value)} bytes, at most {size} fit")
        data[place] = value.ljust(size, b"\0")
    return Message(bytes(data), call)


def encode(request: nlmsg, kind: int, flags: int, call: str) -> Message:
    """pyroute2's `request` as one of type `kind` with `flags` (NLM_F_REQUEST and NLM_F_ACK go without saying)."""
    request["header"]["type"] = kind
    request["header"]["flags"] = NLM_F_REQUEST | NLM_F_ACK | flags
    request.encode()
    return Message(bytes(request.data), call)


def decode(layout: type[nlmsg], answer: bytes) -> nlmsg:
    """A message the kernel sent, by pyroute2's class for it."""
    found = layout(answer)
    found.decode()
    return found


@dataclass(frozen=True, slots=True)
class _Template:
    data: bytes
    places: tuple[slice, ...]
    """Where the Varying values belong."""


@lru_cache(TEMPLATES)
def _template(
    layout: type[nlmsg], kind: int, flags: int, fields: tuple[tuple[str, int], ...], attributes: Attributes
) -> _Template:
    request = layout()
    request.update(fields)
    request["attrs"] = _as_pyroute2_takes(attributes)
    data = encode(request, kind, flags, "").data
    return _Template(data, tuple(_places(request, attributes)))


def _as_pyroute2_takes(attributes: Attributes) -> list[tuple[str, object]]:
    taken: list[tuple[str, object]] = []
    for name, value in attributes:
        if isinstance(value, tuple):
            taken.append((name, {"attrs": _as_pyroute2_takes(value)}))
        else:
            taken.append((name, value.room if isinstance(value, Varying) else value))
    return taken


def _places(encoded: nlmsg_base, attributes: Attributes) -> Iterator[slice]:
    """Where in the message pyroute2 has put the Varying values, in their order."""
    for slot, (_, value) in zip(encoded["attrs"], attributes, strict=True):
        if isinstance(value, tuple):
            yield from _places(slot.nla, value)
        elif isinstance(value, Varying):
            yield slice(slot.nla.offset + ATTRIBUTE_HEADER, slot.nla.offset + slot.nla.length)


def _varying(attributes: Attributes) -> Iterator[bytes]:
    for _, value in attributes:
        if isinstance(value, tuple):
            yield from _varying(value)
        elif isinstance(value, Varying):
            yield value.value


class NetlinkSocket:
    """A netlink socket of one protocol, in the network namespace of the thread that makes it, for good.

    Used by one thread at a time. Every failed request raises OSError with errno and the message's `call`, plus what
    the kernel says about it (extended acknowledgement).
    """

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        # No NETLINK_CAP_ACK: pyroute2 finds an error's text behind the request it echoes.
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, *messages: Message) -> list[bytes]:
        """Send all in one datagram and return the messages the kernel answered with, to be decoded.

        The kernel carries on after a message that failed; the error raised is the first one's.
        """
        first = self._send(messages)
        answers: list[bytes] = []
        failure: OSError | None = None
        waiting = len(messages)
        while waiting:
            for kind, number, answer in self._receive(first, len(messages)):
                if kind != NLMSG_ERROR:
                    answers.append(answer)
                    continue
                waiting -= 1
                failure = failure or _failure(answer, messages[number])
        if failure:
            raise failure
        return answers

    def dump(self, message: Message) -> list[bytes]:
        """The messages of all objects that a request with NLM_F_DUMP lists."""
        first = self._send((message,))
        answers: list[bytes] = []
        while True:
            for kind, _, answer in self._receive(first, 1):
                if kind == NLMSG_DONE:
                    return answers
                if kind == NLMSG_ERROR:
                    raise _failure(answer, message) or _error(errno.EPROTO, message.call)
                answers.append(answer)

    def _send(self, messages: tuple[Message, ...]) -> int:
        first = self._sequence + 1
        self._sequence += len(messages)
        datagram = bytearray()
        for number, message in enumerate(messages, first):
            start = len(datagram)
            datagram += message.data
            SEQUENCE.pack_into(datagram, start + SEQUENCE_OFFSET, number)
        self._socket.send(datagram)
        return first

    def _receive(self, first: int, count: int) -> Iterator[tuple[int, int, bytes]]:
        """Type, number of the request (from 0), and the whole, of each message of the next datagram."""
        data, (sender, _) = self._socket.recvfrom(RECEIVE_SIZE)
        if sender != 0:
            return  # not the kernel: a process with CAP_NET_ADMIN in this namespace, a pod's say, plays it
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, _, sequence, _ = HEADER.unpack_from(data, offset)
            if first <= sequence < first + count:
                yield kind, sequence - first, data[offset : offset + length]
            offset += (length + 3) & ~3


def _failure(answer: bytes, message: Message) -> OSError | None:
    """What an NLMSG_ERROR says; None for an acknowledgement (error 0)."""
    number = -ERROR.unpack_from(answer, HEADER.size)[0]
    if not number:
        return None
    return _error(number, message.call, decode(nlmsgerr, answer).get_attr("NLMSGERR_ATTR_MSG", ""))


def _error(number: int, call: str, said: str = "") -> OSError:
    text = os.strerror(number)
    return OSError(number, f"{call}: {text} ({said})" if said else f"{call}: {text}")
