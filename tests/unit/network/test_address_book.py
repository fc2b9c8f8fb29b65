"""Addresses on disk: what a second daemon finds, whatever became of the first."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.network.address_book import AddressBook
from minipod.network.errors import AddressesExhaustedError, NetworkError
from minipod.network.types import HostPort

NETWORK = IPv4Network("10.9.0.0/28")
WEB = (HostPort(container_port=80, host_port=8080, protocol="TCP", host_ip="127.0.0.1"),)


def opened(directory: Path, network: IPv4Network = NETWORK) -> AddressBook:
    book = AddressBook(network, directory)
    book.load()
    return book


def test_a_restart_keeps_addresses_and_ports(tmp_path: Path) -> None:
    before = opened(tmp_path / "net")
    web, db = before.allocate("web", WEB), before.allocate("db", ())
    after = opened(tmp_path / "net")
    assert after.get("web") == web
    assert after.get("web").host_ports == WEB  # type: ignore[union-attr]
    assert after.get("db") == db
    assert after.allocate("new", ()).address not in (web.address, db.address)


def test_a_pod_that_asks_again_gets_the_same_address(tmp_path: Path) -> None:
    book = opened(tmp_path)
    first = book.allocate("web", ())
    again = book.allocate("web", WEB)
    assert again.address == first.address
    assert opened(tmp_path).get("web") == again


def test_an_address_on_record_is_never_given_by_a_daemon_that_does_not_know_of_it(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    addresses = [
        book.allocate(f"{n}-{i}", ()).address for i in range(4) for n, book in enumerate((one, other))
    ]
    assert len(set(addresses)) == 8


def test_a_released_address_is_free_on_disk_too(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.allocate("web", ())
    book.release("web")
    book.release("web")
    assert os.listdir(tmp_path) == []
    assert book.get("web") is None


def test_the_search_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    book = opened(tmp_path)
    for n in range(3):
        book.allocate(f"p{n}", ())
    book.release("p0")
    assert str(opened(tmp_path).allocate("new", ()).address) == "10.9.0.5"


def test_records_of_another_cidr_are_handed_back_and_block_nothing(tmp_path: Path) -> None:
    old = opened(tmp_path).allocate("web", ())
    book = AddressBook(IPv4Network("10.9.0.0/27"), tmp_path)
    assert book.load() == [old]
    assert book.get("web") is None
    book.forget(old)
    assert os.listdir(tmp_path) == []
    assert book.allocate("web", ()).address == old.address


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"uid": "a"}',
        '{"uid": "a", "cidr": "10.9.0.0/28", "hostPorts": [{}]}',
        '{"uid": "a", "cidr": "10.9.0.0/28", "hostPorts": 7}',
    ],
)
def test_a_record_cut_short_by_a_power_failure_is_an_address_nobody_uses(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "10.9.0.2").write_text(content)
    book = opened(tmp_path)
    assert book.records() == []
    assert str(book.allocate("web", ()).address) == "10.9.0.2"


def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    book = opened(tmp_path)
    book.allocate("web", ())
    book.destroy()
    assert os.listdir(tmp_path) == ["README"]


def test_destroy_removes_the_directory_and_can_be_repeated(tmp_path: Path) -> None:
    book = opened(tmp_path / "net")
    book.allocate("web", WEB)
    (tmp_path / "net" / ".new").write_text("half")
    book.destroy()
    book.destroy()
    assert os.listdir(tmp_path) == []


def test_two_records_of_one_pod_leave_it_one_address(tmp_path: Path) -> None:
    content = json.dumps({"uid": "web", "cidr": str(NETWORK), "hostPorts": []})
    for address in ("10.9.0.3", "10.9.0.4"):
        (tmp_path / address).write_text(content)
    book = AddressBook(NETWORK, tmp_path)
    stale = book.load()
    kept = book.get("web")
    assert kept is not None
    assert {str(kept.address), str(stale[0].address)} == {"10.9.0.3", "10.9.0.4"}


def test_an_address_that_cannot_be_written_is_not_lost(tmp_path: Path) -> None:
    book = opened(tmp_path / "net")
    (tmp_path / "net").rmdir()
    with pytest.raises(NetworkError, match=r"cannot record pod address 10\.9\.0\.2: No such file"):
        book.allocate("web", ())
    (tmp_path / "net").mkdir()
    for n in range(13):
        book.allocate(f"p{n}", ())
    with pytest.raises(AddressesExhaustedError):
        book.allocate("one too many", ())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("+-!"), st.integers(0, 8)), max_size=30))
def test_no_history_of_pods_and_restarts_gives_an_address_twice(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int]]
) -> None:
    directory = tmp_path_factory.mktemp("net")
    book = opened(directory)
    model: dict[str, str] = {}
    for step, number in history:
        uid = f"pod{number}"
        if step == "+":
            address = str(book.allocate(uid, ()).address)
            assert model.setdefault(uid, address) == address
        elif step == "-":
            book.release(uid)
            model.pop(uid, None)
        else:
            book = opened(directory)
        assert {r.uid: str(r.address) for r in book.records()} == model
        assert len(set(model.values())) == len(model)
        assert sorted(os.listdir(directory)) == sorted(model.values())
