"""Probes and lifecycle hooks: exactly one handler, sensible numbers, and a stop signal there is.

Two rules are minipod's own. A port's name must be that of a port of the same container: Kubernetes leaves this to the
node, where such a probe fails for ever. A stop signal needs no spec.os.name: there is one system here.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.api import names
from minipod.api.core_v1 import Container, ContainerPort, HTTPGetAction, Lifecycle, Probe
from minipod.api.field_errors import (
    FieldError,
    forbidden,
    invalid,
    invalids,
    not_supported,
    quoted,
    required,
)
from minipod.api.validation import rules

_KINDS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_SCHEMES = ("HTTP", "HTTPS")
STOP_SIGNALS: Mapping[str, tuple[str, ...]] = {
    "linux": (
        *signal.Signals.__members__,
        *(f"SIGRTMIN+{number}" for number in range(1, 16)),
        *(f"SIGRTMAX-{number}" for number in range(1, 15)),
    ),
    "windows": ("SIGKILL", "SIGTERM"),
}
"""Operating system -> what lifecycle.stopSignal may be (KEP-4960)."""


@dataclass(frozen=True, slots=True)
class _Around:
    """What a handler's validity depends on: the pod's grace period bounds a sleep, ports may be named."""

    grace_seconds: int | None
    ports: tuple[ContainerPort, ...]


def probes_and_hooks(
    container: Container, grace_seconds: int | None, os: str | None, path: str
) -> Iterator[FieldError]:
    """`grace_seconds`: the pod's termination grace period; `os`: its spec.os.name, Linux when not said."""
    around = _Around(grace_seconds, tuple(container.ports))
    if container.lifecycle is not None:
        yield from _lifecycle(container.lifecycle, around, f"{path}.lifecycle")
        yield from _stop_signal(
            container.lifecycle.stopSignal, os or "linux", f"{path}.lifecycle.stopSignal"
        )
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = getattr(container, field)
        if probe is not None:
            yield from _probe(probe, around, f"{path}.{field}", readiness=field == "readinessProbe")


def none_allowed(container: Container, path: str) -> Iterator[FieldError]:
    """A container that has to end has no probes and no hooks."""
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if getattr(container, field) is not None:
            yield forbidden(
                f"{path}.{field}", "may not be set for init containers without restartPolicy=Always"
            )


def _probe(probe: Probe, around: _Around, path: str, *, readiness: bool) -> Iterator[FieldError]:
    yield from _handler(probe, around, path)
    for field in _NUMBERS:
        yield from rules.not_negative(f"{path}.{field}", getattr(probe, field))
    grace = probe.terminationGracePeriodSeconds
    if grace is not None and readiness:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif grace is not None and grace <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if not readiness and probe.successThreshold not in (None, 1):
        yield invalid(f"{path}.successThreshold", probe.successThreshold, "must be 1")


def _lifecycle(lifecycle: Lifecycle, around: _Around, path: str) -> Iterator[FieldError]:
    for field in ("postStart", "preStop"):
        hook = getattr(lifecycle, field)
        if hook is not None:
            yield from _handler(hook, around, f"{path}.{field}")


def _stop_signal(name: str | None, os: str, path: str) -> Iterator[FieldError]:
    known = STOP_SIGNALS.get(os, STOP_SIGNALS["linux"])
    if name is not None and name not in known:
        yield not_supported(path, name, sorted(known))


def _handler(holder: Any, around: _Around, path: str) -> Iterator[FieldError]:
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
        yield from _http_get(action, around, inner)
    elif kind == "sleep":
        grace_seconds = around.grace_seconds
        if grace_seconds is not None and not 0 <= action.seconds <= grace_seconds:
            why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
            yield invalid(inner, action.seconds, why)
    else:
        yield from _port(action.port, around, f"{inner}.port")


def _http_get(action: HTTPGetAction, around: _Around, path: str) -> Iterator[FieldError]:
    if not action.path:
        yield required(f"{path}.path")
    yield from _port(action.port, around, f"{path}.port")
    if action.scheme not in _SCHEMES:
        yield not_supported(f"{path}.scheme", action.scheme or "", _SCHEMES)
    for header in action.httpHeaders:
        yield from invalids(f"{path}.httpHeaders", header.name, names.http_header(header.name))


def _port(port: int | str, around: _Around, path: str) -> Iterator[FieldError]:
    problems = list(rules.port_number_or_name(path, port))
    yield from problems
    known = [one.name for one in around.ports if one.name]
    if problems or isinstance(port, int) or port in known:
        return
    if known:
        there_is = f"the ports of this container are named {', '.join(map(quoted, known))}"
    else:
        there_is = "no port of this container has a name"
    yield invalid(path, port, f"must be the name of a port of this container: {there_is}")
