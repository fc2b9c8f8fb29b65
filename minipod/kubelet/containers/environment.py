"""A container's environment and `$(VAR)` references, as Kubernetes documents them.

https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
A reference sees only what the Pod's spec defines before it, never the image's variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from minipod.api import core_v1
from minipod.kubelet.containers.field_ref import field_value
from minipod.kubelet.pod_names import AnyContainer

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """Replace each $(NAME) by lookup(NAME); a name without a value stays as written, `$$` becomes `$`."""
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            out.append("$")
            at = dollar + 2
        elif following == "(" and (end := text.find(")", dollar)) >= 0:
            name = text[dollar + 2 : end]
            value = lookup(name)
            out.append(f"$({name})" if value is None else value)
            at = end + 1
        else:
            out.append("$")
            at = dollar + 1
    out.append(text[at:])
    return "".join(out)


def pod_environment(
    pod: core_v1.Pod, container: AnyContainer, *, pod_ip: str, host_ip: str
) -> dict[str, str]:
    """What the container's `env` comes to. A name given twice has its last value.

    References to ConfigMaps, Secrets and files are left out: the API has warned about them.
    """
    known: dict[str, str] = {}
    for variable in container.env:
        if variable.value:
            known[variable.name] = expand(variable.value, known.get)
        elif variable.valueFrom is None:
            known[variable.name] = ""
        elif (field := variable.valueFrom.fieldRef) is not None:
            known[variable.name] = field_value(pod, field.fieldPath, pod_ip=pod_ip, host_ip=host_ip)
    return known


def refers_to_pod_ip(container: AnyContainer) -> bool:
    """Whether the container's environment can be made only when the pod has its address."""
    return any(
        variable.valueFrom is not None
        and variable.valueFrom.fieldRef is not None
        and variable.valueFrom.fieldRef.fieldPath.startswith("status.podIP")
        for variable in container.env
    )


def process_environment(
    *, image: Iterable[str], pod: Mapping[str, str], hostname: str, home: str, tty: bool
) -> list[str]:
    """The NAME=value list a process starts with: the runtime's own, then the image's, then the Pod's.

    A later value takes the place of an earlier one, where that one stood.
    """
    env = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if tty:
        env["TERM"] = "xterm"
    for entry in image:
        name, equals, value = entry.partition("=")
        if equals:
            env[name] = value
    env.update(pod)
    if not env.get("HOME"):
        env["HOME"] = home
    return [f"{name}={value}" for name, value in env.items()]
