"""`minipod kubeconfig`: what kubectl needs to talk to this node as its administrator."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.config_options import config_options, read_config
from minipod.cli.errors import CommandError
from minipod.linux.replace_file import replace_file

USER = "kubernetes-admin"
GROUP = "system:masters"
DEFAULT_TARGET = Path("~/.kube/config")
SETTINGS = ("data_dir", "listen", "node_name", "node_ip")


@click.command("kubeconfig", cls=Verb)
@click.option("--server", metavar="URL", help="Where clients reach the API; default: where it listens.")
@click.option("--user", default=USER, help="Who the certificate is for.", show_default=True)
@click.option("--group", "groups", multiple=True, metavar="GROUP", help=f"The user's groups [{GROUP}].")
@click.option("--name", default="minipod", help="Of cluster, user and context.")
@click.option("-o", "--output", "output", metavar="FILE", help="Write it there instead of printing it.")
@options.flag("--merge", help="Add it to FILE, or ~/.kube/config, and make it the current context.")
@config_options(SETTINGS)
def command(
    *,
    server: str | None,
    user: str,
    groups: tuple[str, ...],
    name: str,
    output: str | None,
    merge: bool,
    config_file: str | None,
    **flags: str | None,
) -> None:
    """Print a kubeconfig with a new certificate, an administrator's unless --user says otherwise, good for a year.

    Keep it as you would keep root's password. Needs `listen` in the daemon's configuration, and its data directory.
    """
    from minipod.pki.directory import PkiDirectory, PkiError
    from minipod.pki.serving import PKI_DIRECTORY

    if os.geteuid() != 0:
        raise CommandError("the authority's key, which signs the certificate, is root's: use sudo")
    config = read_config(config_file, flags)
    if not server and not config.listen:
        raise CommandError(
            "the API listens on its unix socket only: set listen: [127.0.0.1:6443] in /etc/minipod/config.yaml, "
            "or say --server"
        )
    directory = PkiDirectory(config.data_dir / PKI_DIRECTORY)
    try:
        authority = directory.authority().certificate
        pair = directory.client(user, groups or (() if user != USER else (GROUP,)))
        url = server or server_url(*config.listen[0], node_ip=config.node_ip)
        host = urlsplit(url).hostname
        if not host:
            raise CommandError(f'--server: expected a URL such as https://lab:6443, got "{url}"')
        known = directory.serves(host)
    except (PkiError, OSError) as error:
        raise CommandError(str(error)) from error
    made = kubeconfig(name, url, authority=authority, certificate=pair.certificate, key=pair.key)
    if not known:
        # As through a forwarded port. It is as safe: the authority signs for no other server.
        made["clusters"][0]["cluster"]["tls-server-name"] = "localhost"
    if not output and not merge:
        sys.stdout.write(_yaml(made))
        return
    target = Path(output) if output else DEFAULT_TARGET.expanduser()
    write(target, merged(_read(target), made) if merge else made)
    print(f"wrote {target}", file=sys.stderr)


def server_url(host: str, port: int, *, node_ip: str) -> str:
    """The URL of a listener; one that listens on every address is reached by the node's, or from the node itself."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - told apart, not listened on
        host = node_ip or "127.0.0.1"
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def kubeconfig(
    name: str, server: str, *, authority: bytes, certificate: bytes, key: bytes
) -> dict[str, Any]:
    """A kubeconfig of one cluster, user and context, with its certificates inside (PEM in)."""
    from base64 import b64encode

    def text(pem: bytes) -> str:
        return b64encode(pem).decode()

    cluster = {"server": server, "certificate-authority-data": text(authority)}
    user = {"client-certificate-data": text(certificate), "client-key-data": text(key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    }


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the entries of `new`, which replace those of the same name; its current context wins."""
    result = {**old, **{key: value for key, value in new.items() if key not in old}}
    for kind in ("clusters", "users", "contexts"):
        names = {entry["name"] for entry in new[kind]}
        kept = [entry for entry in old.get(kind) or () if entry.get("name") not in names]
        result[kind] = [*kept, *new[kind]]
    result["current-context"] = new["current-context"]
    return result


def write(path: Path, config: dict[str, Any]) -> None:
    """Put it there in one step, for its owner only. Raises CommandError."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        replace_file(path, _yaml(config).encode(), mode=0o600)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    if not isinstance(found or {}, dict):
        raise CommandError(f"{path}: expected a kubeconfig, a mapping")
    return found or {}


def _yaml(config: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(config, sort_keys=False)
