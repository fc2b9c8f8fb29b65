"""The drawing of a pod: from the anatomy the node tells (plain data) to a tree a student can read top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minipod.cli.output.tables import printable
from minipod.cli.tree import Branch, columns, draw

Obj = dict[str, Any]

ISOLATES = {
    "net": "interfaces, addresses, ports",
    "ipc": "shared memory, semaphores",
    "uts": "host name",
    "pid": "process numbers",
    "mnt": "the file tree",
    "cgroup": "the view of cgroups",
    "user": "user numbers, privileges",
    "time": "clocks",
}
"""What each kind of namespace keeps apart (namespaces(7))."""

KINDS = {
    "container": "container",
    "initContainer": "init container",
    "ephemeralContainer": "ephemeral container",
}


def draw_pod(anatomy: Obj, *, plain: bool = False) -> str:
    """`plain`: only ASCII."""
    pod = anatomy["pod"]
    root = Branch(
        f"pod {pod['namespace']}/{pod['name']}: {pod['phase']}, {pod.get('qosClass') or 'no QoS class yet'}, "
        f"on {anatomy.get('node', '')}, uid {pod['uid']}"
    )
    if not (anatomy.get("infra") or {}).get("pid"):
        root.add("no sandbox: nothing of this pod runs on the node")
        return draw(root, plain=plain)
    _processes_of_the_pod(root, anatomy)
    _namespaces(root, anatomy)
    _network(root, anatomy.get("network") or {})
    _cgroup(root, anatomy.get("cgroup") or {})
    _volumes(root, anatomy.get("volumes") or [])
    for container in anatomy.get("containers") or ():
        _container(root, container)
    return draw(root, plain=plain)


def _processes_of_the_pod(root: Branch, anatomy: Obj) -> None:
    shim, infra = anatomy.get("shim") or {}, anatomy["infra"]
    if shim:
        line = _process({**shim, "command": "minipod shim"})
        root.add(f"shim   {line}  (on the host: parent of all below, keeps logs and exit codes)")
    root.add(f"infra  {_process(infra)}  (holds the pod's namespaces, does nothing else)")


def _process(process: Obj) -> str:
    memory = f"  {size(process['rssBytes'])}" if process.get("rssBytes") else ""
    return f"pid {process.get('pid', '?')}  {_command(process)}{memory}"


def _command(process: Obj) -> str:
    """On one line: a script given to `sh -c` may have many, and a tree has its own."""
    return " ".join(printable(str(process.get("command", ""))).split())


def _namespaces(root: Branch, anatomy: Obj) -> None:
    """One row for each namespace in use, with everyone who is in it."""
    branch = root.add("namespaces")
    rows = [
        (kind, ISOLATES.get(kind, ""), str(inode), ", ".join(members))
        for kind, inode, members in shared_namespaces(anatomy)
    ]
    for line in columns([(*row[:3], row[3]) for row in rows]):
        branch.add(line)


def shared_namespaces(anatomy: Obj) -> Iterator[tuple[str, int, list[str]]]:
    """(kind, inode, who is in it), the kinds in the order in which they are told."""
    everyone = {
        "the host": anatomy.get("hostNamespaces") or {},
        "infra": anatomy["infra"].get("namespaces") or {},
    }
    for container in anatomy.get("containers") or ():
        everyone[container["name"]] = container.get("namespaces") or {}
    for kind in dict.fromkeys(k for namespaces in everyone.values() for k in namespaces):
        members: dict[int, list[str]] = {}
        for name, namespaces in everyone.items():
            if kind in namespaces:
                members.setdefault(namespaces[kind], []).append(name)
        yield from ((kind, inode, names) for inode, names in members.items() if names != ["the host"])


def _network(root: Branch, network: Obj) -> None:
    if network.get("hostNetwork"):
        branch = root.add(f"network: the host's own, address {network.get('ip', '')}")
    elif "ip" in network:
        branch = root.add("network")
        inside = f"{network['podInterface']} {network['ip']}/{network['prefixLength']}"
        branch.add(
            f"{inside} == veth pair == {network['hostInterface']} -> bridge {network['bridge']} "
            f"(gateway {network['gateway']})"
        )
        branch.add(f"mac {network.get('mac', '?')}, mtu {network.get('mtu', '?')}")
    else:
        branch = root.add("network: none yet")
    for port in network.get("ports") or ():
        place = f"{port.get('hostIP') or '0.0.0.0'}:{port['hostPort']}"  # noqa: S104 (told, not bound)
        branch.add(f"{place} on the host -> {port['containerPort']}/{port['protocol']}")


def _cgroup(parent: Branch, group: Obj) -> None:
    if group:
        branch = parent.add(f"cgroup {group.get('path', '')}")
        for line in columns(list(cgroup_rows(group))):
            branch.add(line)


def cgroup_rows(group: Obj) -> Iterator[tuple[str, str, str]]:
    """(what, used, limit) for processor, memory and processes."""
    limits, usage = group.get("limits") or {}, group.get("usage") or {}
    weight = f", weight {limits['cpu.weight']}" if "cpu.weight" in limits else ""
    yield (
        "cpu",
        f"{usage.get('cpuMicroseconds', 0) / 1e6:.3f}s used",
        _cpu_limit(limits.get("cpu.max")) + weight,
    )
    yield (
        "memory",
        f"{size(usage.get('memoryBytes', 0))} used",
        _limit(limits.get("memory.max"), "memory", size),
    )
    yield "pids", f"{usage.get('pids', 0)} processes", _limit(limits.get("pids.max"), "pids", str)


def _limit(text: str | None, controller: str, show: Any) -> str:
    if text is None:
        return f"not limited: this host's cgroup2 has no {controller} controller"
    return "no limit" if text == "max" else f"limit {show(int(text))}"


def _cpu_limit(text: str | None) -> str:
    """`50000 100000` is half a processor (cgroup v2, cpu.max)."""
    if text is None:
        return _limit(None, "cpu", str)
    quota, _, period = text.partition(" ")
    return "no limit" if quota == "max" else f"limit {int(quota) / int(period or 100000):g} of a processor"


def _volumes(root: Branch, volumes: list[Obj]) -> None:
    if volumes:
        branch = root.add("volumes")
        for line in columns(
            [(v["name"], v.get("type", ""), printable(v.get("source", ""))) for v in volumes]
        ):
            branch.add(line)


def _container(root: Branch, container: Obj) -> None:
    kind = KINDS.get(container.get("kind", ""), "container")
    pid = f", pid {container['pid']}" if container.get("pid") else ""
    restarts = f", {container['restartCount']} restarts" if container.get("restartCount") else ""
    branch = root.add(
        f"{kind} {container['name']}: {container.get('state', '')}{pid}{restarts}, image {container.get('image', '')}"
    )
    branch.add(f"user {container.get('user', '')}, capabilities: {_capabilities(container)}")
    _cgroup(branch, container.get("cgroup") or {})
    _rootfs(branch, container.get("rootfs") or {})
    for mount in container.get("mounts") or ():
        flag = "ro" if mount.get("readOnly") else "rw"
        branch.add(f"mount {printable(mount['path'])} <- volume {mount.get('volume', '')} ({flag})")
    if container.get("logPath"):
        branch.add(f"log {container['logPath']}")
    processes = container.get("processes") or []
    _process_tree(branch, processes, more=container.get("processCount", 0) - len(processes))


def _capabilities(container: Obj) -> str:
    """The effective set; the bounding set, which limits what a file can give back, where it is another."""
    effective = container.get("capabilities") or []
    bounding = container.get("boundingCapabilities") or []
    more = f" (bounding: {_names(bounding)})" if set(bounding) != set(effective) else ""
    return _names(effective) + more


def _names(capabilities: list[str]) -> str:
    return ", ".join(name.removeprefix("CAP_").lower() for name in capabilities) or "none"


def _rootfs(parent: Branch, rootfs: Obj) -> None:
    layers = rootfs.get("layers") or []
    branch = parent.add(
        f"root: overlay of {len(layers)} read-only layer{'s' if len(layers) != 1 else ''}, top first"
    )
    if rootfs.get("upper"):
        branch.add(f"writes go to {rootfs['upper']}")
    for layer in layers:
        branch.add(f"layer {layer}")


def _process_tree(parent: Branch, processes: list[Obj], *, more: int = 0) -> None:
    """Processes below their parents; those whose parent is outside the container come first.

    `more`: how many there are beside these.
    """
    if not processes:
        return
    branch = parent.add("processes (number on the host, number inside)")
    nodes = {p["pid"]: Branch(_row(p)) for p in processes}
    for process in processes:
        above = nodes.get(process.get("parent", 0))
        (above or branch).children.append(nodes[process["pid"]])
    if more > 0:
        branch.add(f"and {more} more")


def _row(process: Obj) -> str:
    memory = f"  {size(process['rssBytes'])}" if process.get("rssBytes") else ""
    return f"{process['pid']}, {process.get('innerPid', '?')}: {_command(process)}{memory}"


def size(count: int) -> str:
    """Bytes as people read them: 12Ki, 4.5Mi."""
    amount = float(count)
    for unit in ("", "Ki", "Mi", "Gi"):
        if amount < 1024 or unit == "Gi":
            break
        amount /= 1024
    return f"{amount:.1f}".removesuffix(".0") + unit
