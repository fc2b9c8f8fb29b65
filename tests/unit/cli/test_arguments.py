"""Arguments as kubectl takes them: flags in any place and spelling, and a second command line after `--`."""

from __future__ import annotations

from typing import Any

import click
import pytest

from minipod.cli import options
from minipod.cli.command import OptionalValue, Verb, after_dash, normalise, split_at_dash
from minipod.cli.main import VERBS, root
from minipod.cli.main import run as main_run
from minipod.cli.session import Session

PARAMS: list[click.Parameter] = [
    click.Option(["-A", "--all"], is_flag=True),
    click.Option(["-i", "--stdin"], is_flag=True),
    click.Option(["-t", "--tty"], is_flag=True),
    click.Option(["-c", "--container"]),
    click.Option(["-o", "--output"]),
    click.Option(["--wait"], is_flag=True, default=True),
    OptionalValue(["--dry-run"], alone="client"),
]


@pytest.mark.parametrize(
    ("given", "normal", "off"),
    [
        (["-o=json"], ["-ojson"], []),
        (["-ojson", "x"], ["-ojson", "x"], []),
        (["-o", "json"], ["-o", "json"], []),
        (["--output=json"], ["--output=json"], []),
        (["--output", "-x"], ["--output", "-x"], []),
        (["-it"], ["-i", "-t"], []),
        (["-itc=web"], ["-i", "-t", "-cweb"], []),
        (["-itc", "web"], ["-i", "-t", "-c", "web"], []),
        (["--wait=false"], [], ["wait"]),
        (["--wait=true"], ["--wait"], []),
        (["-A=false", "x"], ["x"], ["all"]),
        (["--wait", "pod"], ["--wait", "pod"], []),
        (["--dry-run", "pod"], ["--dry-run=client", "pod"], []),
        (["--dry-run=server"], ["--dry-run=server"], []),
        (["--unknown=x", "-z"], ["--unknown=x", "-z"], []),
        (["-"], ["-"], []),
    ],
)
def test_spellings(given: list[str], normal: list[str], off: list[str]) -> None:
    assert normalise(PARAMS, given) == (normal, off)


def test_a_switch_takes_true_or_false() -> None:
    with pytest.raises(click.UsageError, match='invalid value "maybe" for --wait'):
        normalise(PARAMS, ["--wait=maybe"])


def test_what_follows_the_dashes_is_another_command_line() -> None:
    assert split_at_dash(["web", "-it", "--", "ls", "-l", "--", "x"]) == (
        ["web", "-it"],
        ["ls", "-l", "--", "x"],
    )
    assert split_at_dash(["web"]) == (["web"], None)


@click.command("probe", cls=Verb)
@click.argument("words", nargs=-1)
@options.flag("--wait", default=True, help="")
@options.flag("-q", "--quiet", help="")
@options.output("json")
@options.dry_run()
@click.pass_context
def probe(ctx: click.Context, **params: Any) -> dict[str, Any]:
    session: Session = ctx.obj
    return {**params, "after": after_dash(), "namespace": session.namespace, "socket": session.socket}


def run(*args: str, obj: Session | None = None) -> dict[str, Any]:
    got: dict[str, Any] = probe.main(list(args), standalone_mode=False, obj=obj)
    return got


def test_defaults() -> None:
    assert run("a") == {
        "words": ("a",),
        "wait": True,
        "quiet": False,
        "output": "",
        "dry_run": "none",
        "after": None,
        "namespace": "",
        "socket": "",
    }


def test_flags_may_stand_among_the_words() -> None:
    got = run("a", "-q", "b", "--wait=false", "-o=json", "--dry-run", "c", "--", "-q")
    assert got["words"] == ("a", "b", "c")
    assert (got["wait"], got["quiet"], got["output"], got["dry_run"]) == (False, True, "json", "client")
    assert got["after"] == ["-q"]


def test_global_flags_may_follow_the_verb_and_win_over_those_before_it() -> None:
    got = run("-n", "there", "--socket=/s", obj=Session(namespace="here", socket="/before"))
    assert (got["namespace"], got["socket"]) == ("there", "/s")
    assert run(obj=Session(namespace="here"))["namespace"] == "here"


@pytest.mark.parametrize("name", [name for verbs in VERBS.values() for name in verbs])
def test_every_verb_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_run([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Usage: minipod {name}")
    command = root.get_command(click.Context(root), name)
    assert command is not None
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, f"{name} {param.opts} has no help"


def test_help_without_a_verb_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main_run(["help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for verbs in VERBS.values() for name in verbs)
    assert main_run([]) == 0
    assert capsys.readouterr().out == told
