"""The service: installed, restarted, killed, hung, stopped, activated, removed; seen by systemd and by the kernel."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.systemd.units import UNITS
from tests.helpers.wait import wait_until
from tests.vm.service import (
    MINIPOD,
    OBEDIENT,
    PATIENCE,
    PODS_GROUP,
    api,
    install,
    is_active,
    journal,
    main_pid,
    make_pod,
    processes,
    restarts,
    run,
    show,
    wait_ready,
)

pytestmark = [pytest.mark.first, pytest.mark.timeout(600)]

DIRECTORY = Path("/var/lib/minipod/systemd")
MARKS = DIRECTORY / "marks"
CONFIG = Path("/etc/minipod/config.yaml")
DROP_IN = Path("/run/systemd/system/minipod.service.d/test.conf")

HOOK = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook >> /marks/stopped"]}}}
HOOKED = {"lifecycle": HOOK, "volumeMounts": [{"name": "marks", "mountPath": "/marks"}]}
VOLUMES = [{"name": "marks", "hostPath": {"path": str(MARKS)}}]


@pytest.fixture(scope="module", autouse=True)
def service() -> Iterator[str]:
    """What install said. One pod, `web`, runs through all of these tests."""
    MARKS.mkdir(parents=True)
    told = install(DIRECTORY, node_name="vm", container_log_journal="true")
    command = ["sh", "-c", f"echo hello, journal; {OBEDIENT}"]
    make_pod("web", container={**HOOKED, "command": command}, volumes=VOLUMES)
    wait_ready("web")
    yield told
    if any(Path("/etc/systemd/system", unit).exists() for unit in UNITS):
        run(MINIPOD, "uninstall", "--yes", check=False)


def hooks_run() -> int:
    """How often web's preStop hook has run."""
    file = MARKS / "stopped"
    return file.read_text().count("hook\n") if file.exists() else 0


def test_install_enables_and_starts_and_says_what_it_wrote(service: str) -> None:
    for unit in UNITS:
        assert f"wrote /etc/systemd/system/{unit}" in service
        assert is_active(unit)
    assert show("minipod.service", "UnitFileState") == show("minipod.socket", "UnitFileState") == "enabled"
    assert show("minipod.service", "StatusText").endswith("serves at /run/minipod/minipod.sock")
    assert CONFIG.read_text().startswith("# Written by minipod install.")


def test_install_again_changes_nothing() -> None:
    before = main_pid()
    assert "wrote" not in run(MINIPOD, "install")
    assert main_pid() == before


def test_systemd_shows_pods_by_name() -> None:
    shown = run("systemd-cgls", "--no-pager", "--full", "/minipod.slice")
    assert "minipod shim default/web " in shown
    assert "user.minipod.pod: default/web" in shown
    assert "user.minipod.container: app" in shown
    assert "/pause" in shown
    assert "sleep 3600" in shown
    assert "minipod shim default/web " in run("systemctl", "status", "--no-pager", "--full", "minipod-pods")


def test_the_journal_knows_what_an_entry_is_about() -> None:
    lines = run("journalctl", "-b", "-o", "json", "POD_NAME=web", "POD_NAMESPACE=default").splitlines()
    entries = [json.loads(line) for line in lines]
    started = next(e for e in entries if e.get("REASON") == "Started")
    assert started["CONTAINER_NAME"] == "app"
    assert started["_SYSTEMD_UNIT"] == "minipod.service"
    assert started["PRIORITY"] == "6"
    said = next(e for e in entries if e["MESSAGE"] == "hello, journal")
    assert (said["CONTAINER_NAME"], said["STREAM"]) == ("app", "stdout")
    assert said["_SYSTEMD_UNIT"] == "minipod-pods.service"


def test_logind_waits_for_the_pods() -> None:
    held = run("systemd-inhibit", "--list", "--no-pager")
    assert "minipod" in held
    assert "Pods end before the machine does" in held
    delay = run("busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
                "org.freedesktop.login1.Manager", "InhibitDelayMaxUSec")  # fmt: skip
    assert delay.strip() == "t 30000000"


