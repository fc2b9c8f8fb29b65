"""What the registry makes of objects on their way in, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minipod.api import codec, core_v1, meta_v1
from minipod.api.errors import StatusError
from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS
from minipod.apiserver.registry.options import WriteOptions, selection
from minipod.apiserver.registry.registry import Registry
from tests.unit.apiserver.objects import changed, event, namespace, node, pod


def relabel(**labels: str) -> Any:
    return changed(lambda obj: setattr(obj.metadata, "labels", labels))


async def test_a_new_pod_gets_identity_defaults_and_status(registry: Registry) -> None:
    created = (await registry.create(PODS, pod(), "default")).obj
    assert created.metadata.uid
    assert created.metadata.creationTimestamp
    assert created.metadata.generation == 1
    assert created.metadata.resourceVersion == str(registry.version)
    assert created.spec.restartPolicy == "Always"
    assert created.status.phase == "Pending"
    assert created.status.qosClass == "BestEffort"
    assert registry.get(PODS, "web", "default").obj is created


async def test_a_status_sent_along_with_a_new_pod_is_not_believed(registry: Registry) -> None:
    new = pod()
    new.status = core_v1.PodStatus(phase="Running", podIP="1.2.3.4")
    created = (await registry.create(PODS, new, "default")).obj
    assert (created.status.phase, created.status.podIP) == ("Pending", None)


async def test_a_gated_pod_says_that_no_scheduler_looks_at_it(registry: Registry) -> None:
    new = pod()
    new.spec.schedulingGates = [core_v1.PodSchedulingGate(name="example.com/wait")]
    [condition] = (await registry.create(PODS, new, "default")).obj.status.conditions
    assert (condition.type, condition.status, condition.reason) == (
        "PodScheduled",
        "False",
        "SchedulingGated",
    )


async def test_names_are_generated_and_differ(registry: Registry) -> None:
    names = set()
    for _ in range(20):
        new = pod()
        new.metadata.name, new.metadata.generateName = None, "web-"
        names.add((await registry.create(PODS, new, "default")).obj.metadata.name)
    assert len(names) == 20
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


@pytest.mark.parametrize(
    ("break_it", "code", "message"),
    [
        (lambda p: setattr(p.metadata, "name", None), 422, "metadata.name"),
        (lambda p: setattr(p.metadata, "name", "Not_A_Name"), 422, "metadata.name: Invalid value"),
        (lambda p: setattr(p.metadata, "resourceVersion", "3"), 400, "resourceVersion should not be set"),
        (lambda p: p.spec.containers.clear(), 422, "spec.containers: Required value"),
    ],
)
async def test_a_pod_that_cannot_be_is_refused(
    registry: Registry, break_it: Any, code: int, message: str
) -> None:
    new = pod()
    break_it(new)
    with pytest.raises(StatusError, match=message) as refused:
        await registry.create(PODS, new, "default")
    assert refused.value.code == code
    assert registry.list(PODS).items == []


async def test_the_same_name_twice_is_a_conflict(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    with pytest.raises(StatusError, match='pods "web" already exists') as refused:
        await registry.create(PODS, pod(), "default")
    assert (refused.value.code, refused.value.reason) == (409, "AlreadyExists")
    results = await asyncio.gather(
        *(registry.create(PODS, pod("race"), "default") for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(r, StatusError) and r.code == 409 for r in results) == 4


async def test_a_namespace_must_exist(registry: Registry) -> None:
    with pytest.raises(StatusError, match='namespaces "nowhere" not found') as refused:
        await registry.create(PODS, pod(namespace="nowhere"), "nowhere")
    assert refused.value.code == 404


async def test_what_every_cluster_has_is_there(registry: Registry) -> None:
    names = [s.key.name for s in registry.list(NAMESPACES).items]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]


async def test_a_stale_update_is_a_conflict(registry: Registry) -> None:
    created = (await registry.create(PODS, pod(), "default")).obj
    stale = codec.copy(created)
    stale.metadata.labels = {"a": "late"}
    await registry.update(PODS, "web", "default", relabel(a="first"))
    with pytest.raises(StatusError, match="the object has been modified") as refused:
        await registry.update(PODS, "web", "default", lambda _: stale)
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


async def test_of_two_updates_from_the_same_version_one_wins(registry: Registry) -> None:
    created = (await registry.create(PODS, pod(), "default")).obj

    async def update(value: str) -> str:
        mine = codec.copy(created)
        mine.metadata.labels = {"who": value}
        await registry.update(PODS, "web", "default", lambda _: mine)
        return value

    results = await asyncio.gather(update("a"), update("b"), return_exceptions=True)
    winners = [r for r in results if isinstance(r, str)]
    assert len(winners) == 1
    assert registry.get(PODS, "web", "default").obj.metadata.labels == {"who": winners[0]}


async def test_an_update_without_a_version_always_goes_through(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    await registry.update(PODS, "web", "default", relabel(a="b"))
    blind = pod(labels={"c": "d"})
    updated = (await registry.update(PODS, "web", "default", lambda _: blind)).obj
    assert updated.metadata.labels == {"c": "d"}
    assert updated.metadata.uid
    assert updated.status.phase == "Pending"


async def test_an_update_that_changes_nothing_is_none(registry: Registry) -> None:
    before = await registry.create(PODS, pod(labels={"a": "b"}), "default")
    watch = registry.watch(PODS, version=before.version)
    after = await registry.update(PODS, "web", "default", relabel(a="b"))
    assert after is before
    await registry.update(PODS, "web", "default", relabel(a="c"))
    assert len(await watch.next()) == 1


async def test_a_pods_spec_stays_as_it_is(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")

    def move(new: core_v1.Pod) -> None:
        new.spec.nodeName = "elsewhere"

    with pytest.raises(StatusError, match="pod updates may not change fields other than") as refused:
        await registry.update(PODS, "web", "default", changed(move))
    assert refused.value.code == 422


async def test_generation_counts_changes_of_the_spec_only(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    labelled = await registry.update(PODS, "web", "default", relabel(a="b"))
    assert labelled.obj.metadata.generation == 1

    def new_image(new: core_v1.Pod) -> None:
        new.spec.containers[0].image = "minipod/other"

    assert (await registry.update(PODS, "web", "default", changed(new_image))).obj.metadata.generation == 2


async def test_a_status_update_changes_nothing_else(registry: Registry) -> None:
    await registry.create(PODS, pod(labels={"a": "b"}), "default")

    def run(new: core_v1.Pod) -> None:
        new.status.phase = "Running"
        new.status.qosClass = None
        new.metadata.labels = {}
        new.spec.containers[0].image = "other"

    updated = await registry.update(PODS, "web", "default", changed(run), subresource="status")
    assert updated.obj.status.phase == "Running"
    assert updated.obj.status.qosClass == "BestEffort"
    assert updated.obj.metadata.labels == {"a": "b"}
    assert updated.obj.spec.containers[0].image == "minipod/base"
    assert registry.get(PODS, "web", "default").obj.metadata.resourceVersion == str(updated.version)


async def test_an_update_of_the_object_does_not_touch_its_status(registry: Registry) -> None:
    await registry.create(NODES, node())

    def lie(new: core_v1.Node) -> None:
        new.metadata.labels = {"a": "b"}
        new.status.conditions = []

    updated = (await registry.update(NODES, "here", "", changed(lie))).obj
    assert updated.metadata.labels == {"a": "b"}
    assert [c.type for c in updated.status.conditions] == ["Ready"]


async def test_an_object_of_another_uid_is_not_updated(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    other = pod()
    other.metadata.uid = "0-0-0"
    with pytest.raises(StatusError, match="UID in precondition: 0-0-0") as refused:
        await registry.update(PODS, "web", "default", lambda _: other, subresource="status")
    assert refused.value.code == 409


async def test_dry_run_says_what_would_be_and_does_nothing(registry: Registry) -> None:
    dry = WriteOptions(dry_run=True)
    version = registry.version
    would_be = await registry.create(PODS, pod(), "default", dry)
    assert would_be.obj.spec.restartPolicy == "Always"
    assert would_be.obj.metadata.resourceVersion is None
    assert registry.list(PODS).items == []
    await registry.create(PODS, pod(), "default")
    changed_ = await registry.update(PODS, "web", "default", relabel(a="b"), options=dry)
    assert changed_.obj.metadata.labels == {"a": "b"}
    assert registry.get(PODS, "web", "default").obj.metadata.labels == {}
    with pytest.raises(StatusError, match="already exists"):
        await registry.create(PODS, pod(), "default", dry)
    assert registry.version == version + 1


async def test_fields_without_effect_are_named(registry: Registry) -> None:
    new = pod()
    new.spec.priorityClassName = "high"
    options = WriteOptions(warnings=[])
    await registry.create(PODS, new, "default", options)
    assert options.warnings is not None
    assert any(warning.startswith("spec.priorityClassName:") for warning in options.warnings)


async def test_a_pod_is_bound_once(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    binding = core_v1.Binding(target=core_v1.ObjectReference(kind="Node", name="here"))
    bound = (await registry.bind(binding, "web", "default")).obj
    assert bound.spec.nodeName == "here"
    assert [(c.type, c.status) for c in bound.status.conditions] == [("PodScheduled", "True")]
    with pytest.raises(StatusError, match='already assigned to node "here"') as refused:
        await registry.bind(binding, "web", "default")
    assert refused.value.code == 409


async def test_selections_by_namespace_label_and_field(registry: Registry) -> None:
    await registry.create(NAMESPACES, namespace("other"))
    for name, where, labels, at in (
        ("a", "default", {"app": "x"}, "here"),
        ("b", "default", {"app": "y"}, None),
        ("c", "other", {"app": "x"}, None),
    ):
        await registry.create(PODS, pod(name, where, labels=labels, node=at), where)

    def names(*words: str) -> list[str]:
        return [s.key.name for s in registry.list(PODS, selection(PODS, *words)).items]

    assert names("") == ["a", "b", "c"]
    assert names("default") == ["a", "b"]
    assert names("", "app=x") == ["a", "c"]
    assert names("", "app=x", "spec.nodeName=here") == ["a"]
    assert names("", "", "status.phase!=Pending") == []
    with pytest.raises(StatusError, match=r"field label not supported: spec\.colour") as refused:
        names("", "", "spec.colour=red")
    assert refused.value.code == 400


async def test_a_version_nobody_has_seen_is_waited_for_by_the_client(registry: Registry) -> None:
    with pytest.raises(StatusError, match="Too large resource version") as refused:
        registry.list(PODS, version=registry.version + 1)
    assert refused.value.code == 504


async def test_events_are_stored_like_anything_else(registry: Registry) -> None:
    created = await registry.create(EVENTS, event("web.1"), "default")
    counted = changed(lambda e: setattr(e, "count", 2))
    assert (await registry.update(EVENTS, "web.1", "default", counted)).obj.count == 2
    assert created.obj.count == 1


async def test_no_object_that_was_handed_out_ever_changes(registry: Registry) -> None:
    handed_out = await registry.create(PODS, pod(node="here"), "default")
    before = codec.encode(handed_out.obj)
    await registry.update(PODS, "web", "default", relabel(a="b"))
    await registry.update(
        PODS, "web", "default", lambda old: core_v1.Pod(metadata=meta_v1.ObjectMeta()), subresource="status"
    )
    await registry.delete(PODS, "web", "default")
    await registry.delete(PODS, "web", "default")
    assert codec.encode(handed_out.obj) == before == handed_out.encoded


async def test_only_what_a_user_said_waits_for_the_platter(registry: Registry) -> None:
    """database.py says why; the last batch shows which way it was written."""

    def how() -> str:
        return registry._store._database._synchronous

    await registry.create(PODS, pod(), "default")
    assert how() == "FULL"
    binding = core_v1.Binding(target=core_v1.ObjectReference(kind="Node", name="here"))
    await registry.bind(binding, "web", "default")
    assert how() == "NORMAL"
    await registry.update(PODS, "web", "default", relabel(a="b"))
    assert how() == "FULL"
    run = changed(lambda p: setattr(p.status, "phase", "Running"))
    await registry.update(PODS, "web", "default", run, subresource="status")
    assert how() == "NORMAL"
    await registry.delete(PODS, "web", "default")
    assert how() == "FULL"
    await registry.create(EVENTS, event("e"), "default")
    assert how() == "NORMAL"
