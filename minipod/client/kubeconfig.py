"""Reading a kubeconfig: the server, whom to trust, who we are, and the namespace, all of its current context.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minipod.client.tls_http import TlsServer

_UNSUPPORTED = ("exec", "auth-provider", "username")


class KubeconfigError(Exception):
    """A kubeconfig that cannot be used. The message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class Context:
    """`namespace` is "" when the context names none."""

    server: TlsServer
    namespace: str


def load(path: Path) -> Context:
    """The current context. Raises KubeconfigError."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
        return _context(document, path.parent)
    except OSError as error:
        raise KubeconfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise KubeconfigError(f"{path}: {error}") from error


def _context(document: Any, directory: Path) -> Context:
    if not isinstance(document, dict):
        raise ValueError("expected a kubeconfig, a mapping")
    current = document.get("current-context") or ""
    if not current:
        raise ValueError("current-context is not set: kubectl config use-context NAME")
    context = _named(document, "context", current)
    cluster = _named(document, "cluster", context.get("cluster") or "")
    user = _named(document, "user", context["user"]) if context.get("user") else {}
    return Context(_server(cluster, user, directory), context.get("namespace") or "")


def _named(document: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    for entry in document.get(f"{kind}s") or ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(kind), dict):
            return dict(entry[kind])
    raise ValueError(f'there is no {kind} "{name}"')


def _server(cluster: Mapping[str, Any], user: Mapping[str, Any], directory: Path) -> TlsServer:
    url = urlsplit(str(cluster.get("server") or ""))
    if url.scheme != "https" or not url.hostname:
        raise ValueError(f'server: expected a URL such as https://127.0.0.1:6443, got "{url.geturl()}"')
    for key in _UNSUPPORTED:
        if key in user:
            raise ValueError(f"user: {key} is not supported; use a client certificate or a token")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority = _content(cluster, "certificate-authority", directory)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority is not None:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    else:
        context.load_default_certs()
    _show_certificate(context, user, directory)
    return TlsServer(
        host=url.hostname,
        port=url.port or 443,
        name=str(cluster.get("tls-server-name") or url.hostname),
        context=context,
        path=url.path.rstrip("/"),
        headers=_token(user, directory),
    )


def _show_certificate(context: ssl.SSLContext, user: Mapping[str, Any], directory: Path) -> None:
    certificate = _content(user, "client-certificate", directory)
    key = _content(user, "client-key", directory)
    if certificate is None or key is None:
        return
    # OpenSSL reads keys from files only; this one is never on a disk.
    fd = os.memfd_create("client-certificate")
    with open(fd, "wb") as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        try:
            context.load_cert_chain(f"/proc/self/fd/{fd}")
        except ssl.SSLError as error:
            raise ValueError(f"user: client certificate and key cannot be used: {error.reason}") from error


def _token(user: Mapping[str, Any], directory: Path) -> Mapping[str, str] | None:
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = (directory / user["tokenFile"]).read_text().strip()
    return {"Authorization": f"Bearer {token}"} if token else None


def _content(entry: Mapping[str, Any], key: str, directory: Path) -> bytes | None:
    """Of KEY-data, or of the file that KEY names, relative to the kubeconfig's directory."""
    if data := entry.get(f"{key}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, TypeError) as error:
            raise ValueError(f"{key}-data: expected base64") from error
    return (directory / entry[key]).read_bytes() if entry.get(key) else None
