"""The address rules, over any range and any history."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minipod.network.errors import AddressesExhaustedError, NetworkError
from minipod.network.ipam import AddressPool, gateway_of, mac_of, parse_pool


@st.composite
def networks(draw: st.DrawFn, narrowest: int = 30, widest: int = 8) -> IPv4Network:
    length = draw(st.integers(widest, narrowest))
    base = int(IPv4Address("10.0.0.0")) + draw(st.integers(0, 2**24 - 1))
    return IPv4Network((base, length), strict=False)


@given(networks(), st.integers(1, 20))
def test_addresses_are_distinct_and_nobody_gets_the_special_ones(network: IPv4Network, count: int) -> None:
    pool = AddressPool(network)
    given_out = [pool.allocate() for _ in range(min(count, pool.capacity))]
    assert len(set(given_out)) == len(given_out)
    special = {network.network_address, network.broadcast_address, gateway_of(network)}
    assert all(a in network and a not in special for a in given_out)


@given(networks(narrowest=30, widest=25))
def test_every_address_can_be_used_and_then_there_is_none(network: IPv4Network) -> None:
    pool = AddressPool(network)
    assert len({pool.allocate() for _ in range(pool.capacity)}) == network.num_addresses - 3
    with pytest.raises(AddressesExhaustedError, match=rf"all {pool.capacity} pod addresses of {network}"):
        pool.allocate()


@given(networks(narrowest=29), st.data())
def test_the_one_free_address_is_found_wherever_the_search_starts(
    network: IPv4Network, data: st.DataObject
) -> None:
    pool = AddressPool(IPv4Network((network.network_address, max(network.prefixlen, 26))))
    given_out = [pool.allocate() for _ in range(pool.capacity)]
    freed = data.draw(st.sampled_from(given_out))
    pool.last = data.draw(st.sampled_from(given_out))
    pool.release(freed)
    assert pool.allocate() == freed


def test_a_freed_address_is_the_last_to_come_again() -> None:
    pool = AddressPool(IPv4Network("10.9.0.0/29"))
    first = pool.allocate()
    pool.release(first)
    order = [pool.allocate() for _ in range(pool.capacity)]
    assert order[-1] == first
    assert [str(a) for a in order] == ["10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6", "10.9.0.2"]


class Pool(RuleBasedStateMachine):
    """Against a model: a set of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = AddressPool(IPv4Network("10.9.0.0/28"))
        self.model: set[IPv4Address] = set()

    @precondition(lambda self: len(self.model) < 13)
    @rule()
    def allocate(self) -> None:
        address = self.pool.allocate()
        assert address not in self.model
        self.model.add(address)

    @precondition(lambda self: len(self.model) == 13)
    @rule()
    def allocate_too_many(self) -> None:
        with pytest.raises(AddressesExhaustedError):
            self.pool.allocate()

    @rule(index=st.integers(0, 15))
    def release(self, index: int) -> None:
        address = IPv4Address("10.9.0.0") + index
        self.pool.release(address)
        self.model.discard(address)

    @rule(index=st.integers(0, 15))
    def claim(self, index: int) -> None:
        address = IPv4Address("10.9.0.0") + index
        if address in self.model or index in (0, 1, 15):
            with pytest.raises(NetworkError):
                self.pool.claim(address)
        else:
            self.pool.claim(address)
            self.model.add(address)

    @invariant()
    def counts_agree(self) -> None:
        assert self.pool.free == 13 - len(self.model)
        assert all(self.pool.is_taken(a) for a in self.model)


TestPool = Pool.TestCase


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.9.0.0/31", "prefix length of 8 to 30"),
        ("10.9.0.0/32", "prefix length of 8 to 30"),
        ("8.0.0.0/7", "prefix length of 8 to 30"),
        ("10.9.0.5/24", "host bits set, expected 10.9.0.0/24"),
        ("10.9.0.0", "prefix length of 8 to 30"),
        ("fd00::/64", "expected an IPv4 range"),
        ("ten/8", "expected an IPv4 range"),
        ("10.9.0.0/24/8", "expected an IPv4 range"),
        ("", "expected an IPv4 range"),
        ("127.5.0.0/16", "no host on this range can be reached"),
        ("224.0.0.0/16", "no host on this range can be reached"),
        ("0.0.0.0/8", "no host on this range can be reached"),
    ],
)
def test_a_pod_cidr_that_cannot_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(NetworkError, match=says) as caught:
        parse_pool(text)
    assert text in str(caught.value)


@given(networks())
def test_every_canonical_range_is_taken(network: IPv4Network) -> None:
    assert parse_pool(str(network)) == network


@given(st.ip_addresses(v=4))
def test_a_mac_is_local_unicast_and_bears_the_address(address: IPv4Address) -> None:
    octets = bytes.fromhex(mac_of(address).replace(":", ""))
    assert len(octets) == 6
    assert octets[0] & 0b11 == 0b10
    assert octets[2:] == address.packed
