"""hostPorts as values: what collides, and what nft is told."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.network.errors import HostPortConflictError, NetworkError
from minipod.network.hostports import Mapping, check_conflicts, collide, mappings
from minipod.network.ruleset import difference, no_table, whole_table
from minipod.network.types import HostPort, NetworkConfig

POD, OTHER = IPv4Address("10.9.0.2"), IPv4Address("10.9.0.3")


def port(number: int, host_ip: str = "", protocol: str = "TCP", container: int = 80) -> HostPort:
    return HostPort(container_port=container, host_port=number, protocol=protocol, host_ip=host_ip)


def one(pod: IPv4Address, wanted: HostPort) -> Mapping:
    return mappings(pod, [wanted])[0]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (port(80), port(80), True),
        (port(80), port(81), False),
        (port(80), port(80, protocol="UDP"), False),
        (port(80), port(80, "127.0.0.1"), True),
        (port(80, "127.0.0.1"), port(80, "0.0.0.0"), True),
        (port(80, "127.0.0.1"), port(80, "127.0.0.1"), True),
        (port(80, "127.0.0.1"), port(80, "127.0.0.2"), False),
        (port(80, "127.0.0.1", "UDP"), port(80, "127.0.0.1", "TCP"), False),
        (port(80, "::"), port(80, "127.0.0.1"), True),
    ],
)
def test_mappings_collide_when_a_packet_could_be_meant_for_both(
    first: HostPort, second: HostPort, expected: bool
) -> None:
    assert collide(one(POD, first), one(OTHER, second)) is expected
    assert collide(one(OTHER, second), one(POD, first)) is expected


def test_a_conflict_names_the_port_and_who_has_it() -> None:
    with pytest.raises(HostPortConflictError, match=r"host port \*:80/tcp is already taken .* 10\.9\.0\.2"):
        check_conflicts(mappings(OTHER, [port(80)]), mappings(POD, [port(80)]))


def test_a_pod_can_be_in_conflict_with_itself() -> None:
    with pytest.raises(HostPortConflictError):
        check_conflicts(mappings(POD, [port(80), port(80, container=81)]), [])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (port(0), "hostPort 0: expected 1 to 65535"),
        (port(65536), "hostPort 65536: expected 1 to 65535"),
        (port(80, container=0), "containerPort 0: expected 1 to 65535"),
        (port(80, protocol="tcp"), "expected one of TCP, UDP, SCTP"),
        (port(80, protocol="TCP } ; flush ruleset"), "expected one of TCP, UDP, SCTP"),
        (port(80, "localhost"), "'localhost': expected an IPv4 address"),
        (port(80, "fd00::1"), "'fd00::1': expected an IPv4 address"),
        (port(80, "127.0.0.1; flush ruleset"), "expected an IPv4 address"),
    ],
)
def test_a_port_the_host_cannot_answer_for_is_refused(wrong: HostPort, says: str) -> None:
    with pytest.raises(NetworkError, match=says):
        mappings(POD, [wrong])


@pytest.mark.parametrize("name", ["", "my table", "x;flush", "x{", "1x", "x\ny", "-x"])
def test_a_table_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(NetworkError, match="nftables table"):
        NetworkConfig(nft_table=name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", 'x"; flush ruleset', "a b", "sixteen-letters-"])
def test_a_bridge_name_that_is_no_interface_name_is_refused(name: str) -> None:
    with pytest.raises(NetworkError, match="expected an interface name"):
        NetworkConfig(bridge=name)


def test_only_the_difference_is_told() -> None:
    kept, gone, new = (one(POD, port(n)) for n in (1, 2, 3))
    local = one(POD, port(4, "127.0.0.1", "UDP", 53))
    assert difference("t", {kept, gone}, {kept, new, local}) == (
        "delete element inet t hostports { tcp . 2 }\n"
        "add element inet t hostports { tcp . 3 : 10.9.0.2 . 80 }\n"
        "add element inet t hostports-by-address { 127.0.0.1 . udp . 4 : 10.9.0.2 . 53 }\n"
    )


def test_a_port_that_changes_hands_is_taken_before_it_is_given() -> None:
    script = difference("t", {one(POD, port(1))}, {one(OTHER, port(1))}).splitlines()
    assert [line.split()[0] for line in script] == ["delete", "add"]


ports = st.builds(
    port,
    st.integers(1, 9),
    st.sampled_from(["", "127.0.0.1", "192.0.2.2"]),
    st.sampled_from(["TCP", "UDP", "SCTP"]),
)
states = st.lists(
    st.builds(one, st.sampled_from([POD, OTHER]), ports), unique_by=lambda m: (m.map_name, m.key), max_size=8
).map(frozenset)


@given(states, states)
def test_the_difference_leads_from_one_state_to_the_other(
    before: frozenset[Mapping], after: frozenset[Mapping]
) -> None:
    elements = {(m.map_name, m.key): m.element for m in before}
    for line in difference("t", before, after).splitlines():
        verb, _, _, _, name, rest = line.split(maxsplit=5)
        for part in rest.strip("{} ").split(", "):
            if verb == "delete":
                elements.pop((name, part), None)
            else:
                elements[name, part.rpartition(" : ")[0]] = part
    wanted = {m.element for m in after}
    assert set(elements.values()) <= wanted
    assert {(m.map_name, m.key) for m in after} == set(elements)


def test_no_state_is_no_script() -> None:
    state = {one(POD, port(1))}
    assert difference("t", state, state) == ""


def test_the_whole_table_replaces_itself_in_one_script() -> None:
    text = whole_table(
        "t", "br7", IPv4Network("10.9.0.0/24"), mappings(POD, [port(80), port(81, "127.0.0.1")])
    )
    assert text.startswith(no_table("t") + "table inet t {\n")
    assert "elements = { tcp . 80 : 10.9.0.2 . 80 }" in text
    assert "elements = { 127.0.0.1 . tcp . 81 : 10.9.0.2 . 80 }" in text
