"""Limits on disk traffic, which no Kubernetes field has: minipod's own annotations of a Pod.

    minipod.io/io.max:    /dev/vda rbps=20Mi wbps=10Mi wiops=200     bytes and operations per second, of each device
    minipod.io/io.weight: "50"                                       share of a contended disk, 1 to 10000, usual 100

Several devices are separated by ";". They hold for the pod as a whole, from the making of its sandbox on.
https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from minipod.api import core_v1, quantity

IO_MAX = "minipod.io/io.max"
IO_WEIGHT = "minipod.io/io.weight"
ANNOTATIONS = (IO_MAX, IO_WEIGHT)

_KEYS = ("rbps", "wbps", "riops", "wiops")
_NUMBER = re.compile(r"[0-9]{1,6}:[0-9]{1,7}")
_WEIGHT = re.compile(r"[0-9]{1,5}")
_LEAST, _MOST = 1, 10_000
_MAX_DEVICES = 32


class IoLimitError(ValueError):
    """An annotation that cannot be used; the message names it, the part that is wrong, and what was expected."""


def asks_for_io(pod: core_v1.Pod) -> str:
    """The annotation that asks for the io controller, or ""."""
    return next((name for name in ANNOTATIONS if name in pod.metadata.annotations), "")


def block_device(path: str) -> str:
    """ "MAJOR:MINOR" of a whole disk. Raises IoLimitError, also for a partition, of which the kernel counts nothing."""
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL
        raise IoLimitError(f"{path}: {getattr(error, 'strerror', error)}") from error
    number = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    if not stat.S_ISBLK(info.st_mode):
        raise IoLimitError(f"{path} is not a block device; expected a disk such as /dev/vda or 254:0")
    if (sys := Path("/sys/dev/block") / number / "partition").exists():
        disk = sys.parent.resolve().parent.name
        raise IoLimitError(f"{path} is a partition, and the kernel limits whole disks: name /dev/{disk}")
    return number


def io_files(
    annotations: Mapping[str, str], number_of: Callable[[str], str] = block_device
) -> dict[str, str]:
    """cgroup file -> value, a line per device. `number_of` turns a device's path into its number.

    Raises IoLimitError.
    """
    files = {}
    if text := annotations.get(IO_MAX):
        files["io.max"] = "\n".join(_limits(entry, number_of) for entry in _entries(IO_MAX, text))
    if text := annotations.get(IO_WEIGHT):
        files["io.weight"] = "\n".join(_weight(entry, number_of) for entry in _entries(IO_WEIGHT, text))
    return files


def _entries(annotation: str, text: str) -> Iterable[list[str]]:
    entries = [words for part in re.split(r"[;\n]", text) if (words := part.split())]
    if not 0 < len(entries) <= _MAX_DEVICES:
        raise IoLimitError(f"{annotation}: expected 1 to {_MAX_DEVICES} devices separated by ;")
    return entries


def _limits(words: list[str], number_of: Callable[[str], str]) -> str:
    device, *settings = words
    if not settings:
        raise IoLimitError(f"{IO_MAX}: {device}: nothing is limited; expected some of {', '.join(_KEYS)}")
    values: dict[str, str] = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if key not in _KEYS or not separator or key in values:
            raise IoLimitError(
                f'{IO_MAX}: "{setting}": expected each of {", ".join(_KEYS)} once, as wbps=10Mi'
            )
        values[key] = _amount(setting, value)
    return " ".join(
        [_number(IO_MAX, device, number_of), *(f"{key}={value}" for key, value in values.items())]
    )


def _amount(setting: str, text: str) -> str:
    if text == "max":
        return text
    try:
        number = quantity.parse(text)
    except ValueError:
        number = None
    if number is None or number < 1:
        raise IoLimitError(f'{IO_MAX}: "{setting}": expected a quantity of at least 1, such as 10Mi, or max')
    return str(int(number))


def _weight(words: list[str], number_of: Callable[[str], str]) -> str:
    *device, text = words
    if len(device) > 1 or not _WEIGHT.fullmatch(text) or not _LEAST <= int(text) <= _MOST:
        raise IoLimitError(
            f'{IO_WEIGHT}: "{" ".join(words)}": expected a number from {_LEAST} to {_MOST}, after a device or alone'
        )
    of = _number(IO_WEIGHT, device[0], number_of) if device and device[0] != "default" else "default"
    return f"{of} {text}"


def _number(annotation: str, device: str, number_of: Callable[[str], str]) -> str:
    if _NUMBER.fullmatch(device):
        return device
    if not device.startswith("/dev/") or ".." in device.split("/"):
        raise IoLimitError(f'{annotation}: "{device}": expected a disk such as /dev/vda or 254:0')
    try:
        return number_of(device)
    except IoLimitError as error:
        raise IoLimitError(f"{annotation}: {error}") from error
