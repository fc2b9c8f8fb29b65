"""`minipod image`: the node's image store."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.errors import CommandError, ReportedError, refused, server_error
from minipod.cli.node_pages import list_images, proxy_path
from minipod.cli.output.tables import column_writer
from minipod.cli.session import Session
from minipod.client.http import Query

CHUNK = 1 << 20
STDIN = "standard input"


@click.group("image", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Import, build, list and remove the images of this node.

    \b
    docker save app | minipod image import -
    minipod image build-rootfs ./rootfs minipod/base
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("ls", cls=Verb)
@options.output("json|yaml|name")
@options.flag("-q", "--quiet", help="Print only the IDs.")
@options.flag("--no-trunc", help="Print whole IDs.")
@options.flag("--no-headers", help="Leave out the line of column names.")
@click.pass_obj
def list_(session: Session, output: str, quiet: bool, no_trunc: bool, no_headers: bool) -> None:
    """List the images."""
    images = list_images(session)
    if output == "name":
        print("".join(f"{name}\n" for image in images for name in image["names"]), end="")
    elif output:
        from minipod.cli.output.objects import renderer

        sys.stdout.write(renderer(output)({"images": images}))
    elif quiet:
        print("".join(f"{_id(image['id'], whole=no_trunc)}\n" for image in images), end="")
    else:
        sys.stdout.write(_table(images, whole=no_trunc, headers=not no_headers))


def _table(images: list[dict[str, Any]], *, whole: bool, headers: bool) -> str:
    from minipod.cli.pod_drawing import size

    writer = column_writer()
    if headers and images:
        writer.write("NAME\tIMAGE ID\tSIZE\tLAYERS\tUSED BY\n")
    for image in images:
        used = ",".join(image.get("usedBy") or ()) or "<none>"
        for name in image["names"] or ["<none>"]:
            row = [
                name,
                _id(image["id"], whole=whole),
                size(image["size"]),
                str(image.get("layers", "")),
                used,
            ]
            writer.write("\t".join(row) + "\n")
    return writer.flush()


def _id(digest: str, *, whole: bool) -> str:
    return digest if whole else digest.removeprefix("sha256:")[:12]


@command.command("import", cls=Verb)
@click.argument("source", metavar="FILE|-", type=click.Path(allow_dash=True))
@click.option(
    "--name", default="", metavar="NAME", help="The name for an archive that holds one image without a name."
)
@click.pass_obj
def import_(session: Session, source: str, name: str) -> None:
    """Import an archive: from docker save or in OCI layout, plain, gzip or zstd."""
    if name:
        _check_name(name)
    query = {"name": name or None}
    if source == "-":
        if sys.stdin.isatty():
            raise CommandError("standard input is a terminal: pipe an archive in, or name a file")
        _upload(session, "images/import", query, _archive(sys.stdin.buffer, STDIN), STDIN)
        return
    with _open(source) as file:
        _upload(session, "images/import", query, _archive(file, source), source)


@command.command("build-rootfs", cls=Verb)
@click.argument("source", metavar="DIR|TAR")
@click.argument("name")
@click.pass_obj
def build_rootfs(session: Session, source: str, name: str) -> None:
    """Make an image with one layer from a directory or a tar of a root file system (- for standard input)."""
    _check_name(name)
    query = {"name": name}
    if source == "-":
        _upload(session, "images/build-rootfs", query, _archive(sys.stdin.buffer, STDIN), STDIN)
    elif Path(source).is_dir():
        from minipod.cli.archive import tar_of

        with tar_of(Path(source)) as file:
            _upload(session, "images/build-rootfs", query, _chunks(file), source)
    else:
        with _open(source) as file:
            _upload(session, "images/build-rootfs", query, _archive(file, source), source)


@command.command("rm", cls=Verb)
@click.argument("names", nargs=-1, required=True, shell_complete=options.completer("images"))
@options.flag(
    "-f", "--force", help="Also when pods were made from it; they keep their layers until they are gone."
)
@click.pass_obj
def remove(session: Session, names: tuple[str, ...], force: bool) -> None:
    """Remove images by name or ID."""
    path = proxy_path(session, "images")
    failed = False
    for name in names:
        try:
            answer = session.api.delete(path, None, {"name": name, "force": force or None})
        except Exception as error:
            refusal = refused(error)
            if refusal is None:
                raise
            print(server_error(refusal), file=sys.stderr)
            failed = True
            continue
        for gone in answer.get("untagged") or ():
            print(f"untagged {gone}")
        if answer.get("deleted"):
            print(f"deleted {answer['deleted']}")
    if failed:
        raise ReportedError


@command.command("prune", cls=Verb)
@options.flag("-a", "--all", "every", help="Also images that have a name.")
@click.pass_obj
def prune(session: Session, every: bool) -> None:
    """Remove images that no pod uses: those without a name, with --all all of them."""
    from minipod.cli.pod_drawing import size

    path = proxy_path(session, "images/prune")
    answer = session.api.request("POST", path, query={"all": every or None})
    for image in answer["deleted"]:
        print(f"deleted {' '.join(image['names']) or '<none>'} {image['id']}")
    print(f"freed up to {size(sum(image['size'] for image in answer['deleted']))}")


@command.command("inspect", cls=Verb)
@click.argument("name", shell_complete=options.completer("images"))
@options.output("json|yaml|jsonpath=...")
@click.pass_obj
def inspect(session: Session, name: str, output: str) -> None:
    """Show an image's configuration and layers."""
    from minipod.cli.output.objects import renderer

    answer = session.api.get(proxy_path(session, "images/inspect"), {"name": name})
    sys.stdout.write(renderer(output or "json")(answer))


def _check_name(name: str) -> None:
    """The server checks it too, but only with the archive on its way."""
    from minipod.images import reference
    from minipod.images.errors import InvalidReferenceError

    try:
        reference.parse(name)
    except InvalidReferenceError as error:
        raise CommandError(str(error)) from error


def _upload(session: Session, page: str, query: Query, body: Iterator[bytes], source: str) -> None:
    """`source` is what messages call the body. Raises ReportedError."""
    import json

    path = proxy_path(session, page)
    try:
        with session.api.stream("POST", path, query=query, body=body, accept="application/json") as answer:
            images = json.loads(b"".join(answer))["images"]
    except Exception as error:
        refusal = refused(error)
        if refusal is None:
            raise
        print(server_error(refusal, doing=source), file=sys.stderr)
        raise ReportedError from error
    for image in images:
        print(f"{' '.join(image['names']) or '<none>'} {image['id']}")


def _open(source: str) -> BinaryIO:
    path = Path(source)
    if path.is_dir():
        raise CommandError(
            f"{source} is a directory; to make an image from it: image build-rootfs {source} NAME"
        )
    try:
        file = path.open("rb")
    except OSError as error:
        raise CommandError(f"cannot read {source}: {error.strerror}") from error
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return file


def _archive(file: BinaryIO, source: str) -> Iterator[bytes]:
    """What is sent of a file. Raises CommandError at once when there is nothing in it."""
    first = file.read(CHUNK)
    if not first:
        raise CommandError(f"{source} is empty: expected an archive")
    return chain((first,), _chunks(file))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
