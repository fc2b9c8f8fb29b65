"""Configuration: four sources, one value, and errors that name where the mistake is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from minipod.config import CgroupEnforcement, Config, ConfigError, camel, env_name, flag_name
from minipod.config_values import duration


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_without_sources_every_key_has_its_default() -> None:
    config = Config.from_sources(environ={})
    assert config.data_dir == Path("/var/lib/minipod")
    assert config.crash_loop_maximum == 300.0
    assert config.socket == Path("/run/minipod/minipod.sock")


def test_later_sources_win(file: Path) -> None:
    file.write_text("bridge: fromfile0\nmaxPods: 5\nnodeName: fromfile\n")
    config = Config.from_sources(
        file=file,
        environ={"MINIPOD_MAX_PODS": "6", "MINIPOD_NODE_NAME": "fromenv"},
        flags={"node_name": "fromflag"},
    )
    assert (config.bridge, config.max_pods, config.node_name) == ("fromfile0", 6, "fromflag")


def test_lists_and_maps_of_the_file_are_read(file: Path) -> None:
    file.write_text("clusterDNS: [10.0.0.1, 10.0.0.2]\nnodeLabels: {disk: ssd}\n")
    config = Config.from_sources(file=file, environ={})
    assert config.cluster_dns == ("10.0.0.1", "10.0.0.2")
    assert config.node_labels == {"disk": "ssd"}


def test_thresholds_are_read_as_flags_and_as_maps(file: Path) -> None:
    file.write_text(
        "evictionSoft: {memory.available: 10%}\nevictionSoftGracePeriod: {memory.available: 1m30s}\n"
    )
    config = Config.from_sources(
        file=file, environ={}, flags={"eviction_hard": "memory.available<100Mi,nodefs.available<5%"}
    )
    assert config.eviction_soft == {"memory.available": "10%"}
    assert config.eviction_soft_grace_period == {"memory.available": 90.0}
    assert config.eviction_hard == {"memory.available": "100Mi", "nodefs.available": "5%"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"pod_cidr": "10.0.0.0/33"}, "--pod-cidr: "),
        ({"pod_cidr": "10.0.0.0/31"}, "at least four addresses"),
        ({"bridge": "a-name-that-is-too-long"}, "--bridge: expected an interface name of 1 to 15"),
        ({"data_dir": "relative"}, "--data-dir: expected an absolute path, got 'relative'"),
        ({"cgroup_parent": "../escape"}, "--cgroup-parent: "),
        ({"cgroup_enforcement": "lax"}, "--cgroup-enforcement: 'lax' is not a valid"),
        ({"crash_loop_initial": "10 s"}, "--crash-loop-initial: expected a duration"),
        ({"log_level": "loud"}, "--log-level: "),
        (
            {"eviction_hard": "disk.left<5%"},
            "--eviction-hard: disk.left: expected a signal, one of memory.available",
        ),
        ({"eviction_soft": "memory.available<120%"}, "at most 100%"),
        ({"system_reserved": "cpu=many"}, "--system-reserved: "),
        ({"memory_qos": "yes"}, "--memory-qos: expected true or false"),
        ({"node_name": "Not_A_Name"}, "--node-name: expected lower-case"),
    ],
)
def test_a_bad_value_names_its_flag(flags: dict[str, str | None], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.from_sources(environ={}, flags=flags)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bridgee: x\n", "bridgee: unknown key; known are"),
        ("- a\n", "expected a mapping"),
        ("a: [\n", "cannot read configuration"),
        ("maxPods: many\n", "maxPods: invalid literal"),
    ],
)
def test_a_bad_file_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        Config.from_sources(file=file, environ={})
    assert str(file) in str(raised.value)
    assert said in str(raised.value)


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read configuration"):
        Config.from_sources(file=tmp_path / "none.yaml", environ={})


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("7", 7), ("0.25", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


def test_every_key_has_a_spelling_in_each_source() -> None:
    names = [f.name for f in dataclasses.fields(Config)]
    assert (
        len({camel(n) for n in names})
        == len({flag_name(n) for n in names})
        == len({env_name(n) for n in names})
    )
    assert (camel("pod_cidr"), flag_name("pod_cidr"), env_name("pod_cidr")) == (
        "podCIDR",
        "--pod-cidr",
        "MINIPOD_POD_CIDR",
    )
    assert all("help" in f.metadata for f in dataclasses.fields(Config))


def test_enforcement_is_a_word_not_a_flag() -> None:
    config = Config.from_sources(environ={"MINIPOD_CGROUP_ENFORCEMENT": "best-effort"})
    assert config.cgroup_enforcement is CgroupEnforcement.BEST_EFFORT


def test_the_documentation_lists_every_key_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    for f in dataclasses.fields(Config):
        row = next((line for line in page.splitlines() if line.startswith(f"| `{camel(f.name)}` |")), "")
        for part in (flag_name(f.name), env_name(f.name), f.metadata["default"], f.metadata["help"]):
            assert part in row, f"docs/configuration.md: {camel(f.name)}: {part}"
