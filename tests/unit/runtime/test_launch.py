"""What a launch makes of failures on the parent's side."""

from __future__ import annotations

import errno

import pytest

from minipod.runtime import launch
from minipod.runtime.child import Stage


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            errno.EAGAIN,
            "clone3: resource temporarily unavailable (the pids limit of the cgroup, or of the host, is reached)",
        ),
        (errno.ESRCH, "clone3: no such process (it has ended)"),
        (errno.ENODEV, "clone3: no such device (the cgroup has been removed)"),
        (errno.ENOMEM, "clone3: cannot allocate memory"),
    ],
)
def test_a_clone_that_fails_says_what_that_means_here(number: int, words: str) -> None:
    error = launch._start_error(Stage.CLONE, OSError(number, "clone3(0x0)"), "clone3", "clone3")
    assert error.failure.message == str(error) == words
    assert (error.failure.stage, error.failure.errno, error.failure.operand) == ("clone", number, "clone3")


def test_the_pause_program_of_this_machine_is_beside_the_module() -> None:
    assert launch.PAUSE.parent.name == "runtime"
    assert launch.PAUSE.name.startswith("pause-")
