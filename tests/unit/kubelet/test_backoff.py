"""Back-off as a rule over what is on record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipod.kubelet.backoff import BackOffPolicy, restart_after, retry_delay

SECOND = 1_000_000
policies = st.builds(
    BackOffPolicy, initial=st.floats(0.01, 60), maximum=st.floats(60, 1000), reset=st.floats(1, 1000)
)


def test_the_documented_row_of_delays() -> None:
    """10s, 20s, 40s, 80s, 160s, 300s, 300s for a container that always fails at once."""
    policy, delay, at, row = BackOffPolicy(), 0.0, 0, []
    for _ in range(8):
        restart = restart_after(policy, delay=delay, started_at=at, finished_at=at)
        row.append((restart.start_at - at) / SECOND)
        delay, at = restart.next_delay, restart.start_at
    assert row == [0, 10, 20, 40, 80, 160, 300, 300]


@given(policies, st.floats(0, 2000), st.integers(0, 10**15), st.integers(0, 10**12))
def test_a_restart_is_never_before_the_end_and_never_later_than_the_maximum(
    policy: BackOffPolicy, delay: float, started: int, ran: int
) -> None:
    delay = min(delay, policy.maximum)
    restart = restart_after(policy, delay=delay, started_at=started, finished_at=started + ran)
    assert 0 <= restart.start_at - (started + ran) <= policy.maximum * SECOND + 1
    assert 0 < restart.next_delay <= policy.maximum


@given(policies, st.floats(0.01, 2000), st.integers(1, 10**15))
def test_a_long_enough_run_is_forgiven(policy: BackOffPolicy, delay: float, started: int) -> None:
    finished = started + round(policy.reset * SECOND) + SECOND
    restart = restart_after(policy, delay=delay, started_at=started, finished_at=finished)
    assert restart.start_at == finished
    assert restart.next_delay == min(policy.initial, policy.maximum)


@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(100, 1000))
def test_tries_wait_longer_and_longer_up_to_the_maximum(
    failures: int, initial: float, maximum: float
) -> None:
    wait = retry_delay(failures, initial=initial, maximum=maximum)
    assert wait <= retry_delay(failures + 1, initial=initial, maximum=maximum) <= maximum
    assert (wait == 0) == (failures == 0)
