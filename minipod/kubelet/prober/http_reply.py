"""One HTTP/1.1 answer as it comes in, byte by byte if need be, from a peer that is not trusted.

Only what a probe decides by is looked at: status, Location, where the body ends and its first 10 KiB.
https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import re

from minipod.kubelet.prober.types import MAX_OUTPUT

MAX_HEAD = 64 * 1024
"""Bytes of status line and headers, those of interim answers included."""
MAX_INTERIM = 5
"""How many 1xx answers may come first, as for Go's client."""
MAX_CHUNK_LINE = 1024
MAX_CHUNK_EXCESS = 16 * 1024
"""Bytes of a chunked body that may be something else than data, beyond 16 per chunk and two per byte, as in Go."""

_START = b"HTTP/1."
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: [^\r\n]*)?")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class MalformedReplyError(Exception):
    """The peer does not speak HTTP/1, or not in bounds; says how in Go's words."""


class HttpReply:
    """Fed with bytes until `complete`; then `status`, `location` and `body` (cut off at 10 KiB) are final."""

    def __init__(self) -> None:
        self.status = 0
        self.location = ""
        self.complete = False
        self._head = bytearray()
        self._interim = 0
        self._interim_bytes = 0
        self._body = bytearray()
        self._length: int | None = None
        self._chunked: _Chunks | None = None

    @property
    def body(self) -> str:
        return self._body.decode(errors="replace")

    def feed(self, data: bytes) -> None:
        """Take what has come; nothing is kept beyond the bounds. Raises MalformedReplyError."""
        if self.complete:
            return
        if self.status:
            self._feed_body(data)
            return
        unsearched = max(
            0, len(self._head) - 3
        )  # a peer that drips must not have all of it searched each time
        self._head += data
        while (found := self._empty_line(unsearched)) is not None:
            unsearched = 0
            head, rest = bytes(self._head[: found.start()]), bytes(self._head[found.end() :])
            self._head = bytearray(rest)
            if self._is_final(head):
                self._head.clear()
                self._feed_body(rest)
                return
            self._interim_bytes += found.end()
        if self._interim_bytes + len(self._head) > MAX_HEAD:
            raise MalformedReplyError(
                f"net/http: server response headers exceeded {MAX_HEAD} bytes; aborted"
            )

    def end(self) -> None:
        """The peer has closed. Raises MalformedReplyError when something is missing."""
        if self.complete:
            return
        if not self.status:
            raise MalformedReplyError("unexpected EOF" if self._head else "EOF")
        if self._chunked is not None or self._length is not None:
            raise MalformedReplyError("unexpected EOF")
        self.complete = True

    def _empty_line(self, start: int) -> re.Match[bytes] | None:
        """The line that ends the headers. Raises MalformedReplyError as soon as the first line is wrong."""
        found = _EMPTY_LINE.search(self._head, start)
        if found is None and self._head[: len(_START)] != _START[: len(self._head)]:
            raise _malformed(bytes(self._head))
        return found

    def _is_final(self, head: bytes) -> bool:
        """Read a status line and its headers; False for an interim answer."""
        lines = head.split(b"\n")
        first = lines[0].removesuffix(b"\r")
        matched = _STATUS.fullmatch(first)
        if matched is None:
            raise _malformed(first)
        status = int(matched[1])
        if 100 <= status < 200 and status != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise MalformedReplyError("net/http: too many 1xx informational responses")
            return False
        self._read_fields(lines[1:])
        self.status = status
        if status in (101, 204, 304) or (self._length == 0 and self._chunked is None):
            self.complete = True
        return True

    def _read_fields(self, lines: list[bytes]) -> None:
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name:
                raise MalformedReplyError(f"malformed MIME header line: {_shown(line)}")
            lowered = name.lower()
            if lowered == b"location":
                self.location = value.strip().decode("latin-1")
            elif lowered == b"content-length":
                self._length = _length(value.strip())
            elif lowered == b"transfer-encoding":
                if value.strip().lower() != b"chunked":
                    raise MalformedReplyError(f"net/http: unsupported transfer encoding {_shown(value)}")
                self._chunked = _Chunks()

    def _feed_body(self, data: bytes) -> None:
        if self.complete:
            return
        if self._chunked is not None:
            data = self._chunked.feed(data)
            self.complete = self._chunked.ended
        self._body += data[: MAX_OUTPUT - len(self._body)]
        enough = MAX_OUTPUT if self._chunked or self._length is None else min(self._length, MAX_OUTPUT)
        if len(self._body) >= enough:
            del self._body[enough:]
            self.complete = True


class _Chunks:
    """Takes the chunked transfer coding off a body."""

    def __init__(self) -> None:
        self.ended = False
        self._line = bytearray()
        self._left = 0
        self._excess = 0
        self._after_data = False

    def feed(self, data: bytes) -> bytes:
        out = bytearray()
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                piece = data[at : at + self._left]
                out += piece
                at += len(piece)
                self._left -= len(piece)
                self._after_data = not self._left
                continue
            end = data.find(b"\n", at)
            self._line += data[at : end + 1 if end >= 0 else None]
            if len(self._line) > MAX_CHUNK_LINE:
                raise MalformedReplyError("header line too long")
            if end < 0:
                break
            at = end + 1
            self._read_line()
        return bytes(out)

    def _read_line(self) -> None:
        line = bytes(self._line).rstrip(b"\r\n")
        self._line.clear()
        if self._after_data:
            self._after_data = False
            if line:
                raise MalformedReplyError("malformed chunked encoding")
            return
        matched = _CHUNK_SIZE.fullmatch(line)
        if matched is None:
            raise MalformedReplyError("invalid byte in chunk length")
        self._left = int(matched[1], 16)
        self._excess = max(0, self._excess + len(line) + 2 - 16 - 2 * self._left)
        if self._excess > MAX_CHUNK_EXCESS:
            raise MalformedReplyError("chunked encoding contains too much non-data")
        self.ended = not self._left  # trailers change nothing


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise MalformedReplyError(f"bad Content-Length {_shown(value)}")
    return int(value)


def _malformed(first: bytes) -> MalformedReplyError:
    shown = _shown(first.split(b"\n")[0].removesuffix(b"\r"))
    return MalformedReplyError(
        f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {shown}"
    )


def _shown(data: bytes) -> str:
    """The start of what a peer sent, quoted and printable."""
    return '"' + ascii(data[:64].decode("latin-1"))[1:-1] + '"'
