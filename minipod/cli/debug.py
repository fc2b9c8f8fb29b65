"""`minipod debug`: an ephemeral container beside the containers of a running pod, to look at them from inside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb, after_dash
from minipod.cli.container_flags import container_from_flags
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError
from minipod.cli.exec import usable_tty
from minipod.cli.pods import container_names, get_pod, pod_name
from minipod.cli.session import Session

Obj = dict[str, Any]

PREFIX = "debugger-"


@click.command("debug", cls=Verb)
@click.argument(
    "words",
    nargs=-1,
    metavar="POD --image=IMAGE [-- COMMAND [ARGS...]]",
    shell_complete=options.completer("pods"),
)
@click.option(
    "--image",
    required=True,
    metavar="IMAGE",
    help="The image with the tools.",
    shell_complete=options.completer("images"),
)
@click.option(
    "--target",
    default="",
    metavar="CONTAINER",
    help="See this container's processes (and /proc/1/root, its files).",
    shell_complete=options.completer("containers"),
)
@click.option("-c", "--container", default="", metavar="NAME", help="Its name [debugger-xxxxx].")
@click.option("--image-pull-policy", default="", metavar="POLICY", help="Always, IfNotPresent or Never.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable; may be repeated.")
@options.flag("--arguments-only", help="What follows -- are arguments for the image's entrypoint.")
@options.flag("-i", "--stdin", help="Join standard input to it, and stay until it ends.")
@options.flag("-t", "--tty", help="Give it a terminal.")
@options.flag("--attach", "attached", help="Print what it prints until it ends.")
@options.flag("-q", "--quiet", help="Print only what the container prints.")
@click.option(
    "--pod-running-timeout", default="1m", metavar="TIME", help="How long to wait for the start [1m]."
)
@click.pass_obj
def command(session: Session, /, words: tuple[str, ...], **flags: Any) -> None:
    """Add an ephemeral container to a running pod.

    It shares the pod's network and IPC, is never restarted, and stays in the pod's spec. Without -i or --attach
    its name is printed.

    \b
    minipod debug -it web --image=minipod/base --target=app -- sh
    minipod logs web -c "$(minipod debug web --image=minipod/base -- ip addr)"
    """
    if len(words) != 1:
        raise CommandError(
            "debug takes one POD, and the command after --: minipod debug POD --image=IMAGE -- COMMAND"
        )
    timeout = parse_duration(flags["pod_running_timeout"], "--pod-running-timeout")
    if flags["tty"] and not flags["stdin"]:
        raise CommandError("-t needs -i: a terminal without input is of no use")
    flags["tty"] = usable_tty(flags["tty"], stdin=flags["stdin"])
    pod = get_pod(session, pod_name(session, words[0]))
    container = build_container(pod, after_dash() or (), flags)
    name = pod["metadata"]["name"]
    added = session.api.patch(
        session.discovery.find("pods").path(session.current_namespace, name, "ephemeralcontainers"),
        {"spec": {"ephemeralContainers": [container]}},
        content_type="application/strategic-merge-patch+json",
    )
    if not (flags["stdin"] or flags["attached"]):
        print(container["name"])
        return
    if not flags["quiet"] and not flags["container"]:
        print(f"Defaulting debug container name to {container['name']}.", file=sys.stderr)
    from minipod.cli.run_attached import Following, follow_container

    how = Following(
        stdin=flags["stdin"],
        tty=flags["tty"],
        quiet=flags["quiet"],
        remove=False,
        ends=True,
        start_timeout=timeout,
    )
    follow_container(session, added["metadata"]["name"], container["name"], how)


def build_container(pod: Obj, command_line: Sequence[str], flags: dict[str, Any]) -> Obj:
    """The ephemeral container the flags describe. Raises CommandError for a name that is wrong."""
    target = flags["target"]
    if target and target not in container_names(pod, ("initContainers", "containers")):
        names = ", ".join(container_names(pod, ("initContainers", "containers")))
        raise CommandError(
            f"--target: container {target} is not valid for pod {pod['metadata']['name']}; it has {names}"
        )
    if flags["container"] in container_names(pod):
        raise CommandError(
            f"the pod has a container {flags['container']} already: choose another name with -c"
        )
    name = flags["container"] or _free_name(pod)
    as_command = not flags["arguments_only"]
    container = container_from_flags(name, command_line, flags, replaces_entrypoint=as_command)
    if target:
        container["targetContainerName"] = target
    if flags["stdin"]:
        container["stdin"] = True
        # A pipe's end has to reach the process; a terminal can be attached to again.
        if not flags["tty"]:
            container["stdinOnce"] = True
    if flags["tty"]:
        container["tty"] = True
    return container


def _free_name(pod: Obj) -> str:
    from minipod.api.names import generate

    taken = container_names(pod)
    while (name := generate(PREFIX)) in taken:
        pass
    return name
