"""Image names against what Docker and containerd make of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.images.errors import ImageError, InvalidReferenceError
from minipod.images.reference import familiar, parse

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox:latest"),
        ("minipod/base", "docker.io/minipod/base:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("registry.k8s.io/a/b/c", "registry.k8s.io/a/b/c:latest"),
        ("[fe80::1]:5000/app", "[fe80::1]:5000/app:latest"),
        ("Registry/app", "Registry/app:latest"),
        ("app.with.dots", "docker.io/library/app.with.dots:latest"),
        ("a__b-c/e--f.g", "docker.io/a__b-c/e--f.g:latest"),
        (f"busybox@{SHA}", f"docker.io/library/busybox@{SHA}"),
        (f"busybox:1@{SHA}", f"docker.io/library/busybox:1@{SHA}"),
        ("app:_Tag.With-Case", "docker.io/library/app:_Tag.With-Case"),
    ],
)
def test_names_are_completed(typed: str, full: str) -> None:
    assert str(parse(typed)) == full
    assert str(parse(full)) == full


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "at least one component"),
        ("Busybox", "repository name (library/Busybox) must be lowercase"),
        ("a/Busybox:V1", "repository name (a/Busybox) must be lowercase"),
        ("a" * 64, "cannot specify 64-byte hexadecimal strings"),
        ("busybox:", "invalid reference format"),
        ("busybox:1:2", "invalid reference format"),
        (":tag", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("../../etc/passwd", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("x/" + "a" * 256, "must not be more than 255 characters"),
        ("a@sha256:" + "a" * 63, "sha256 has 64 lower-case hex digits"),
        ("a@sha256:" + "A" * 64, "sha256 has 64 lower-case hex digits"),
        ("a@md5:" + "a" * 32, "unsupported digest algorithm 'md5'"),
        ("a@sha256:xyz", "invalid reference format"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(typed: str, reason: str) -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        parse(typed)
    assert reason in str(caught.value)
    assert isinstance(caught.value, (ImageError, ValueError))


def test_a_very_long_name_is_not_echoed_whole() -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        parse("é" * 100_000)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/minipod/base:1", "minipod/base:1"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("docker.io/library/a/b:1", "library/a/b:1"),
        ("docker.io/localhost/app:1", "docker.io/localhost/app:1"),
        (f"docker.io/library/busybox@{SHA}", f"busybox@{SHA}"),
    ],
)
def test_the_short_form(full: str, short: str) -> None:
    assert familiar(full) == short


@given(st.text("aZ0.:/@-_[]é", max_size=20) | st.text(max_size=30))
def test_any_text_parses_to_a_fixed_point_or_is_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidReferenceError:
        return
    assert parse(str(reference)) == reference
    assert parse(familiar(str(reference))) == reference
