"""Probes and lifecycle hooks: exactly one handler, sensible numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minipod.api import names
from minipod.api.core_v1 import Container, HTTPGetAction, Lifecycle, Probe
from minipod.api.field_errors import FieldError, forbidden, invalid, invalids, not_supported, required
from minipod.api.validation import rules

_KINDS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_SCHEMES = ("HTTP", "HTTPS")


def probes_and_hooks(container: Container, grace_seconds: int | None, path: str) -> Iterator[FieldError]:
    """`grace_seconds`: the pod's termination grace period, which bounds a sleep hook."""
    if container.lifecycle is not None:
        yield from _lifecycle(container.lifecycle, grace_seconds, f"{path}.lifecycle")
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = getattr(container, field)
        if probe is not None:
            yield from _probe(probe, f"{path}.{field}", readiness=field == "readinessProbe")


def none_allowed(container: Container, path: str) -> Iterator[FieldError]:
    """A container that has to end has no probes and no hooks."""
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if getattr(container, field) is not None:
            yield forbidden(
                f"{path}.{field}", "may not be set for init containers without restartPolicy=Always"
            )


def _probe(probe: Probe, path: str, *, readiness: bool) -> Iterator[FieldError]:
    yield from _handler(probe, None, path)
    for field in _NUMBERS:
        yield from rules.not_negative(f"{path}.{field}", getattr(probe, field))
    grace = probe.terminationGracePeriodSeconds
    if grace is not None and readiness:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif grace is not None and grace <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if not readiness and probe.successThreshold not in (None, 1):
        yield invalid(f"{path}.successThreshold", probe.successThreshold, "must be 1")


def _lifecycle(lifecycle: Lifecycle, grace_seconds: int | None, path: str) -> Iterator[FieldError]:
    for field in ("postStart", "preStop"):
        hook = getattr(lifecycle, field)
        if hook is not None:
            yield from _handler(hook, grace_seconds, f"{path}.{field}")


def _handler(holder: Any, grace_seconds: int | None, path: str) -> Iterator[FieldError]:
    """`holder` has some of _KINDS as fields."""
    given = [kind for kind in _KINDS if getattr(holder, kind, None) is not None]
    if not given:
        yield required(path, "must specify a handler type")
        return
    for extra in given[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    kind = given[0]
    action, inner = getattr(holder, kind), f"{path}.{kind}"
    if kind == "exec":
        if not action.command:
            yield required(f"{inner}.command")
    elif kind == "httpGet":
        yield from _http_get(action, inner)
    elif kind == "sleep":
        if grace_seconds is not None and not 0 <= action.seconds <= grace_seconds:
            why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
            yield invalid(inner, action.seconds, why)
    else:
        yield from rules.port_number_or_name(f"{inner}.port", action.port)


def _http_get(action: HTTPGetAction, path: str) -> Iterator[FieldError]:
    if not action.path:
        yield required(f"{path}.path")
    yield from rules.port_number_or_name(f"{path}.port", action.port)
    if action.scheme not in _SCHEMES:
        yield not_supported(f"{path}.scheme", action.scheme or "", _SCHEMES)
    for header in action.httpHeaders:
        yield from invalids(f"{path}.httpHeaders", header.name, names.http_header(header.name))
