"""`minipod doctor`: what this host has, what it lacks, and what to do about it. Needs no daemon."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.errors import CommandError, ReportedError
from minipod.cli.health.checks import Finding, Need
from minipod.cli.health.table import judge
from minipod.config import ConfigError

MARKS = {"ok": "ok", "missing": "MISSING", "absent": "absent"}
COLOURS = {"ok": "\x1b[32m", "missing": "\x1b[31;1m", "absent": "\x1b[33m"}


@click.command("doctor", cls=Verb)
@click.option("--data-dir", default="/var/lib/minipod", metavar="PATH", help="The daemon's data directory.")
@click.option(
    "--cgroup-parent",
    default="",
    metavar="NAME",
    help="cgroup below which pods live; default: the service's, else the configuration's.",
)
@options.output("json")
def command(data_dir: str, cgroup_parent: str, output: str) -> None:
    """Check that this host has what pods need. Exit code 1 when something required is missing.

    Everything is tried out in namespaces that vanish with the trial: nothing on the host is changed.
    """
    if output not in ("", "json"):
        raise CommandError(f'unknown output format "{output}"; doctor prints json')
    from minipod.cli.health.facts import gather

    try:
        facts = gather(Path(data_dir).absolute(), cgroup_parent)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    findings = judge(facts)
    if output:
        print(json.dumps(as_json(findings), indent=4))
    else:
        sys.stdout.write(as_text(findings, colour=sys.stdout.isatty()))
    if any(finding.fatal for finding in findings):
        raise ReportedError


def status_of(finding: Finding) -> str:
    """ok; missing: required and not there; absent: optional and not there."""
    if finding.result.good:
        return "ok"
    return "missing" if finding.fatal else "absent"


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "ok": not any(finding.fatal for finding in findings),
        "checks": [
            {
                "group": f.check.group,
                "name": f.check.name,
                "required": f.check.need is Need.REQUIRED,
                "status": status_of(f),
                "detail": f.result.detail,
                "why": f.check.why,
                "fix": f.fix,
            }
            for f in findings
        ],
    }


def as_text(findings: Sequence[Finding], *, colour: bool) -> str:
    lines: list[str] = []
    width = max(len(finding.check.name) for finding in findings)
    group = fix = ""
    for finding in findings:
        if finding.check.group != group:
            group = finding.check.group
            lines.append(group)
        status = status_of(finding)
        mark = f"{MARKS[status]:<7}"
        if colour:
            mark = f"{COLOURS[status]}{mark}\x1b[0m"
        lines.append(f"  {mark}  {finding.check.name:<{width}}  {finding.result.detail}")
        if status != "ok":
            lines.append(f"           for: {finding.check.why}")
            lines.append(f"           fix: {'the same' if finding.fix == fix else finding.fix}")
            fix = finding.fix
    return "\n".join([*lines, "", summary(findings)]) + "\n"


def summary(findings: Sequence[Finding]) -> str:
    fatal = [finding.check.name for finding in findings if finding.fatal]
    absent = [finding.check.name for finding in findings if status_of(finding) == "absent"]
    if fatal:
        return f"This host cannot run pods yet: {', '.join(fatal)} missing."
    if absent:
        return f"This host can run pods. Without: {', '.join(absent)}."
    return "This host can run pods, with everything minipod can use."
