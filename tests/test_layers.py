"""Imports run downwards only: the layers of docs/architecture.md, proven from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "minipod"

LAYERS = {
    "api": 1,
    "linux": 2,
    "runtime": 3,
    "images": 3,
    "network": 3,
    "pki": 3,
    "client": 4,
    "kubelet": 5,
    "storage": 6,
    "apiserver": 7,
    "controllers": 8,
    "proxy": 8,
    "scheduler": 8,
    "manifests": 8,
    "cli": 9,
    "config": 9,
    "config_values": 9,
    "daemon": 9,
    "logging_setup": 9,
    "systemd": 9,
    "__main__": 9,
}
"""First part of a module's name below minipod -> its layer."""

NEVER = {
    ("linux", "api"): "the kernel layer knows no Pod",
    ("runtime", "api"): "the runtime knows sandboxes and containers, never a Pod",
    ("apiserver", "kubelet"): "the API server reaches a node only through client.node",
    ("controllers", "kubelet"): "controllers and kubelet are peers, both clients of the API",
    ("scheduler", "kubelet"): "scheduler and kubelet are peers, both clients of the API",
    ("apiserver", "runtime"): "the API server runs nothing itself",
    ("runtime", "images"): "mechanisms do not know each other",
    ("runtime", "network"): "mechanisms do not know each other",
    ("images", "network"): "mechanisms do not know each other",
    ("network", "runtime"): "mechanisms do not know each other",
    ("cli", "storage"): "the command line speaks HTTP",
    ("cli", "apiserver"): "the command line speaks HTTP",
    ("cli", "kubelet"): "the command line speaks HTTP",
}

STDLIB_ONLY = ("linux", "runtime")
"""Packages that spawner and shims import: they start with `python -I -S`."""

PYROUTE2_USERS = ("linux/netlink.py", "linux/rtnetlink.py", "linux/conntrack.py")
"""What speaks netlink may use pyroute2: only daemon and command line import it, and nothing of `runtime` reaches it."""


def modules() -> list[tuple[str, Path]]:
    return sorted(
        (str(p.relative_to(PACKAGE)), p)
        for p in PACKAGE.rglob("*.py")
        if p.name != "__init__.py" or p.parent != PACKAGE
    )


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of every import, those under TYPE_CHECKING and in functions included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def files(dotted: str) -> set[str]:
    """Those of the package that importing a dotted name may run, existing or not: it may name a module's member."""
    parts = dotted.split(".")[1:]
    return {
        f"{'/'.join(parts[:length])}{ending}"
        for length in range(1, len(parts) + 1)
        for ending in (".py", "/__init__.py")
        if dotted.startswith("minipod.")
    }


def room(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "minipod" and len(parts) > 1 and parts[1] in LAYERS else None


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_a_module_imports_only_from_its_own_layer_or_a_lower_one(name: str, path: Path) -> None:
    own = Path(name).parts[0].removesuffix(".py")
    assert own in LAYERS, f"{own} has no layer: add it to LAYERS and to the architecture page"
    for line, dotted in imports(path):
        other = room(dotted)
        if other is None:
            continue
        assert LAYERS[other] <= LAYERS[own], (
            f"{name}:{line}: {own} (layer {LAYERS[own]}) imports {other} (layer {LAYERS[other]})"
        )
        assert (own, other) not in NEVER, f"{name}:{line}: {own} imports {other}: {NEVER[own, other]}"


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_what_shims_import_is_stdlib_only(name: str, path: Path) -> None:
    import sys

    own = Path(name).parts[0]
    if own not in STDLIB_ONLY:
        return
    allowed = {*sys.stdlib_module_names, "minipod", *(["pyroute2"] if name in PYROUTE2_USERS else [])}
    for line, dotted in imports(path):
        top = dotted.split(".")[0]
        assert top in allowed, f"{name}:{line}: {own} may import the standard library only, not {top}"


def test_no_shim_reaches_netlink_by_way_of_others() -> None:
    paths = dict(modules())
    reached = [name for name in paths if name.startswith("runtime/")]
    assert reached
    for name in reached:
        for line, dotted in imports(paths[name]):
            for other in files(dotted) & paths.keys():
                assert other not in PYROUTE2_USERS, (
                    f"{name}:{line}: what shims import must not reach {other}"
                )
                if other not in reached:
                    reached.append(other)


def test_the_checks_see_a_wrong_import(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("from minipod.kubelet import events\nimport minipod.daemon\n")
    assert [room(dotted) for _, dotted in imports(bad)] == ["kubelet", "daemon"]
    assert {"linux/netlink.py", "linux/__init__.py"} < files("minipod.linux.netlink.Message")
    assert not files("json.decoder.JSONDecoder")
