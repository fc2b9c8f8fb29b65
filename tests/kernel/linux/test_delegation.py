"""What groups deep in the hierarchy can have, as the kernel itself decides it."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux.cgroup2 import cgroup
from minipod.linux.cgroup2.delegation import levels, usable


@pytest.fixture
def group(word: str) -> Iterator[Path]:
    made = cgroup.create(cgroup.mount_point(), word)
    yield made
    cgroup.kill(made)
    cgroup.remove(made)


def test_all_that_the_root_has_when_nothing_is_in_the_way(group: Path) -> None:
    root = cgroup.mount_point()
    way = levels(root, f"{group.name}/not/there/yet")
    assert [level.path for level in way] == [str(root), str(group)]
    assert way[0].real_root
    assert not way[0].occupied
    assert not way[1].real_root
    cgroup.enable_controllers(root, cgroup.controllers(root))
    assert usable(levels(root, group.name)) == cgroup.controllers(root)


def test_a_process_in_a_level_keeps_its_controllers_from_the_levels_below(group: Path) -> None:
    root = cgroup.mount_point()
    if not cgroup.controllers(root):
        pytest.skip("this host's cgroup2 has no controller at all")
    cgroup.enable_controllers(root, cgroup.controllers(root))
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        cgroup.add_process(group, sleeper.pid)
        assert levels(root, group.name)[1].occupied
        assert usable(levels(root, group.name)) == frozenset()
        with pytest.raises(OSError) as caught:
            cgroup.enable_controllers(group, cgroup.controllers(group))
        assert caught.value.errno == errno.EBUSY
        sleeper.kill()
