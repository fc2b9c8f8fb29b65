"""`minipod run`: a pod with one container, made from flags; with -it or --attach it is watched to its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb, after_dash
from minipod.cli.container_flags import container_from_flags, pair
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError
from minipod.cli.exec import usable_tty
from minipod.cli.session import Session

Obj = dict[str, Any]


@click.command("run", cls=Verb)
@click.argument("words", nargs=-1, metavar="NAME --image=IMAGE [-- COMMAND [ARGS...]]")
@click.option(
    "--image",
    required=True,
    metavar="IMAGE",
    help="The image to run.",
    shell_complete=options.completer("images"),
)
@click.option("--image-pull-policy", default="", metavar="POLICY", help="Always, IfNotPresent or Never.")
@click.option("--restart", default="Always", metavar="POLICY", help="Always, OnFailure or Never [Always].")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable; may be repeated.")
@click.option("--port", type=int, default=None, help="A port the container listens on.")
@click.option("-l", "--labels", default="", metavar="LABELS", help="Labels as a=b,c=d [run=NAME].")
@click.option("--annotations", multiple=True, metavar="KEY=VALUE", help="An annotation; may be repeated.")
@options.flag(
    "--command", "as_command", help="What follows -- replaces the image's entrypoint, not its arguments."
)
@options.flag("--privileged", help="Run the container privileged.")
@click.option("--overrides", default="", metavar="JSON", help="A JSON object merged into the pod.")
@options.flag("-i", "--stdin", help="Keep the container's standard input open and join it to ours.")
@options.flag("-t", "--tty", help="Give the container a terminal.")
@options.flag("--attach", "attached", help="Print what the container prints until it ends.")
@options.flag("--rm", "remove", help="Delete the pod when the command ends; needs -i, -t or --attach.")
@options.flag("-q", "--quiet", help="Print only what the container prints.")
@click.option(
    "--pod-running-timeout", default="1m", metavar="TIME", help="How long to wait for the start [1m]."
)
@options.output("json|yaml|name|jsonpath=...")
@options.dry_run()
@click.pass_obj
def command(session: Session, /, words: tuple[str, ...], **flags: Any) -> None:
    """Create a pod that runs an image.

    \b
    minipod run web --image=minipod/base --port=80 -- httpd -f -p 80
    minipod run -it --rm shell --image=minipod/base --restart=Never -- sh
    minipod run web --image=minipod/base --dry-run=client -o yaml
    """
    if len(words) != 1:
        raise CommandError(
            "run takes one NAME, and the command after --: minipod run NAME --image=IMAGE -- COMMAND"
        )
    watched = flags["stdin"] or flags["tty"] or flags["attached"]
    if flags["remove"] and not watched:
        raise CommandError("--rm should only be used for attached containers: add -i, -t or --attach")
    if watched and flags["dry_run"] != "none":
        raise CommandError("--dry-run and -i, -t or --attach exclude each other")
    flags["tty"] = usable_tty(flags["tty"], stdin=flags["stdin"])
    pod = build_pod(words[0], after_dash() or (), flags)
    if session.namespace:
        pod["metadata"]["namespace"] = session.namespace
    if flags["dry_run"] == "client":
        _print(pod, flags)
        return
    resource = session.discovery.find("pods")
    query = {"fieldValidation": "Strict", "dryRun": "All" if flags["dry_run"] == "server" else None}
    created = session.api.create(resource.path(session.current_namespace), pod, query)
    if not watched:
        _print(created, flags)
        return
    from minipod.cli.run_attached import Following, follow

    how = Following(
        stdin=flags["stdin"],
        tty=flags["tty"],
        quiet=flags["quiet"],
        remove=flags["remove"],
        ends=flags["restart"] == "Never",
        start_timeout=parse_duration(flags["pod_running_timeout"], "--pod-running-timeout"),
    )
    follow(session, created, how)


def build_pod(name: str, command_line: Sequence[str], flags: dict[str, Any]) -> Obj:
    """The pod the flags describe. Raises CommandError."""
    as_command = flags["as_command"]
    container = container_from_flags(name, command_line, flags, replaces_entrypoint=as_command)
    if flags["port"] is not None:
        container["ports"] = [{"containerPort": flags["port"]}]
    if flags["privileged"]:
        container["securityContext"] = {"privileged": True}
    if flags["stdin"]:
        container |= {"stdin": True, "stdinOnce": True}
    if flags["tty"]:
        container["tty"] = True
    labels = dict(pair(text, "--labels") for text in flags["labels"].split(",") if text) or {"run": name}
    metadata: Obj = {"name": name, "labels": labels}
    if flags["annotations"]:
        metadata["annotations"] = dict(pair(text, "--annotations") for text in flags["annotations"])
    spec: Obj = {"containers": [container], "restartPolicy": flags["restart"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return _overridden(pod, flags["overrides"])


def _overridden(pod: Obj, overrides: str) -> Obj:
    if not overrides:
        return pod
    import json

    try:
        patch = json.loads(overrides)
    except ValueError as error:
        raise CommandError(f"--overrides is not JSON: {error}") from error
    if not isinstance(patch, dict):
        raise CommandError("--overrides must be a JSON object")
    merged: Obj = merge_patch(pod, patch)
    return merged


def merge_patch(value: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null deletes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), item)
    return merged


def _print(pod: Obj, flags: dict[str, Any]) -> None:
    if flags["output"]:
        from minipod.cli.output.objects import renderer

        sys.stdout.write(renderer(flags["output"])(pod))
    else:
        suffix = {"client": " (dry run)", "server": " (server dry run)"}.get(flags["dry_run"], "")
        print(f"pod/{pod['metadata']['name']} created{suffix}")
