"""Events: what was observed, of use for an hour; a power cut may take the last of them."""

from __future__ import annotations

from minipod.api.scheme import EVENTS
from minipod.apiserver.registry.strategy import Strategy


class EventStrategy(Strategy):
    durable = False

    def __init__(self) -> None:
        super().__init__(EVENTS)
