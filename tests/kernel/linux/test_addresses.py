"""The machine's addresses as the kernel tells them, in a network namespace of the test's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

SCRIPT = """
import select, subprocess
from minipod.linux.addresses import is_change, machine_addresses, open_changes

def ip(*words):
    subprocess.run(["ip", *words], check=True)

def heard():
    found = []
    while select.select([changes], [], [], 0)[0]:
        found.append(is_change(changes.recv(65536)))
    return any(found)

ip("link", "set", "lo", "up")
ip("link", "add", "b0", "type", "bridge")
changes = open_changes()
assert machine_addresses() == (), machine_addresses()
ip("address", "add", "169.254.7.7/16", "dev", "b0", "scope", "link")
assert not heard(), "a link-local address is none to be reached by"
ip("address", "add", "198.51.100.7/24", "dev", "b0")
assert heard()
ip("address", "add", "2001:db8::7/64", "dev", "b0", "nodad")
assert heard()
assert machine_addresses() == ("198.51.100.7", "2001:db8::7"), machine_addresses()
ip("link", "delete", "b0")
assert heard()
assert machine_addresses() == ()
"""


def test_what_lasts_is_listed_and_its_changes_are_heard() -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
