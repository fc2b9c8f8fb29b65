"""All resources this API server keeps, each with its rules."""

from __future__ import annotations

from minipod.apiserver.registry.events import EventStrategy
from minipod.apiserver.registry.namespaces import NamespaceStrategy
from minipod.apiserver.registry.nodes import NodeStrategy
from minipod.apiserver.registry.pods import PodStrategy
from minipod.apiserver.registry.strategy import Strategy

STRATEGIES: tuple[Strategy, ...] = (NamespaceStrategy(), NodeStrategy(), PodStrategy(), EventStrategy())
