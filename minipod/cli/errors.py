"""How a command fails: one message on standard error and an exit code, as kubectl words them.

CommandError        the command cannot go on; its message is printed after "error: "
ProcessExitError         the command's own work is done, but the exit code is that of a container's process
ReportedError            every message has been printed already; only the exit code is left
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from minipod.api.errors import StatusError

UNUSABLE = 1
INTERRUPTED = 130


class CommandError(Exception):
    """Something the user has to change; the message says what was expected and the way out."""


class ProcessExitError(Exception):
    """Leave with `code`, silently."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ReportedError(ProcessExitError):
    """Messages are out; leave with 1."""

    def __init__(self) -> None:
        super().__init__(UNUSABLE)


def refused(error: BaseException) -> StatusError | None:
    """The error as the server's refusal; None when it is something else.

    What was raised has been imported: looking it up spares everybody else the import, which takes longer than a get.
    """
    kind = _loaded("minipod.api.errors", "StatusError")
    return cast("StatusError", error) if kind and isinstance(error, kind) else None


def describe(error: BaseException) -> str:
    """The text for standard error, or "" when it is a bug whose traceback is worth more."""
    if (refusal := refused(error)) is not None:
        return server_error(refusal)
    told = (
        _loaded("minipod.client.http", "ApiUnreachableError"),
        _loaded("minipod.api.documents", "DocumentError"),
        _loaded("minipod.cli.jsonpath.parser", "JSONPathError"),
    )
    if isinstance(error, (CommandError, *filter(None, told))):
        return f"error: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: cannot use {error.filename}: {error.strerror}"
    return ""


def _loaded(module: str, name: str) -> type[BaseException] | None:
    """A class of a module, if that has been imported."""
    return getattr(sys.modules.get(module), name, None)


def server_error(error: StatusError, *, doing: str = "") -> str:
    """What the server refused. `doing` says at what, such as `error when creating "pod.yaml"`.

    An Invalid answer lists its causes, one a line when there are several.
    """
    if error.reason == "Invalid" and error.details and error.details.causes:
        return _invalid(error)
    prefix = f"Error from server ({error.reason})" if error.reason else "Error from server"
    return ": ".join(filter(None, (prefix, doing, error.message)))


def _invalid(error: StatusError) -> str:
    details = error.details
    assert details is not None
    causes = [": ".join(filter(None, (cause.field, cause.message))) for cause in details.causes]
    subject = f'The {details.kind} "{details.name}" is invalid'
    if len(causes) == 1:
        return f"{subject}: {causes[0]}"
    return subject + ": \n" + "\n".join(f"* {cause}" for cause in causes)
