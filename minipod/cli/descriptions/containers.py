"""The containers of a pod: what each is to run with, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipod.cli.descriptions.text import Text, date

Obj = dict[str, Any]


def describe_containers(text: Text, pod: Obj) -> None:
    """Init containers, containers and ephemeral containers, each under its heading."""
    spec, status = pod["spec"], pod.get("status") or {}
    groups = (
        ("Init Containers", spec.get("initContainers"), status.get("initContainerStatuses")),
        ("Containers", spec.get("containers"), status.get("containerStatuses")),
        ("Ephemeral Containers", spec.get("ephemeralContainers"), status.get("ephemeralContainerStatuses")),
    )
    for heading, containers, statuses in groups:
        if not containers:
            continue
        text.line(0, f"{heading}:")
        by_name = {s["name"]: s for s in statuses or ()}
        for container in containers:
            _container(text, container, by_name.get(container["name"]), pod)


def _container(text: Text, container: Obj, status: Obj | None, pod: Obj) -> None:
    text.line(1, f"{container['name']}:")
    _identity(text, container, status)
    _command(text, "Command", container.get("command"))
    _command(text, "Args", container.get("args"))
    if status:
        _state(text, "State", status.get("state") or {})
        if (last := status.get("lastState")) and last.get("terminated"):
            _state(text, "Last State", last)
        text.field(2, "Ready", bool(status.get("ready")))
        text.field(2, "Restart Count", status.get("restartCount", 0))
    _resources(text, container.get("resources") or {})
    for name, key in (
        ("Liveness", "livenessProbe"),
        ("Readiness", "readinessProbe"),
        ("Startup", "startupProbe"),
    ):
        if probe := container.get(key):
            text.field(2, name, describe_probe(probe))
    _hooks(text, container.get("lifecycle") or {})
    _env_from(text, container.get("envFrom") or [])
    _env(text, container, pod)
    _mounts(text, container)


def _identity(text: Text, container: Obj, status: Obj | None) -> None:
    if status:
        text.field(2, "Container ID", status.get("containerID", ""))
    text.field(2, "Image", container.get("image", ""))
    if status:
        text.field(2, "Image ID", status.get("imageID", ""))
    ports = container.get("ports") or []
    many = "s" if len(ports) > 1 else ""
    text.field(2, f"Port{many}", _ports(ports, "containerPort") or "<none>")
    text.field(2, f"Host Port{many}", _ports(ports, "hostPort") or "<none>")


def _ports(ports: list[Obj], key: str) -> str:
    return ", ".join(f"{port.get(key, 0)}/{port.get('protocol', 'TCP')}" for port in ports)


def _command(text: Text, name: str, words: list[str] | None) -> None:
    if words:
        text.line(2, f"{name}:")
        for word in words:
            for part in word.split("\n"):
                text.line(3, part)


def _state(text: Text, name: str, state: Obj) -> None:
    if running := state.get("running"):
        text.field(2, name, "Running")
        text.field(3, "Started", date(running.get("startedAt")))
    elif terminated := state.get("terminated"):
        text.field(2, name, "Terminated")
        _reason(text, terminated)
        text.field(3, "Exit Code", terminated.get("exitCode", 0))
        if terminated.get("signal"):
            text.field(3, "Signal", terminated["signal"])
        text.field(3, "Started", date(terminated.get("startedAt")))
        text.field(3, "Finished", date(terminated.get("finishedAt")))
    else:
        text.field(2, name, "Waiting")
        _reason(text, state.get("waiting") or {})


def _reason(text: Text, state: Obj) -> None:
    if state.get("reason"):
        text.field(3, "Reason", state["reason"])
    if state.get("message"):
        text.field(3, "Message", state["message"])


def _resources(text: Text, resources: Obj) -> None:
    for name in ("limits", "requests"):
        if amounts := resources.get(name):
            text.line(2, f"{name.title()}:")
            for key, amount in sorted(amounts.items()):
                text.field(3, key, amount)


def _hooks(text: Text, lifecycle: Obj) -> None:
    for name, key in (("Post Start", "postStart"), ("Pre Stop", "preStop")):
        if hook := lifecycle.get(key):
            text.field(2, name, describe_handler(hook))
    if signal := lifecycle.get("stopSignal"):
        text.field(2, "Stop Signal", signal)


def describe_probe(probe: Obj) -> str:
    """`http-get http://:80/healthz delay=0s timeout=1s period=10s #success=1 #failure=3`"""
    numbers = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 1)}s "
        f"period={probe.get('periodSeconds', 10)}s #success={probe.get('successThreshold', 1)} "
        f"#failure={probe.get('failureThreshold', 3)}"
    )
    return f"{describe_handler(probe)} {numbers}"


def describe_handler(handler: Obj) -> str:
    """What a probe or a hook does: `exec [cat /ready]`."""
    if action := handler.get("exec"):
        return f"exec [{' '.join(action.get('command') or [])}]"
    if action := handler.get("httpGet"):
        place = f"{action.get('host', '')}:{action.get('port', '')}"
        path = action.get("path", "")
        slash = "" if path.startswith("/") or not path else "/"
        return f"http-get {action.get('scheme', 'HTTP').lower()}://{place}{slash}{path}"
    if action := handler.get("tcpSocket"):
        return f"tcp-socket {action.get('host', '')}:{action.get('port', '')}"
    if action := handler.get("grpc"):
        return f"grpc <pod>:{action.get('port', '')} {action.get('service') or ''}"
    if action := handler.get("sleep"):
        return f"sleep {action.get('seconds', 0)}s"
    return "unknown"


def _env_from(text: Text, sources: list[Obj]) -> None:
    if not sources:
        return
    text.line(2, "Environment Variables from:")
    for source in sources:
        kind = "ConfigMap" if source.get("configMapRef") else "Secret"
        reference = source.get("configMapRef") or source.get("secretRef") or {}
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        text.line(
            3, f"{reference.get('name', '')}\t{kind}{prefix}\tOptional: {_bool(reference.get('optional'))}"
        )


def _env(text: Text, container: Obj, pod: Obj) -> None:
    variables = container.get("env") or []
    if not variables:
        text.field(2, "Environment", "<none>")
        return
    text.line(2, "Environment:")
    for variable in variables:
        source = variable.get("valueFrom")
        if not source:
            text.field(3, variable["name"], variable.get("value") or "")
        else:
            kind, reference = next(iter(source.items()))
            describe = ENV_SOURCES.get(kind)
            described = describe(reference, container, pod) if describe else f"<set from {kind}>"
            text.line(3, f"{variable['name']}:\t{described}")


def _field_ref(reference: Obj, _container: Obj, pod: Obj) -> str:
    path = reference.get("fieldPath", "")
    known = {f"metadata.{key}": pod["metadata"].get(key, "") for key in ("name", "namespace", "uid")}
    return f"{known.get(path, '')} ({reference.get('apiVersion', 'v1')}:{path})"


def _resource_field_ref(reference: Obj, container: Obj, _pod: Obj) -> str:
    from minipod.api.quantity import parse

    resource = reference.get("resource", "")
    which, _, name = resource.partition(".")
    amount = ((container.get("resources") or {}).get(which) or {}).get(name, "0")
    divisor = parse(str(reference.get("divisor", "0"))) or 1
    units = -(-parse(str(amount)) // divisor)
    return f"{'node allocatable' if units == 0 and which == 'limits' else units} ({resource})"


def _secret_ref(reference: Obj, _container: Obj, _pod: Obj) -> str:
    optional = _bool(reference.get("optional"))
    return f"<set to the key '{reference.get('key')}' in secret '{reference.get('name')}'>\tOptional: {optional}"


def _config_ref(reference: Obj, _container: Obj, _pod: Obj) -> str:
    optional = _bool(reference.get("optional"))
    return f"<set to the key '{reference.get('key')}' of config map '{reference.get('name')}'>\tOptional: {optional}"


ENV_SOURCES: dict[str, Callable[[Obj, Obj, Obj], str]] = {
    "fieldRef": _field_ref,
    "resourceFieldRef": _resource_field_ref,
    "secretKeyRef": _secret_ref,
    "configMapKeyRef": _config_ref,
}


def _mounts(text: Text, container: Obj) -> None:
    mounts = container.get("volumeMounts") or []
    if not mounts:
        text.field(2, "Mounts", "<none>")
        return
    text.line(2, "Mounts:")
    for mount in sorted(mounts, key=lambda m: str(m.get("mountPath", ""))):
        flags = ["ro" if mount.get("readOnly") else "rw"]
        if mount.get("subPath"):
            flags.append(f'path="{mount["subPath"]}"')
        text.line(3, f"{mount.get('mountPath', '')} from {mount.get('name', '')} ({','.join(flags)})")


def _bool(value: Any) -> str:
    return str(bool(value)).lower()
