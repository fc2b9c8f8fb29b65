"""API errors say what Kubernetes says."""

from __future__ import annotations

import pickle

import pytest

from minipod.api import codec, errors, field_errors
from minipod.api.errors import StatusError
from minipod.api.field_errors import FieldError
from minipod.api.meta_v1 import Status
from minipod.api.scheme import PODS

MESSAGES = [
    (errors.not_found(PODS, "x"), 404, "NotFound", 'pods "x" not found'),
    (errors.not_found("deployments.apps", "x"), 404, "NotFound", 'deployments.apps "x" not found'),
    (errors.already_exists(PODS, "x"), 409, "AlreadyExists", 'pods "x" already exists'),
    (
        errors.conflict(PODS, "x"),
        409,
        "Conflict",
        'Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes to the '
        "latest version and try again",
    ),
    (errors.forbidden(PODS, "x", "no"), 403, "Forbidden", 'pods "x" is forbidden: no'),
    (errors.forbidden(PODS, "", "no"), 403, "Forbidden", "pods is forbidden: no"),
    (errors.forbidden("", "", "no"), 403, "Forbidden", "forbidden: no"),
    (errors.unauthorized(), 401, "Unauthorized", "Unauthorized"),
    (errors.bad_request("hm"), 400, "BadRequest", "hm"),
    (errors.no_such_resource(), 404, "NotFound", "the server could not find the requested resource"),
    (
        errors.method_not_allowed(PODS, "update"),
        405,
        "MethodNotAllowed",
        'update is not supported on resources of kind "pods"',
    ),
    (errors.not_acceptable(["a"]), 406, "NotAcceptable", "only the following media types are accepted: a"),
    (errors.gone("hm"), 410, "Gone", "hm"),
    (errors.expired("too old resource version: 1 (5)"), 410, "Expired", "too old resource version: 1 (5)"),
    (
        errors.too_large("limit is 3145728"),
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    ),
    (
        errors.unsupported_media_type(["a", "b"]),
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: a, b",
    ),
    (errors.too_many_requests("slow"), 429, "TooManyRequests", "slow"),
    (errors.internal_error("boom"), 500, "InternalError", "Internal error occurred: boom"),
    (errors.service_unavailable("later"), 503, "ServiceUnavailable", "later"),
    (errors.timeout("hm"), 504, "Timeout", "Timeout: hm"),
]


@pytest.mark.parametrize(("error", "code", "reason", "message"), MESSAGES)
def test_the_words(error: StatusError, code: int, reason: str, message: str) -> None:
    assert (error.code, error.reason, error.message, str(error)) == (code, reason, message, message)


def test_the_status_body() -> None:
    assert codec.to_builtins(errors.not_found(PODS, "x").to_status()) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'pods "x" not found',
        "reason": "NotFound",
        "details": {"name": "x", "kind": "pods"},
        "code": 404,
    }


def test_invalid_with_one_and_with_several_causes() -> None:
    name = field_errors.required("spec.containers[0].name")
    port = field_errors.invalid(
        "spec.containers[0].ports[0].hostPort", 70000, "must be between 1 and 65535, inclusive"
    )
    assert (
        errors.invalid("Pod", "x", [name]).message
        == 'Pod "x" is invalid: spec.containers[0].name: Required value'
    )
    both = errors.invalid("Pod", "x", [name, port, name])
    assert both.message == (
        'Pod "x" is invalid: [spec.containers[0].name: Required value, spec.containers[0].ports[0].hostPort: '
        "Invalid value: 70000: must be between 1 and 65535, inclusive]"
    )
    assert both.code == 422
    assert both.details is not None
    assert both.details.kind == "Pod"
    cause = both.details.causes[1]
    assert (cause.reason, cause.field) == ("FieldValueInvalid", "spec.containers[0].ports[0].hostPort")
    assert cause.message == "Invalid value: 70000: must be between 1 and 65535, inclusive"
    assert errors.invalid("Deployment", "x", [name], "apps").message.startswith(
        'Deployment.apps "x" is invalid: '
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (field_errors.required("a", "because"), "a: Required value: because"),
        (field_errors.duplicate("a", "x"), 'a: Duplicate value: "x"'),
        (field_errors.not_found("a", "x"), 'a: Not found: "x"'),
        (field_errors.forbidden("a", "no"), "a: Forbidden: no"),
        (field_errors.too_long("a", 5), "a: Too long: may not be more than 5 bytes"),
        (field_errors.too_many("a", 7, 5), "a: Too many: 7: must have at most 5 items"),
        (
            field_errors.not_supported("a", "x", ["y", "z"]),
            'a: Unsupported value: "x": supported values: "y", "z"',
        ),
        (field_errors.invalid("a", None, "no"), "a: Invalid value: null: no"),
        (field_errors.invalid("a", True, "no"), "a: Invalid value: true: no"),
        (field_errors.invalid("a", 'q"\n', "no"), 'a: Invalid value: "q\\"\\n": no'),
        (field_errors.invalid("a", ["x", 1], "no"), 'a: Invalid value: ["x", 1]: no'),
    ],
)
def test_field_errors(error: FieldError, text: str) -> None:
    assert str(error) == text


def test_an_error_survives_the_wire_and_pickling() -> None:
    error = errors.invalid("Pod", "x", [field_errors.required("spec")])
    for back in (
        StatusError.from_status(codec.decode(Status, codec.encode(error.to_status()))),
        pickle.loads(pickle.dumps(error)),
    ):
        assert (back.code, back.reason, back.message, back.details) == (
            error.code,
            error.reason,
            error.message,
            error.details,
        )


def test_a_status_that_says_nothing_is_still_an_error() -> None:
    error = StatusError.from_status(Status())
    assert (error.code, error.message) == (500, "unknown error")
