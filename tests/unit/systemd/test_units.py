"""Unit files, configuration and jobs: what is written for systemd, and what is read from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipod.config import StopPolicy
from minipod.systemd import installation, units
from minipod.systemd.settings import SettingsError, ours, with_settings
from minipod.systemd.stopping import Job, PodsFate, parse_jobs, pods_fate
from minipod.systemd.systemctl import SystemdError, check_booted

SOCKET = Path("/run/minipod/minipod.sock")
ROOT = Path("/sys/fs/cgroup")


def texts(*program: str) -> dict[str, str]:
    return dict(units.unit_files(program or ("/opt/minipod",), socket=SOCKET, cgroup_root=ROOT))


def test_no_mark_of_a_template_is_left() -> None:
    made = texts()
    assert set(made) == set(units.UNITS)
    for text in made.values():
        assert text.startswith(units.MARK)
        assert "@" not in text


def test_the_service_runs_the_program_that_installs_it() -> None:
    made = texts("/srv/my env/bin/minipod")
    parent = "--cgroup-parent=minipod.slice/minipod-pods.service/pods"
    assert f'ExecStart="/srv/my env/bin/minipod" daemon {parent}\n' in made[units.SERVICE]
    assert f'ExecStop="/srv/my env/bin/minipod" daemon {parent} --end-pods\n' in made[units.PODS]
    assert "ListenStream=/run/minipod/minipod.sock\n" in made[units.SOCKET]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/bin/a", "b"], "/bin/a b"),
        (["/bin/a b"], '"/bin/a b"'),
        (["50%", "$HOME"], "50%% $$HOME"),
        (['say "hi"', "back\\slash"], '"say \\"hi\\"" "back\\\\slash"'),
        ([""], '""'),
    ],
)
def test_words_survive_systemds_quoting(words: list[str], line: str) -> None:
    assert units.command_line(words) == line


def test_a_line_break_cannot_smuggle_in_a_setting() -> None:
    with pytest.raises(ValueError, match="line break"):
        units.command_line(["/bin/a\nExecStartPre=/bin/evil"])
    with pytest.raises(ValueError, match="line break"):
        units.path(Path("/run/a\nb"))


# -- configuration ---------------------------------------------------------------------------------------------------


def test_a_new_file_has_the_defaults_of_a_service_and_what_was_asked_for() -> None:
    text = with_settings(None, {"node_ip": "10.0.0.7"})
    assert ours(text)
    assert text.endswith('logFormat: "journal"\nnodeIP: "10.0.0.7"\n')


def test_what_people_wrote_stays_to_the_letter() -> None:
    mine = "# mine\nnodeName: lab   # why\nlisten: [a:1, b:2]\nmemoryQoS: true"
    assert with_settings(mine, {}) == mine
    assert with_settings(mine, {"node_name": "lab", "listen": "a:1,b:2", "memory_qos": "true"}) == mine
    assert with_settings(mine, {"node_ip": "10.0.0.7"}) == mine + '\nnodeIP: "10.0.0.7"\n'
    assert not ours(mine)


def test_another_value_is_not_overwritten() -> None:
    with pytest.raises(SettingsError, match=r"nodeName is 'lab' already, not 'other'"):
        with_settings("nodeName: lab\n", {"node_name": "other"})


@pytest.mark.parametrize("text", ["- a\n", "a: [\n"])
def test_a_file_that_is_no_mapping_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError):
        with_settings(text, {"node_name": "lab"})


# -- files -----------------------------------------------------------------------------------------------------------


def test_units_are_written_once_and_found_again(tmp_path: Path) -> None:
    from minipod.config import Config

    config = Config()
    assert installation.write_units(config, directory=tmp_path) == list(units.UNITS)
    assert installation.write_units(config, directory=tmp_path) == []
    assert installation.serves(config.socket, directory=tmp_path)
    assert not installation.serves(Path("/run/other/minipod.sock"), directory=tmp_path)
    assert [path.name for path in installation.installed(directory=tmp_path)] == list(units.UNITS)


def test_somebody_elses_unit_is_left_alone(tmp_path: Path) -> None:
    from minipod.config import Config

    (tmp_path / units.SERVICE).write_text("[Unit]\n")
    with pytest.raises(SystemdError, match="was not written by minipod"):
        installation.write_units(Config(), directory=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [units.SERVICE]
    assert installation.installed(directory=tmp_path) == []


def test_a_unit_that_is_no_text_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / units.SOCKET).write_bytes(b"\xff\xfe[Unit]")
    with pytest.raises(SystemdError, match="was not written by minipod"):
        installation.refuse_others(directory=tmp_path)
    assert installation.installed(directory=tmp_path) == []


def test_only_our_configuration_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "minipod" / "config.yaml"
    assert installation.write_settings({"node_name": "lab"}, file=file)
    assert not installation.write_settings({"node_name": "lab"}, file=file)
    assert installation.remove_settings(file=file) == [file, file.parent]
    file.parent.mkdir()
    file.write_text("nodeName: mine\n")
    assert installation.remove_settings(file=file) == []


def test_without_systemd_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SystemdError, match="run `minipod daemon`"):
        check_booted(booted=tmp_path / "none")
    check_booted(booted=tmp_path)


# -- jobs ------------------------------------------------------------------------------------------------------------

LISTED = """\
 123 minipod.service      restart running
1124 minipod-pods.service start   waiting

"""


def test_jobs_are_read_from_systemctls_table() -> None:
    assert parse_jobs(LISTED) == [Job("minipod.service", "restart"), Job("minipod-pods.service", "start")]
    assert parse_jobs("No jobs running.\n") == []


def jobs(**types: str) -> list[Job]:
    names = {"service": units.SERVICE, "pods": units.PODS, "shutdown": "shutdown.target"}
    return [Job(names[name], type_) for name, type_ in types.items()]


@pytest.mark.parametrize(
    ("queued", "keep", "stop"),
    [
        (jobs(), PodsFate.KEEP, PodsFate.KEEP),  # a signal from somebody else
        (jobs(service="restart"), PodsFate.KEEP, PodsFate.KEEP),
        (jobs(service="stop"), PodsFate.KEEP, PodsFate.STOP),
        (jobs(service="stop", pods="stop"), PodsFate.STOP, PodsFate.STOP),
        (jobs(service="restart", pods="restart"), PodsFate.STOP, PodsFate.STOP),
        (jobs(service="stop", pods="stop", shutdown="start"), PodsFate.SHUT_DOWN, PodsFate.SHUT_DOWN),
        (jobs(pods="start"), PodsFate.KEEP, PodsFate.KEEP),
    ],
)
def test_what_a_stop_means_for_the_pods(queued: list[Job], keep: PodsFate, stop: PodsFate) -> None:
    assert pods_fate(queued, StopPolicy.KEEP) is keep
    assert pods_fate(queued, StopPolicy.STOP) is stop
