"""What all pods together may have."""

from __future__ import annotations

import pytest

from minipod.kubelet.node_cgroups import limits_of_all_pods
from tests.unit.kubelet.pods import settings


@pytest.mark.parametrize(
    ("system", "minipod", "pids"),
    [
        ({}, {}, 29491),
        ({"pid": "1000"}, {}, 31768),
        ({"pid": "1000"}, {"pid": "500"}, 31268),
        ({"pid": "40000"}, {}, 1),
        ({"memory": "1Gi"}, {}, 29491),
    ],
)
def test_pods_leave_process_ids_to_the_machine(
    system: dict[str, str], minipod: dict[str, str], pids: int
) -> None:
    """Those that are reserved, else a tenth: a fork bomb must not keep the daemon from starting a process."""
    found = limits_of_all_pods(settings(system_reserved=system, kube_reserved=minipod), 32768)
    assert found["pid"] == pids
