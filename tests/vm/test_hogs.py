"""Hogs held by the kernel's controllers: what they are refused is on the kernel's record, and nobody else feels it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from minipod.linux.cgroup2 import cgroup
from tests.helpers.daemon import Daemon, running
from tests.helpers.hogs import (
    HOGS,
    PODS,
    Felt,
    Hog,
    add_neighbour,
    api,
    beside,
    is_there,
    measure,
    neighbour_is_well,
    shell,
)
from tests.helpers.isolation import unique_word
from tests.helpers.wait import wait_until

pytestmark = [pytest.mark.node, pytest.mark.timeout(400)]

PIDS_LIMIT = 100
SECONDS = 8.0
SLOWER = 5.0
"""How many times slower the slowest answer of a hundred may become."""
LONGEST = 2.0
"""Seconds it may take in any case: everything is emulated here, ten times slower than elsewhere."""
DAEMON_GROWTH = 30 << 20
LIMITS = {"cpu": "200m", "memory": "48Mi"}

FORK_BOMB = Hog(shell("echo at work; b() { b | b & }; while :; do b; done 2> /dev/null"))
HELD = {
    "burns processors": (HOGS["burns processors"], "cpu.stat", "nr_throttled"),
    "is a fork bomb": (FORK_BOMB, "pids.events", "max"),
    "takes memory": (
        Hog(shell("echo at work; while :; do (tail /dev/zero); done"), restarts=True),
        "memory.events",
        "oom_kill",
    ),
    "floods its log": (HOGS["floods its log"], "cpu.stat", "nr_throttled"),
    "fills /dev/shm": (replace(HOGS["fills /dev/shm"], restarts=True), "memory.events", "max"),
}
"""What it does -> the hog, and which file and key of the pod's cgroup tell that it was held."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    directory = Path("/var/lib/minipod/hogs")
    directory.mkdir()
    with unique_word() as word, running(directory, word, pod_pids_limit=str(PIDS_LIMIT)) as started:
        add_neighbour(started)
        yield started
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def quiet(daemon: Daemon) -> Felt:
    return measure(daemon, SECONDS)


@pytest.mark.parametrize("name", HELD)
def test_a_hog_is_held_and_nobody_feels_it(name: str, daemon: Daemon, quiet: Felt) -> None:
    hog, file, key = HELD[name]
    with beside(daemon, hog, limits=LIMITS):
        felt = measure(daemon, SECONDS)
        wait_until(lambda: count(daemon, file, key) > 0, 30.0, f"{file} to tell of {key}")
        assert shim_of(daemon)
    print(f"\n{name}: {felt}\n    before: {quiet}")
    neighbour_is_well(daemon)
    too_slow = {
        who: took for who, took in felt.worst.items() if took > max(LONGEST, SLOWER * quiet.worst[who])
    }
    assert too_slow == {}
    assert felt.memory < quiet.memory + DAEMON_GROWTH


def test_a_pod_full_of_processes_says_so_to_an_exec_and_can_be_ended(daemon: Daemon) -> None:
    """Nothing can be born in it, so neither an exec nor a hook: ending it needs no birth."""
    full = Hog(shell(f"for i in $(seq {PIDS_LIMIT * 2}); do sleep 600 & done; echo at work; wait"))
    hook = {"preStop": {"exec": {"command": ["true"]}}}
    with beside(daemon, Hog({**full.container, "lifecycle": hook}, restarts=True)):
        wait_until(lambda: count(daemon, "pids.events", "max") > 0)
        told = daemon.cli("exec", "hog", "--", "true", check=False)
        assert "pids limit" in told.stderr
        assert shim_of(daemon)
        api(daemon, "DELETE", f"{PODS}/hog", {"gracePeriodSeconds": 1})
        wait_until(lambda: not is_there(daemon), 15.0, "the hog to end")
    reasons = {event["reason"] for event in daemon.events("hog")}
    assert "FailedPreStopHook" in reasons


def test_the_oom_killer_spares_the_shim_also_by_the_limit_of_the_pod(daemon: Daemon) -> None:
    """The pod's own memory.max, in which the shim lives, is hit: processes of containers are what is killed."""
    hog = Hog(
        shell("echo at work; while :; do (tail /dev/zero); done"),
        {"resources": {"limits": {"memory": "64Mi"}}},
        restarts=True,
    )
    with beside(daemon, hog):
        shim = shim_of(daemon)
        wait_until(lambda: count(daemon, "memory.events", "oom_kill") > 0, 60.0)
        assert shim_of(daemon) == shim
        assert int(Path(f"/proc/{shim}/oom_score_adj").read_text()) == -998


def test_the_daemon_is_killed_after_everything_that_can_be_instead(daemon: Daemon) -> None:
    assert Path(f"/proc/{daemon.pid}/oom_score_adj").read_text() == "-999\n"


def group(daemon: Daemon) -> Path:
    """The hog's pod's cgroup."""
    uid = api(daemon, "GET", f"{PODS}/hog")["metadata"]["uid"]
    [found] = (cgroup.mount_point() / daemon.word).rglob(f"pod{uid}")
    return found


def count(daemon: Daemon, file: str, key: str) -> int:
    """What the kernel has counted in the pod, or in one of its containers where only those have the file's key."""
    found: Path = group(daemon)
    places = [place for place in (found, *found.iterdir()) if (place / file).exists()]
    return max((cgroup.flat_keyed(cgroup.read(place, file)).get(key, 0) for place in places), default=0)


def shim_of(daemon: Daemon) -> int:
    for pid in cgroup.processes(group(daemon) / "shim"):
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"minipod shim"):
            return pid
    raise AssertionError("the shim has ended")
