"""Which thresholds are crossed, for how long, and what follows: a pure function from one look to the next.

The rules are those of the kubelet's eviction manager:
https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-thresholds
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minipod.kubelet.eviction.types import (
    PRESSURE,
    EvictionSettings,
    Observation,
    Pressure,
    Signal,
    Threshold,
)

Observations = Mapping[Signal, Observation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What has to be known of earlier looks; moments in seconds of one clock."""

    met_since: Mapping[Threshold, float] = field(default_factory=dict)
    pressed_at: Mapping[Pressure, float] = field(default_factory=dict)
    """When each pressure was last observed."""
    acted_on: tuple[Threshold, ...] = ()
    """Thresholds that were to be acted on: they count as crossed until their minimum reclaim is free, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`starved`: the thresholds to act on now, the most urgent one first."""

    pressures: tuple[Pressure, ...]
    starved: tuple[Threshold, ...]
    crossed: tuple[Threshold, ...]
    """All that are crossed now, their grace period over or not."""
    past: Past
    wake_at: float | None
    """When time alone changes the judgement: a grace or transition period is over. None: never."""


def judge(past: Past, settings: EvictionSettings, seen: Observations, now: float) -> Judgement:
    """Judge one look. `past` is what the last one returned."""
    crossed = list(met(settings.thresholds, seen))
    crossed += [t for t in met(past.acted_on, seen, with_reclaim=True) if t not in crossed]
    met_since = {t: past.met_since.get(t, now) for t in crossed}
    pressed_at = {**past.pressed_at, **{PRESSURE[t.signal]: now for t in crossed}}
    pressed_at = {
        p: at for p, at in pressed_at.items() if now - at < settings.transition_period or at == now
    }
    due = [t for t in crossed if now - met_since[t] >= t.grace]
    moments = [met_since[t] + t.grace for t in crossed if t not in due]
    moments += [at + settings.transition_period for at in pressed_at.values() if at != now]
    return Judgement(
        pressures=tuple(p for p in Pressure if p in pressed_at),
        starved=tuple(sorted(due, key=lambda t: (t.signal is not Signal.MEMORY_AVAILABLE, t.grace))),
        crossed=tuple(crossed),
        past=Past(met_since=met_since, pressed_at=pressed_at, acted_on=tuple(due)),
        wake_at=min(moments, default=None),
    )


def met(
    thresholds: Iterable[Threshold], seen: Observations, *, with_reclaim: bool = False
) -> Iterable[Threshold]:
    """Those crossed, whatever their grace period. `with_reclaim`: more than the threshold has to be free."""
    for threshold in thresholds:
        observed = seen.get(threshold.signal)
        if observed is not None and observed.available < limit(
            threshold, observed, with_reclaim=with_reclaim
        ):
            yield threshold


def limit(threshold: Threshold, observed: Observation, *, with_reclaim: bool = False) -> int:
    """Bytes or pieces that have to be available."""
    wanted = threshold.value.of(observed.capacity)
    if with_reclaim and threshold.minimum_reclaim is not None:
        wanted += threshold.minimum_reclaim.of(observed.capacity)
    return wanted
