"""How a command fails: one message on standard error and an exit code, as kubectl words them.

CommandError        the command cannot go on; its message is printed after "error: "
ProcessExitError         the command's own work is done, but the exit code is that of a container's process
ReportedError            every message has been printed already; only the exit code is left
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def describe(error: BaseException) -> str:
    """The text for standard error, or "" when it is a bug whose traceback is worth more."""
    from minipod.api.documents import DocumentError
    from minipod.api.errors import StatusError
    from minipod.cli.jsonpath import JSONPathError
    from minipod.client.http import ApiUnreachableError

    if isinstance(error, StatusError):
        return server_error(error)
    if isinstance(error, CommandError | ApiUnreachableError | DocumentError | JSONPathError):
        return f"error: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: cannot use {error.filename}: {error.strerror}"
    return ""


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
