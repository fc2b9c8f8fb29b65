"""Which port a handler means: a number, or the name of one of the container's ports."""

from __future__ import annotations

import re

from minipod.kubelet.pod_names import AnyContainer

MAX_PORT = 65535

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")


class PortError(Exception):
    """The handler names no port that the container has."""


def resolve_port(port: int | str, container: AnyContainer) -> int:
    """The port's number, by the kubelet's rules: a name first, then a number written as a string. Raises PortError."""
    number = port if isinstance(port, int) else _named(port, container)
    if not 0 < number <= MAX_PORT:
        raise PortError(f"invalid port number: {number}")
    return number


def _named(name: str, container: AnyContainer) -> int:
    for port in container.ports:
        if port.name == name:
            return port.containerPort
    if _NUMBER.fullmatch(name):
        return int(name)
    # The words after the colon are what people search for; the ones before say what it means.
    raise PortError(
        f'container {container.name} has no port named "{name}": strconv.Atoi: parsing "{name}": invalid syntax'
    )
