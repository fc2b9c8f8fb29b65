"""purge on the real kernel: it takes away what is there, nothing else, and tells the truth about what is left."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.cli.errors import CommandError
from minipod.cli.removal import actions
from minipod.cli.removal.survey import look
from minipod.config import Config
from minipod.linux.cgroup2 import cgroup
from tests.helpers.wait import wait_until

UID = "6b1f0c2e-3f57-4d0e-9a53-0f1d2f7f9a11"


@pytest.fixture
def config(workdir: Path, word: str) -> Config:
    return Config(
        data_dir=workdir / "data",
        run_dir=workdir / "run",
        log_dir=workdir / "log",
        bridge=word,
        nft_table=word,
        cgroup_parent=word,
        pod_cidr="10.77.0.0/24",
        node_name="x",
    )


@pytest.fixture
def pod_process(config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """A process two levels below the cgroup parent that does not end on SIGTERM."""
    root = cgroup.mount_point()
    group = cgroup.create(root, f"{config.cgroup_parent}/besteffort/pod{UID}")
    script = f"echo $$ > {group}/cgroup.procs; trap '' TERM; echo up; while :; do sleep 1000; done"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        if group.exists():
            cgroup.kill(group)
        process.wait()
        process.stdout.close()
        cgroup.remove(root / config.cgroup_parent)


def test_processes_cgroups_and_directories_go(
    config: Config, pod_process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept")
    volume = config.data_dir / "pods" / UID / "volumes"
    volume.mkdir(parents=True)
    (volume / "link").symlink_to(tmp_path)
    (config.data_dir / "state.db").touch()
    logs = config.log_dir / f"default_web_{UID}"
    logs.mkdir(parents=True)
    found = look(config)
    assert pod_process.pid in found.processes
    assert len(found.lines()) >= 4
    assert actions.remove(config, found) == []
    assert pod_process.wait(timeout=5) == -9
    assert look(config).lines() == []
    assert not config.log_dir.exists()
    assert kept.read_text() == "kept"


def test_a_spawner_whose_daemon_has_gone_ends(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "PATIENCE", 0.05)
    script = f"import time; main = lambda *_: time.sleep(1000); main(3, '{config.run_dir / 'spawner'}')"
    spawner = subprocess.Popen([sys.executable, "-c", script])
    try:
        found = wait_until(lambda: (seen := look(config)).spawners and seen)
        assert found.spawners == (spawner.pid,)
        assert any(line.startswith(f"process {spawner.pid}") for line in found.lines())
        assert actions.remove(config, found) == []
        assert spawner.wait(timeout=5) == -9
    finally:
        spawner.kill()
        spawner.wait()


def test_what_is_not_ours_is_refused_before_anything_is_removed(config: Config) -> None:
    config.data_dir.mkdir()
    (config.data_dir / "thesis.tex").touch()
    with pytest.raises(CommandError, match=r"thesis\.tex: nothing was removed"):
        actions.check(config, look(config))


def purge(config: Config, *flags: str) -> subprocess.CompletedProcess[str]:
    names = {
        "data-dir": config.data_dir,
        "run-dir": config.run_dir,
        "log-dir": config.log_dir,
        "bridge": config.bridge,
        "nft-table": config.nft_table,
        "cgroup-parent": config.cgroup_parent,
        "pod-cidr": config.pod_cidr,
    }
    words = [f"--{name}={value}" for name, value in names.items()]
    # In a network namespace of its own: the bridge and the table are looked for, and must not be the host's.
    return subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "minipod", "purge", *words, *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_yes_it_only_tells(config: Config, pod_process: subprocess.Popen[bytes]) -> None:
    done = purge(config)
    assert done.returncode == 1
    assert f"would remove process {pod_process.pid}" in done.stdout
    assert "say --yes" in done.stderr
    assert pod_process.poll() is None


def test_the_command_proves_what_it_did(config: Config, pod_process: subprocess.Popen[bytes]) -> None:
    config.run_dir.mkdir()
    done = purge(config, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"removed process {pod_process.pid}" in done.stdout
    assert "nothing is left" in done.stdout
    assert not config.run_dir.exists()
    again = purge(config, "--yes")
    assert again.returncode == 0


def test_only_our_own_bridge_is_taken_away(config: Config, tmp_path: Path) -> None:
    """In a network namespace of its own: a bridge with our name on it, one without, and cables plugged into both."""
    flags = f"--data-dir {config.data_dir} --run-dir {config.run_dir} --log-dir {config.log_dir}"
    flags += f" --nft-table {config.nft_table} --cgroup-parent {config.cgroup_parent} --pod-cidr {config.pod_cidr}"
    python = f"{sys.executable} -m minipod"
    script = f"""
        set -e
        ip link add {config.bridge} type bridge
        ip link set {config.bridge} alias 'minipod {config.run_dir}/network'
        ip link add cable0 type veth peer name cable1
        ip link set cable0 master {config.bridge}
        ip link add other0 type bridge
        nft add table inet {config.nft_table}
        {python} purge --yes --bridge other0 {flags}
        ip link show other0
        {python} purge --yes --bridge {config.bridge} {flags}
        ip -brief link
    """
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "other0 exists and was not made by minipod" in done.stderr
    assert f"removed network interface {config.bridge}" in done.stdout
    assert "removed network interface cable0" in done.stdout
    assert "removed nftables table" in done.stdout
    assert "removed network interface other0" not in done.stdout
    left = done.stdout.partition("nothing is left")[2].partition("nothing is left")[2]
    assert "other0" in left
    assert config.bridge not in left


def test_a_daemon_that_only_holds_the_lock_is_ended_first(config: Config) -> None:
    config.run_dir.mkdir()
    lock = config.run_dir / "lock"
    script = (
        f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); time.sleep(1000)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script])
    try:
        wait_until(lambda: lock.exists() and _is_locked(lock))
        assert purge(config, "--yes").returncode == 0
        assert holder.wait(timeout=5) == -15
    finally:
        holder.kill()
        holder.wait()


def _is_locked(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
