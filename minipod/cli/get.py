"""`minipod get`: objects as the server's tables, or whole in another format, once or as they change."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.discovery import ApiResource, found_or
from minipod.cli.errors import CommandError, ReportedError, refused, server_error
from minipod.cli.output.tables import TableOptions, TablePrinter
from minipod.cli.selection import Target, parse_targets
from minipod.cli.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOptions:
    """The flags, as click hands them over."""

    words: tuple[str, ...]
    output: str
    watch: bool
    watch_only: bool
    all_namespaces: bool
    selector: str
    field_selector: str
    show_labels: bool
    label_columns: str
    sort_by: str
    no_headers: bool
    ignore_not_found: bool
    show_kind: bool
    show_managed_fields: bool
    raw: str

    @property
    def tables(self) -> bool:
        return self.output in ("", "wide")


@click.command("get", cls=Verb)
@click.argument(
    "words", nargs=-1, metavar="TYPE [NAME...] | TYPE/NAME...", shell_complete=options.completer("targets")
)
@options.output("wide|json|yaml|name|jsonpath=...|custom-columns=...")
@options.flag("-w", "--watch", help="Go on printing what changes.")
@options.flag("--watch-only", help="Print only what changes from now on.")
@options.all_namespaces()
@options.selector()
@options.field_selector()
@options.flag("--show-labels", help="Add a column with all labels.")
@click.option(
    "-L", "--label-columns", default="", metavar="LABELS", help="Add a column for each of these labels."
)
@click.option(
    "--sort-by", default="", metavar="PATH", help="Sort by a field, such as .metadata.creationTimestamp."
)
@options.flag("--no-headers", help="Leave out the line of column names.")
@options.flag("--ignore-not-found", help="Say nothing of names that do not exist.")
@options.flag("--show-kind", help="Put the type before each name.")
@options.flag("--show-managed-fields", help="Keep metadata.managedFields in json and yaml.")
@click.option("--raw", default="", metavar="PATH", help="Print what the server answers at this path.")
@click.pass_obj
def command(session: Session, /, **flags: Any) -> None:
    """Display one or many objects.

    \b
    minipod get pods                      minipod get pod web -o yaml
    minipod get pods,nodes -A -o wide     minipod get pods -w
    minipod get pods -o jsonpath='{range .items[*]}{.metadata.name}{"\\n"}{end}'
    """
    chosen = GetOptions(**flags)
    if chosen.raw:
        _print_raw(session, chosen.raw)
        return
    targets = parse_targets(chosen.words, session.discovery.find_all)
    _refuse_contradictions(chosen, targets)
    if chosen.watch or chosen.watch_only:
        from minipod.cli.get_watch import watch

        watch(session, targets, chosen)
    elif chosen.tables:
        _print_tables(session, targets, chosen)
    else:
        _print_objects(session, targets, chosen)


def _refuse_contradictions(chosen: GetOptions, targets: list[Target]) -> None:
    if any(target.names for target in targets):
        if chosen.all_namespaces:
            raise CommandError(
                "an object cannot be named together with --all-namespaces; name its namespace with -n"
            )
        if chosen.selector or chosen.field_selector:
            raise CommandError("a selector picks objects by itself: leave out the names, or the selector")


def _print_raw(session: Session, path: str) -> None:
    with session.api.stream("GET", path) as answer:
        for chunk in answer:
            sys.stdout.buffer.write(chunk)


def query_of(chosen: GetOptions, *, whole_objects: bool = False) -> dict[str, str | int | bool | None]:
    return {
        "labelSelector": chosen.selector or None,
        "fieldSelector": chosen.field_selector or None,
        "includeObject": "Object" if whole_objects else None,
    }


def namespace_for(session: Session, chosen: GetOptions, resource: ApiResource) -> str:
    return "" if chosen.all_namespaces or not resource.namespaced else session.current_namespace


def table_options(chosen: GetOptions, resource: ApiResource, *, several: bool) -> TableOptions:
    return TableOptions(
        wide=chosen.output == "wide",
        headers=not chosen.no_headers,
        namespaces=chosen.all_namespaces and resource.namespaced,
        show_labels=chosen.show_labels,
        label_columns=tuple(filter(None, chosen.label_columns.split(","))),
        kind=resource.label("").rstrip("/") if several or chosen.show_kind else "",
    )


class _Answers:
    """Asks for each target in turn; a name that is not there is reported and does not stop the others."""

    def __init__(self, session: Session, chosen: GetOptions) -> None:
        self._session = session
        self._chosen = chosen
        self.failed = False

    def ask(self, target: Target, *, table: bool) -> Iterator[Any]:
        """One answer a name, or one for all."""
        chosen, resource = self._chosen, target.resource
        whole = bool(chosen.sort_by)
        get = self._session.api.table if table else self._session.api.get
        query = query_of(chosen, whole_objects=whole and table)
        namespace = namespace_for(self._session, chosen, resource)
        if not target.names:
            yield get(resource.path(namespace), query)
        for name in target.names:
            ask = functools.partial(get, resource.path(namespace, name), query)
            try:
                answer = found_or(ask, None) if chosen.ignore_not_found else ask()
            except Exception as error:
                if not self._report(error):
                    raise
            else:
                if answer is not None:
                    yield answer

    def _report(self, error: Exception) -> bool:
        refusal = refused(error)
        if refusal is None:
            return False
        print(server_error(refusal), file=sys.stderr)
        self.failed = True
        return True


def _print_tables(session: Session, targets: list[Target], chosen: GetOptions) -> None:
    answers = _Answers(session, chosen)
    several = len({target.resource for target in targets}) > 1
    printed = False
    for target in targets:
        tables = list(answers.ask(target, table=True))
        if not tables:
            continue
        table = {**tables[0], "rows": [row for t in tables for row in t.get("rows") or ()]}
        if chosen.sort_by:
            from minipod.cli.output.sorting import sort_by

            table["rows"] = sort_by(chosen.sort_by, table["rows"], lambda row: row.get("object") or {})
        text = TablePrinter(table_options(chosen, target.resource, several=several)).render(table)
        if text:
            sys.stdout.write("\n" + text if printed else text)
            printed = True
    if answers.failed:
        raise ReportedError
    if not printed and not chosen.ignore_not_found:
        _say_none(session, targets, chosen)


def _say_none(session: Session, targets: list[Target], chosen: GetOptions) -> None:
    namespaced = any(target.resource.namespaced for target in targets) and not chosen.all_namespaces
    where = f" in {session.current_namespace} namespace." if namespaced else ""
    print(f"No resources found{where}", file=sys.stderr)


def _print_objects(session: Session, targets: list[Target], chosen: GetOptions) -> None:
    from minipod.cli.output.objects import as_list, renderer

    render = renderer(
        chosen.output, headers=not chosen.no_headers, managed_fields=chosen.show_managed_fields
    )
    answers = _Answers(session, chosen)
    found = [
        obj
        for target in targets
        for answer in answers.ask(target, table=False)
        for obj in complete_items(answer)
    ]
    if chosen.sort_by:
        from minipod.cli.output.sorting import sort_by

        found = sort_by(chosen.sort_by, found, lambda obj: obj)
    single = len(targets) == 1 and len(targets[0].names) == 1
    if single and found:
        sys.stdout.write(render(found[0]))
    elif not single and not (answers.failed and not found):
        sys.stdout.write(render(as_list(found)))
    if answers.failed:
        raise ReportedError


def complete_items(answer: Any) -> list[Any]:
    """The objects of an answer; those in a list get the kind and version that only the list states."""
    if "items" not in answer:
        return [answer]
    stated = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
    return [{**stated, **item} for item in answer["items"] or ()]
