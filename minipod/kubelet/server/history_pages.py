"""The node page behind `minipod why`: what happened to a pod, and why it is not Ready, also when the pod is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from minipod.api import core_v1
from minipod.api.errors import StatusError, not_found
from minipod.api.scheme import PODS
from minipod.api.timestamps import micro_from_epoch_us
from minipod.kubelet.history.diagnosis import Diagnosis, diagnose
from minipod.kubelet.history.entries import Entry, Step
from minipod.kubelet.history.journal_file import read
from minipod.kubelet.history.vocabulary import beginnings
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.services import Services


async def history_page(
    services: Services, workers: Mapping[str, PodWorker], namespace: str, name: str, uid: str = ""
) -> dict[str, Any]:
    """GET pods/NAMESPACE/NAME/history[?uid=UID]. Raises StatusError 404 for a pod nobody remembers.

    Without `uid` the Pod in the API is meant, or else the newest one of that name that is gone.
    """
    pod = await _find_pod(services, workers, namespace, name, uid)
    services.history.flush()
    path = services.history.find(namespace, name, uid or (pod.metadata.uid or "" if pod else ""))
    if pod is None and path is None:
        raise not_found(PODS, name)
    entries: Sequence[Entry] = ()
    if path is not None:
        try:
            entries = await asyncio.to_thread(read, path)
        except OSError:
            entries = ()  # not written yet, or taken away: the Pod alone still tells something
    if pod is not None and not entries:
        entries = beginnings(pod)
    now = services.clock()
    found = diagnose(name, pod, entries, now=now)
    known = path.stem.rpartition("_")[2] if path is not None else ""
    this = (pod.metadata.uid if pod else "") or known
    return {
        "kind": "PodHistory",
        "namespace": namespace,
        "name": name,
        "uid": this,
        "others": [one for one in services.history.uids(namespace, name) if one != this],
        "now": micro_from_epoch_us(now),
        "diagnosis": _diagnosis(found),
        "terminations": _terminations(entries),
        "entries": [_entry(entry) for entry in entries],
    }


async def _find_pod(
    services: Services, workers: Mapping[str, PodWorker], namespace: str, name: str, uid: str
) -> core_v1.Pod | None:
    """As this node knows it, or else, for one that has no node, as the API has it."""
    try:
        pod: core_v1.Pod = await services.client.get(PODS, name, namespace)
    except StatusError as error:
        if error.code != 404:
            raise
        return None
    if uid and pod.metadata.uid != uid:
        return None
    worker = workers.get(pod.metadata.uid or "")
    return worker.current_pod if worker is not None else pod


def _diagnosis(found: Diagnosis) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "headline": found.headline,
        "container": found.container,
        "look": found.look,
    }


def _terminations(entries: Sequence[Entry]) -> dict[str, list[dict[str, Any]]]:
    """The ends of each container, the newest first."""
    ends: dict[str, list[dict[str, Any]]] = {}
    for entry in reversed(entries):
        if entry.step is Step.EXIT:
            ends.setdefault(entry.container, []).append(_entry(entry))
    return ends


def _entry(entry: Entry) -> dict[str, Any]:
    """Times as RFC 3339 with microseconds, durations in seconds; what there is nothing to say of is left out."""
    page: dict[str, Any] = {
        "time": micro_from_epoch_us(entry.at),
        "step": entry.step,
        "container": entry.container,
        "message": entry.message,
        "failed": entry.failed,
    }
    if entry.seconds is not None:
        page["seconds"] = entry.seconds
    if entry.count > 1:
        page |= {"count": entry.count, "lastTime": micro_from_epoch_us(entry.last)}
    if entry.detail:
        page["detail"] = entry.detail
    if entry.log:
        page["log"] = entry.log
    return page