def test_a_restart_leaves_every_process_running_and_every_client_served() -> None:
    before, daemon = processes(), main_pid()
    answers: list[object] = []
    begun, over = threading.Event(), threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answers.append(api("GET", "/api/v1/namespaces/default/pods/web")["metadata"]["name"])
            except Exception as error:
                answers.append(error)
            begun.set()

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(PATIENCE)
    run("systemctl", "restart", "minipod")
    over.set()
    asking.join()
    assert main_pid() != daemon
    assert processes() == before
    assert restarts("web") == 0
    # A request that was under way may be cut off; none is refused, as all would be while nobody listens.
    assert not [a for a in answers if isinstance(a, Exception) and "refused" in str(a).lower()], answers
    assert answers.count("web") >= 2


def test_a_killed_daemon_is_started_again_and_pods_go_on() -> None:
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Service]\nWatchdogSec=5s\n")  # for the next test: it holds from the next start on
    run("systemctl", "daemon-reload")
    before, daemon = processes(), main_pid()
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: main_pid() not in (0, daemon) and is_active("minipod"), PATIENCE, journal)
    assert processes() == before
    assert restarts("web") == 0
    assert int(show("minipod.service", "NRestarts")) == 1


def test_a_hung_daemon_is_noticed_and_started_again() -> None:
    before, daemon = processes(), main_pid()
    assert show("minipod.service", "WatchdogUSec") == "5s"
    os.kill(daemon, signal.SIGSTOP)
    wait_until(lambda: main_pid() not in (0, daemon) and is_active("minipod"), PATIENCE, journal)
    told = journal("-u", "minipod.service")
    assert "Watchdog timeout" in told
    assert "Fatal Python error: Aborted" in told
    assert processes() == before
    DROP_IN.unlink()
    DROP_IN.parent.rmdir()
    run("systemctl", "daemon-reload")


def test_a_stop_keeps_the_pods_and_a_connection_starts_the_daemon() -> None:
    before = processes()
    run("systemctl", "stop", "minipod")
    assert not is_active("minipod.service")
    assert processes() == before
    assert restarts("web") == 0  # asked of the socket, which systemd holds
    wait_until(lambda: is_active("minipod.service"), PATIENCE, journal)
    assert processes() == before


def test_the_end_of_the_pods_unit_is_the_pods_end_even_without_a_daemon() -> None:
    hooks = hooks_run()
    run("systemctl", "stop", "minipod.socket", "minipod.service")
    assert processes()
    run("systemctl", "stop", "minipod-pods")
    assert not PODS_GROUP.exists(), journal()
    assert hooks_run() == hooks + 1
    run(MINIPOD, "install", "--start=false", "--pods-on-stop", "stop")
    run("systemctl", "start", "minipod")
    wait_ready("web")
    assert restarts("web") == 1
    assert "219" not in show("minipod.service", "ExecMainStatus")


def test_a_stop_ends_the_pods_where_the_configuration_says_so_and_a_restart_never_does() -> None:
    run(MINIPOD, "install", "--pods-on-stop", "stop")
    before, hooks = processes(), hooks_run()
    run("systemctl", "restart", "minipod")
    assert processes() == before
    run("systemctl", "stop", "minipod")
    assert not [line for line in processes().values() if "sleep" in line], journal()
    assert hooks_run() == hooks + 1
    assert is_active("minipod-pods.service")


def test_purge_and_a_second_daemon_leave_the_service_alone() -> None:
    told = run(MINIPOD, "purge", "--yes", check=False)
    assert "minipod uninstall" in told
    assert is_active("minipod.socket")


def test_uninstall_leaves_nothing() -> None:
    api("GET", "/readyz")  # starts the daemon, and with it the pod
    wait_ready("web")
    hooks = hooks_run()
    run(MINIPOD, "uninstall", "--yes")
    assert hooks_run() == hooks + 1
    assert processes() == {}
    paths = [PODS_GROUP.parent, Path("/run/minipod"), Path("/etc/minipod"), DIRECTORY / "data"]
    paths += [Path("/etc/systemd/system", unit) for unit in UNITS]
    paths += [Path("/run/systemd/logind.conf.d/99-minipod.conf"), DIRECTORY / "log"]
    assert [path for path in paths if path.exists()] == []
    listed = run("systemctl", "list-units", "--all", "--no-legend", "--plain", "minipod*").splitlines()
    assert [line for line in listed if not line.startswith("minipod-vm")] == []
    assert "minipod" not in run("nft", "list", "tables")
    assert "minipod0" not in run("ip", "link")
    assert "minipod" not in run("systemd-inhibit", "--list", "--no-pager")
