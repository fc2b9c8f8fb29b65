"""Reading one HTTP answer, whole and torn into single bytes, friendly and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.kubelet.prober.http_reply import MAX_HEAD, HttpReply, MalformedReplyError
from minipod.kubelet.prober.types import MAX_OUTPUT

OK = b"HTTP/1.1 200 OK\r\n"


def read(data: bytes, *, torn: bool, end: bool = True) -> HttpReply:
    reply = HttpReply()
    for piece in [data[i : i + 1] for i in range(len(data))] if torn else [data]:
        reply.feed(piece)
    if end:
        reply.end()
    return reply


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", 200, "ok"),
        (OK + b"Content-Length: 2\r\n\r\nok, and more than was said", 200, "ok"),
        (OK + b"content-length:0\r\n\r\n", 200, ""),
        (OK + b"\r\nuntil the end", 200, "until the end"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, "abcde"),
        (b"HTTP/1.0 404 Not Found\n\nbody", 404, "body"),
        (b"HTTP/1.1 204\r\n\r\n", 204, ""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n", 304, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5 + OK + b"Content-Length: 1\r\n\r\nx", 200, "x"),
        (b"HTTP/1.1 500 \r\nContent-Length: 1\r\n\r\n\xff", 500, "\ufffd"),
    ],
)
def test_answers(data: bytes, status: int, body: str, torn: bool) -> None:
    reply = read(data, torn=torn)
    assert (reply.complete, reply.status, reply.body) == (True, status, body)


def test_complete_without_an_end_where_the_length_is_known() -> None:
    assert read(OK + b"Content-Length: 2\r\n\r\nok", torn=True, end=False).complete
    assert read(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", torn=True, end=False).complete
    assert not read(OK + b"\r\nok", torn=True, end=False).complete


def test_interim_answers_count_as_headers() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n" + b"a:\r\n" * (MAX_HEAD // 8) + b"\r\n"
    assert read(interim + OK + b"\r\n", torn=False).status == 200
    reply = HttpReply()
    reply.feed(interim)
    with pytest.raises(MalformedReplyError, match="headers exceeded"):
        reply.feed(interim + interim)


def test_a_chunked_body_is_mostly_data() -> None:
    """As in Go: extensions of 1 KiB around each byte would have the daemon read megabytes for 10 KiB of body."""
    chunks = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 1000 + b"\r\na\r\n"
    with pytest.raises(MalformedReplyError, match="too much non-data"):
        read(chunks + (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 16, torn=False)
    usual = (b"5;name=value\r\nabcde\r\n") * 2000 + b"0\r\n\r\n"
    assert read(OK + b"Transfer-Encoding: chunked\r\n\r\n" + usual, torn=False).complete


def test_location() -> None:
    assert read(b"HTTP/1.1 302 Found\r\nLOCATION: /next \r\n\r\n", torn=False).location == "/next"


@pytest.mark.parametrize(
    "head",
    [b"\r\n", b"Content-Length: 99999999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n"],
)
def test_a_long_body_is_cut_off(head: bytes) -> None:
    reply = read(OK + head + b"x" * (MAX_OUTPUT + 5), torn=False, end=False)
    assert reply.complete
    assert reply.body == "x" * MAX_OUTPUT


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "EOF"),
        (b"HTTP/1", "unexpected EOF"),
        (OK, "unexpected EOF"),
        (OK + b"Content-Length: 3\r\n\r\nab", "unexpected EOF"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab", "unexpected EOF"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 'malformed HTTP response "S'),
        (b"\x15\x03\x01\x00\x02", r'malformed HTTP response "\\x15'),
        (b"HTTP/2.0 200 OK\r\n\r\n", "malformed HTTP response"),
        (b"HTTP/1.1 20 OK\r\n\r\n", 'malformed HTTP response "HTTP/1.1 20 OK"'),
        (b"HTTP/1.1 2000\r\n\r\n", "malformed HTTP response"),
        (OK + b"no colon\r\n\r\n", 'malformed MIME header line: "no colon'),
        (OK + b": empty name\r\n\r\n", "malformed MIME header line"),
        (OK + b"Content-Length: -1\r\n\r\n", 'bad Content-Length "-1"'),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "bad Content-Length"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", "unsupported transfer encoding"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "invalid byte in chunk length"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 2000, "header line too long"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "malformed chunked encoding"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 6, "too many 1xx"),
    ],
)
def test_hostile_answers(data: bytes, words: str, torn: bool) -> None:
    with pytest.raises(MalformedReplyError, match=words):
        read(data, torn=torn)


def drown(reply: HttpReply) -> None:
    for _ in range(MAX_HEAD):
        reply.feed(b"a: b\r\n")


def test_headers_without_end_are_bounded() -> None:
    reply = HttpReply()
    reply.feed(OK)
    with pytest.raises(MalformedReplyError, match="response headers exceeded"):
        drown(reply)


@given(
    st.lists(st.binary(max_size=60), max_size=8),
    st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"]),
)
def test_any_bytes_give_an_answer_or_one_kind_of_error(pieces: list[bytes], start: bytes) -> None:
    reply = HttpReply()
    said = ""
    try:
        for piece in [start, *pieces]:
            reply.feed(piece)
        reply.end()
    except MalformedReplyError as error:
        said = str(error)
    assert said.isprintable()
    assert bool(said) is not (reply.complete and 100 <= reply.status <= 999)
