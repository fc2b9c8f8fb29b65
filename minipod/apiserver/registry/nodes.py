"""Nodes: a kubelet registers itself together with its status, later changes of it go to /status."""

from __future__ import annotations

from minipod.api.scheme import NODES
from minipod.apiserver.registry.strategy import Strategy


class NodeStrategy(Strategy):
    def __init__(self) -> None:
        super().__init__(NODES)
