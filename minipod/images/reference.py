"""Image names: what users type, and the one full name it stands for.

    busybox                          docker.io/library/busybox:latest
    minipod/base:1                   docker.io/minipod/base:1
    registry.k8s.io/pause@sha256:..  as it is: a digest needs no tag

The grammar and the messages are those users know from Docker and containerd:
https://github.com/distribution/reference/blob/main/reference.go
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from minipod.images.errors import InvalidReferenceError

DEFAULT_DOMAIN = "docker.io"
LEGACY_DOMAIN = "index.docker.io"
OFFICIAL_REPOSITORIES = "library/"
DEFAULT_TAG = "latest"
NAME_MAX = 255

_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH_PART}(?:/{_PATH_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)
_HEX64 = re.compile(r"[0-9a-f]{64}")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A full image name: registry host, repository path, and a tag or a digest (or both)."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse(text: str) -> Reference:
    """Parse a name as Docker and containerd do: short names are completed, no tag and no digest means :latest.

    Raises InvalidReferenceError, whose text is what kubelet says under the reason InvalidImageName.
    """
    if not text:
        raise _invalid(text, "repository name must have at least one component")
    if _HEX64.fullmatch(text):
        raise _invalid(text, f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    name = remainder.partition("@")[0].partition(":")[0]
    if name != name.lower():
        raise _invalid(text, f"invalid reference format: repository name ({name}) must be lowercase")
    match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if match is None:
        raise _invalid(text, "invalid reference format")
    if len(match["path"]) > NAME_MAX:
        raise _invalid(text, f"repository name must not be more than {NAME_MAX} characters")
    digest = match["digest"] or ""
    if digest:
        _check_digest(text, digest)
    tag = match["tag"] or ("" if digest else DEFAULT_TAG)
    return Reference(domain=match["domain"], path=match["path"], tag=tag, digest=digest)


def familiar(name: str) -> str:
    """The short form of a full name, as users type it: docker.io/library/busybox:latest -> busybox:latest."""
    for prefix in (f"{DEFAULT_DOMAIN}/{OFFICIAL_REPOSITORIES}", f"{DEFAULT_DOMAIN}/"):
        short = name.removeprefix(prefix)
        if short != name and _names_the_same(short, name):
            return short
    return name


def _names_the_same(short: str, name: str) -> bool:
    """library/a/b and localhost/x would be read as something else without their docker.io."""
    try:
        return str(parse(short)) == name
    except InvalidReferenceError:
        return False


def _split_domain(text: str) -> tuple[str, str]:
    """What comes before the first slash is a registry only if it looks like a host name."""
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and (
        "." in first or ":" in first or first == "localhost" or first != first.lower()
    )
    domain, remainder = (first, rest) if is_host else (DEFAULT_DOMAIN, text)
    if domain == LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = OFFICIAL_REPOSITORIES + remainder
    return domain, remainder


def _check_digest(text: str, digest: str) -> None:
    algorithm, _, encoded = digest.partition(":")
    length = _DIGEST_LENGTHS.get(algorithm)
    if length is None:
        raise _invalid(text, f"unsupported digest algorithm {algorithm!r}")
    if len(encoded) != length or encoded != encoded.lower():
        raise _invalid(text, f"invalid checksum digest: {algorithm} has {length} lower-case hex digits")


def _invalid(text: str, reason: str) -> InvalidReferenceError:
    shown = text if len(text) <= 2 * NAME_MAX else text[: 2 * NAME_MAX] + "…"
    return InvalidReferenceError(f'couldn\'t parse image name "{shown}": {reason}')
