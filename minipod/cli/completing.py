"""Words a shell may complete: types, names, pods, containers, images, as the running daemon knows them.

A shell waits for these, so every failure is silence.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from minipod.cli.pods import container_names
from minipod.cli.session import Session

TIMEOUT = "1s"


def complete(what: str, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """`what`: targets, pods, containers or images."""
    session = ctx.ensure_object(Session)
    session.request_timeout = session.request_timeout or TIMEOUT
    try:
        words = _words(what, session, ctx, incomplete)
    except Exception:
        # Whatever it is, the middle of a command line is no place to report it.
        return []
    finally:
        session.close()
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _words(what: str, session: Session, ctx: click.Context, incomplete: str) -> list[str]:
    kind, slash, _ = incomplete.partition("/")
    if what == "targets" and slash:
        return [f"{kind}/{name}" for name in _names(session, kind)]
    known = {"targets": _targets, "pods": _pods, "containers": _containers, "images": _images}
    return known[what](session, ctx)


def _targets(session: Session, ctx: click.Context) -> list[str]:
    """Types first; after a type, the names there are."""
    typed = tuple(ctx.params.get("words") or ())
    if typed and "/" not in typed[0]:
        return [name for name in _names(session, typed[0]) if name not in typed]
    return sorted(name for r in session.discovery.all() for name in (r.plural, r.singular, *r.short_names))


def _names(session: Session, word: str) -> list[str]:
    resource = session.discovery.find(word)
    items = session.api.get(resource.path(session.current_namespace))["items"] or []
    return [item["metadata"]["name"] for item in items]


def _pods(session: Session, ctx: click.Context) -> list[str]:
    """A pod, and after it one of its containers."""
    typed = tuple(ctx.params.get("words") or ())
    return _containers(session, ctx) if typed else _names(session, "pods")


def _containers(session: Session, ctx: click.Context) -> list[str]:
    typed = tuple(ctx.params.get("words") or ()) or (str(ctx.params.get("pod") or ""),)
    name = typed[0].rpartition("/")[2]
    pod = session.api.get(session.discovery.find("pods").path(session.current_namespace, name))
    return container_names(pod)


def _images(session: Session, _ctx: click.Context) -> list[str]:
    from minipod.cli.node_pages import list_images

    return [name for image in list_images(session) for name in image.get("names") or ()]
