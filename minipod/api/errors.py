"""The API's errors: what Kubernetes answers with, as an exception.

    StatusError                          carries code, reason, message and details; becomes a Status body
        not_found, already_exists, ...   make one with Kubernetes' exact words (apimachinery/pkg/api/errors)

Callers tell errors apart by `code` or `reason`, never by class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minipod.api.field_errors import FieldError, quoted
from minipod.api.meta_v1 import Status, StatusCause, StatusDetails
from minipod.api.scheme import Resource

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class StatusError(Exception):
    """An API call was refused or failed. `reason` is one of Kubernetes' StatusReasons, "" when none fits."""

    def __init__(self, code: int, reason: str, message: str, details: StatusDetails | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def to_status(self) -> Status:
        return Status(
            status="Failure",
            message=self.message,
            reason=self.reason or None,
            details=self.details,
            code=self.code,
        )

    @classmethod
    def from_status(cls, status: Status) -> StatusError:
        """The error a server's Status body stands for."""
        return cls(
            status.code or 500, status.reason or "", status.message or "unknown error", status.details
        )

    def __reduce__(self) -> tuple[type[StatusError], tuple[int, str, str, StatusDetails | None]]:
        return type(self), (self.code, self.reason, self.message, self.details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> StatusError:
    return StatusError(401, "Unauthorized", message)


def forbidden(resource: Resource | str, name: str, why: str) -> StatusError:
    """`resource` and `name` may be "": the message then names less."""
    word = _word(resource)
    subject = f"{word} {quoted(name)} is forbidden" if name else f"{word} is forbidden"
    return StatusError(
        403, "Forbidden", f"{subject if word else 'forbidden'}: {why}", _details(resource, name)
    )


def not_found(resource: Resource | str, name: str) -> StatusError:
    return StatusError(
        404, "NotFound", f"{_word(resource)} {quoted(name)} not found", _details(resource, name)
    )


def no_such_resource(message: str = "the server could not find the requested resource") -> StatusError:
    """For a path nothing is served at."""
    return StatusError(404, "NotFound", message, StatusDetails())


def method_not_allowed(resource: Resource | str, action: str) -> StatusError:
    """`action` is a verb: "update"."""
    message = f"{action} is not supported on resources of kind {quoted(_word(resource))}"
    return StatusError(405, "MethodNotAllowed", message, _details(resource, ""))


def not_acceptable(accepted: Sequence[str]) -> StatusError:
    message = f"only the following media types are accepted: {', '.join(accepted)}"
    return StatusError(406, "NotAcceptable", message)


def already_exists(resource: Resource | str, name: str) -> StatusError:
    message = f"{_word(resource)} {quoted(name)} already exists"
    return StatusError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource | str, name: str, why: str = MODIFIED) -> StatusError:
    message = f"Operation cannot be fulfilled on {_word(resource)} {quoted(name)}: {why}"
    return StatusError(409, "Conflict", message, _details(resource, name))


def gone(message: str) -> StatusError:
    return StatusError(410, "Gone", message)


def expired(message: str) -> StatusError:
    """A resourceVersion or continue token is too old: list again."""
    return StatusError(410, "Expired", message)


def too_large(message: str) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def unsupported_media_type(accepted: Sequence[str]) -> StatusError:
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return StatusError(415, "UnsupportedMediaType", message)


def invalid(kind: str, name: str, causes: Iterable[FieldError], group: str = "") -> StatusError:
    """Validation failed: `causes` (at least one) become the message and the details."""
    errors = list(causes)
    texts = list(dict.fromkeys(str(error) for error in errors))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = StatusDetails(
        name=name or None, group=group or None, kind=kind, causes=[error.to_cause() for error in errors]
    )
    qualified = f"{kind}.{group}" if group else kind
    return StatusError(422, "Invalid", f"{qualified} {quoted(name)} is invalid: {text}", details)


def too_many_requests(message: str, retry_after_seconds: int = 1) -> StatusError:
    return StatusError(429, "TooManyRequests", message, StatusDetails(retryAfterSeconds=retry_after_seconds))


def internal_error(message: str) -> StatusError:
    details = StatusDetails(causes=[StatusCause(message=message)])
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", details)


def service_unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def timeout(message: str, retry_after_seconds: int = 0) -> StatusError:
    details = StatusDetails(retryAfterSeconds=retry_after_seconds or None)
    return StatusError(504, "Timeout", f"Timeout: {message}", details)


def _word(resource: Resource | str) -> str:
    return resource if isinstance(resource, str) else resource.group_resource


def _details(resource: Resource | str, name: str) -> StatusDetails:
    if isinstance(resource, str):
        plural, _, group = resource.partition(".")
    else:
        plural, group = resource.plural, resource.group
    return StatusDetails(name=name or None, group=group or None, kind=plural or None)
