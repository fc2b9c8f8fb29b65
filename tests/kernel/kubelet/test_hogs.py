"""What one container takes, the daemon, its API and the neighbours must not miss: measured on a host without limits.

Here nothing but fairness and the hogs themselves bounds them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.client.http import ApiClient
from minipod.client.streaming import open_exec
from tests.helpers.daemon import Daemon, running
from tests.helpers.hogs import (
    HOGS,
    PODS,
    Felt,
    Hog,
    add_neighbour,
    api,
    beside,
    felt_by,
    log,
    measure,
    measuring,
    neighbour_is_well,
    shell,
)
from tests.helpers.isolation import unique_directory, unique_word
from tests.helpers.wait import SLOWNESS

pytestmark = pytest.mark.alone

SECONDS = 2.0
USUAL = 0.1 * SLOWNESS
"""Seconds that half of the answers may take at most."""
LONGEST = 1.5 * SLOWNESS
"""Seconds that all but one of a hundred may take: on a shared machine one stall is no proof of anything."""
DAEMON_GROWTH = 30 << 20
SHOWN = 500
"""Processes of a container that its anatomy shows."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with (
        unique_word() as word,
        unique_directory() as workdir,
        running(workdir, word, cgroup_enforcement="best-effort") as started,
    ):
        add_neighbour(started)
        yield started


@pytest.fixture(scope="module")
def quiet(daemon: Daemon) -> Felt:
    return measure(daemon, SECONDS)


def too_much(felt: Felt, quiet: Felt) -> list[str]:
    """What is worse than anybody should feel."""
    slow = [who for who, took in felt.usual.items() if took > USUAL]
    stalled = [who for who, took in felt.worst.items() if took > LONGEST]
    grown = ["memory"] if felt.memory > quiet.memory + DAEMON_GROWTH else []
    return [*slow, *stalled, *grown]


@pytest.mark.parametrize("name", HOGS)
def test_a_hog_leaves_daemon_and_neighbours_alone(name: str, daemon: Daemon, quiet: Felt) -> None:
    with beside(daemon, HOGS[name]):
        felt = measure(daemon, SECONDS)
    print(f"\n{name}: {felt}\n    before: {quiet}")
    neighbour_is_well(daemon)
    assert too_much(felt, quiet) == []


LONG_ARGUMENTS = """
a=$(head -c 120000 /dev/zero | tr '\\0' x)
exec sh -c 'for i in $(seq 300); do (sleep 600; :) & done; echo at work; wait' $a $a $a $a $a $a $a $a $a $a
"""


def test_looking_at_a_pod_costs_no_more_than_is_shown(daemon: Daemon, quiet: Felt) -> None:
    """A container decides how many processes there are and how long their command lines."""
    with beside(daemon, Hog(shell(LONG_ARGUMENTS))):
        uid = api(daemon, "GET", f"{PODS}/hog")["metadata"]["uid"]
        with measuring(daemon) as program:
            for _ in range(5):
                anatomy = api(daemon, "GET", f"/api/v1/nodes/{daemon.node}/proxy/pods/{uid}/anatomy")
            felt = felt_by(program, daemon)
    print(f"\nlooked at: {felt}\n    before: {quiet}")
    [container] = anatomy["containers"]
    assert len(container["processes"]) == SHOWN
    assert container["processCount"] == 601
    assert max(len(process["command"]) for process in container["processes"]) <= 4096
    assert too_much(felt, quiet) == []


def test_what_root_in_a_container_cannot_do_to_the_node(daemon: Daemon) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    script = (
        "for i in -1000 -500 -1; do echo $i > /proc/self/oom_score_adj; done; cat /proc/self/oom_score_adj; "
        "echo h > /proc/sysrq-trigger; echo 1 > /proc/sys/kernel/sysrq; echo $?; "
        "echo 1 > /proc/sys/vm/drop_caches; echo $?; mkdir /sys/fs/cgroup/x; echo $?; kill -KILL 1; echo at work; "
        "sleep 600"
    )
    with beside(daemon, Hog(shell(script), {"shareProcessNamespace": True})):
        told = log(daemon, 100)
    answers = [line for line in told.splitlines() if ":" not in line]
    assert answers[1:] == ["1", "1", "1", "at work"], told
    assert int(answers[0]) >= min(own, 0)


def test_a_flood_of_execs_leaves_others_their_turn(daemon: Daemon, quiet: Felt) -> None:
    """Eight clients that run one command after the other in the same container."""
    done: list[int] = []
    stop = threading.Event()

    def run() -> None:
        with ApiClient(str(daemon.socket)) as client:
            while not stop.is_set():
                with open_exec(client, "default", "hog", ["true"], container="main") as session:
                    while session.receive() is not None:
                        pass
                    done.append(session.exit().code)

    with beside(daemon, Hog(shell("echo at work; sleep 600"))):
        clients = [threading.Thread(target=run) for _ in range(8)]
        for client in clients:
            client.start()
        felt = measure(daemon, SECONDS)
        stop.set()
        for client in clients:
            client.join()
    print(f"\n{len(done)} execs: {felt}\n    before: {quiet}")
    neighbour_is_well(daemon)
    assert len(done) > 8
    assert set(done) == {0}
    assert too_much(felt, quiet) == []
