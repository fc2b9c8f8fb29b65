"""The values Kubernetes fills in where a user said nothing, filled in before an object is validated and stored.

Also here, because Kubernetes' decoder does it on the way in: quantities get their canonical text, and false, zero and
"" in fields that have no unset state become absent (so that saying the default is no change).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from minipod.api import core_v1, pod_resources, quantity

PULL_ALWAYS = "Always"
PULL_IF_NOT_PRESENT = "IfNotPresent"
DEFAULT_GRACE_PERIOD_SECONDS = 30
DEFAULT_TERMINATION_MESSAGE_PATH = "/dev/termination-log"
DEFAULT_SCHEDULER = "default-scheduler"
DEFAULT_SERVICE_ACCOUNT = "default"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
_FILE_MODE = 0o644
_TOKEN_SECONDS = 3600

_NO_UNSET_STATE: dict[type[Any], tuple[str, ...]] = {
    core_v1.PodSpec: (
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostname",
        "nodeName",
        "subdomain",
        "serviceAccountName",
    ),
    core_v1.Container: ("stdin", "stdinOnce", "tty", "workingDir"),
    core_v1.EphemeralContainer: ("stdin", "stdinOnce", "tty", "workingDir"),
    core_v1.VolumeMount: ("readOnly", "subPath", "subPathExpr"),
    core_v1.ContainerPort: ("hostIP", "hostPort", "name"),
    core_v1.EnvVar: ("value",),
    core_v1.EmptyDirVolumeSource: ("medium",),
}
"""Fields Kubernetes keeps as plain values, not pointers: their zero is the same as absent."""


def set_defaults(obj: Any) -> None:
    """Fill in `obj`, one of the served kinds, in place; other kinds are left as they are."""
    fill = _BY_TYPE.get(type(obj))
    if fill is not None:
        fill(obj)


def default_pull_policy(image: str | None) -> str:
    """Always for the tag latest (said or implied), IfNotPresent for any other tag or a digest."""
    name = (image or "").rpartition("/")[2]
    if "@" in name:
        return PULL_IF_NOT_PRESENT
    tag = name.partition(":")[2] or "latest"
    return PULL_ALWAYS if tag == "latest" else PULL_IF_NOT_PRESENT


def _pod(pod: core_v1.Pod) -> None:
    spec = pod.spec
    _pod_spec(spec)
    for container in (*spec.initContainers, *spec.containers):
        if container.resources is not None:
            container.resources.requests = {**container.resources.limits, **container.resources.requests}
    if spec.resources is not None:
        _pod_level_resources(pod, spec.resources)
    if spec.enableServiceLinks is None:
        spec.enableServiceLinks = True
    if spec.hostNetwork:
        for container in (*spec.initContainers, *spec.containers):
            for port in container.ports:
                port.hostPort = port.hostPort or port.containerPort


def _pod_template(template: core_v1.PodTemplate) -> None:
    if template.template is not None:
        _pod_spec(template.template.spec)


def _pod_spec(spec: core_v1.PodSpec) -> None:
    """What holds for pods and pod templates alike."""
    _drop_zeroes(spec)
    spec.dnsPolicy = spec.dnsPolicy or "ClusterFirst"
    spec.restartPolicy = spec.restartPolicy or "Always"
    spec.schedulerName = spec.schedulerName or DEFAULT_SCHEDULER
    if spec.securityContext is None:
        spec.securityContext = core_v1.PodSecurityContext()
    if spec.terminationGracePeriodSeconds is None:
        spec.terminationGracePeriodSeconds = DEFAULT_GRACE_PERIOD_SECONDS
    # serviceAccount is the old name of serviceAccountName: Kubernetes answers with both.
    account = spec.serviceAccountName or spec.serviceAccount or None
    spec.serviceAccountName = spec.serviceAccount = account
    spec.overhead = _canonical(spec.overhead)
    if spec.resources is not None:
        _resources(spec.resources)
    for container in (*spec.initContainers, *spec.containers):
        _container(container)
    for ephemeral in spec.ephemeralContainers:
        _container(ephemeral)
    for volume in spec.volumes:
        _volume(volume)
    for constraint in spec.topologySpreadConstraints:
        constraint.nodeAffinityPolicy = constraint.nodeAffinityPolicy or "Honor"
        constraint.nodeTaintsPolicy = constraint.nodeTaintsPolicy or "Ignore"


def _container(container: core_v1.Container | core_v1.EphemeralContainer) -> None:
    _drop_zeroes(container)
    container.imagePullPolicy = container.imagePullPolicy or default_pull_policy(container.image)
    container.terminationMessagePath = container.terminationMessagePath or DEFAULT_TERMINATION_MESSAGE_PATH
    container.terminationMessagePolicy = container.terminationMessagePolicy or "File"
    if container.resources is None:
        container.resources = core_v1.ResourceRequirements()
    _resources(container.resources)
    for port in container.ports:
        _drop_zeroes(port)
        port.protocol = port.protocol or "TCP"
    for variable in container.env:
        _env_var(variable)
    for mount in container.volumeMounts:
        _drop_zeroes(mount)
    for probe in (container.livenessProbe, container.readinessProbe, container.startupProbe):
        if probe is not None:
            _probe(probe)
    if container.lifecycle is not None:
        for hook in (container.lifecycle.postStart, container.lifecycle.preStop):
            if hook is not None and hook.httpGet is not None:
                _http_get(hook.httpGet)


def _env_var(variable: core_v1.EnvVar) -> None:
    _drop_zeroes(variable)
    source = variable.valueFrom
    if source is not None and source.fieldRef is not None:
        source.fieldRef.apiVersion = source.fieldRef.apiVersion or "v1"
    if source is not None and source.resourceFieldRef is not None:
        _divisor(source.resourceFieldRef)


def _probe(probe: core_v1.Probe) -> None:
    probe.timeoutSeconds = probe.timeoutSeconds or 1
    probe.periodSeconds = probe.periodSeconds or 10
    probe.successThreshold = probe.successThreshold or 1
    probe.failureThreshold = probe.failureThreshold or 3
    if probe.httpGet is not None:
        _http_get(probe.httpGet)
    if probe.grpc is not None and probe.grpc.service is None:
        probe.grpc.service = ""


def _http_get(action: core_v1.HTTPGetAction) -> None:
    action.path = action.path or "/"
    action.scheme = action.scheme or "HTTP"


def _resources(resources: core_v1.ResourceRequirements) -> None:
    resources.limits = _canonical(resources.limits)
    resources.requests = _canonical(resources.requests)


def _pod_level_resources(pod: core_v1.Pod, own: core_v1.ResourceRequirements) -> None:
    """KEP-2837: pod-level huge page limits, requests and limits that follow from the containers'."""
    if not own.limits and not own.requests:
        return
    limits = pod_resources.container_limits(pod)
    for name, amount in limits.items():
        if name.startswith(pod_resources.HUGE_PAGES) and name not in own.requests:
            own.limits.setdefault(name, amount)
    if own.limits:
        for name, amount in pod_resources.container_requests(pod).items():
            if name in (pod_resources.CPU, pod_resources.MEMORY):
                own.requests.setdefault(name, amount)
        for name, amount in own.limits.items():
            own.requests.setdefault(name, amount)
        return
    everyone = [*pod.spec.initContainers, *pod.spec.containers]
    for name in (pod_resources.CPU, pod_resources.MEMORY):
        if name in limits and all(one.resources and name in one.resources.limits for one in everyone):
            own.limits[name] = limits[name]


def _volume(volume: core_v1.Volume) -> None:
    if all(getattr(volume, field) is None for field in volume.__struct_fields__ if field != "name"):
        volume.emptyDir = core_v1.EmptyDirVolumeSource()
    if volume.emptyDir is not None:
        _drop_zeroes(volume.emptyDir)
        volume.emptyDir.sizeLimit = _canonical_text(volume.emptyDir.sizeLimit)
    if volume.hostPath is not None and volume.hostPath.type is None:
        volume.hostPath.type = ""
    for files in (volume.secret, volume.configMap, volume.downwardAPI, volume.projected):
        if files is not None and files.defaultMode is None:
            files.defaultMode = _FILE_MODE
    if volume.image is not None and not volume.image.pullPolicy:
        volume.image.pullPolicy = default_pull_policy(volume.image.reference)
    if volume.downwardAPI is not None:
        _downward_files(volume.downwardAPI.items)
    for source in volume.projected.sources if volume.projected is not None else ():
        if source.serviceAccountToken is not None and source.serviceAccountToken.expirationSeconds is None:
            source.serviceAccountToken.expirationSeconds = _TOKEN_SECONDS
        if source.downwardAPI is not None:
            _downward_files(source.downwardAPI.items)
    _other_volume_sources(volume)


def _downward_files(files: Iterable[core_v1.DownwardAPIVolumeFile]) -> None:
    for file in files:
        if file.fieldRef is not None:
            file.fieldRef.apiVersion = file.fieldRef.apiVersion or "v1"
        if file.resourceFieldRef is not None:
            _divisor(file.resourceFieldRef)


def _divisor(reference: core_v1.ResourceFieldSelector) -> None:
    reference.divisor = _canonical_text(reference.divisor) or "0"


def _other_volume_sources(volume: core_v1.Volume) -> None:
    if volume.iscsi is not None:
        volume.iscsi.iscsiInterface = volume.iscsi.iscsiInterface or "default"
    if volume.rbd is not None:
        volume.rbd.pool = volume.rbd.pool or "rbd"
        volume.rbd.user = volume.rbd.user or "admin"
        volume.rbd.keyring = volume.rbd.keyring or "/etc/ceph/keyring"
    if volume.azureDisk is not None:
        volume.azureDisk.cachingMode = volume.azureDisk.cachingMode or "ReadWrite"
        volume.azureDisk.kind = volume.azureDisk.kind or "Shared"
        volume.azureDisk.fsType = volume.azureDisk.fsType or "ext4"
        volume.azureDisk.readOnly = bool(volume.azureDisk.readOnly)
    if volume.scaleIO is not None:
        volume.scaleIO.storageMode = volume.scaleIO.storageMode or "ThinProvisioned"
        volume.scaleIO.fsType = volume.scaleIO.fsType or "xfs"
    claim = volume.ephemeral.volumeClaimTemplate if volume.ephemeral is not None else None
    if claim is not None:
        claim.spec.volumeMode = claim.spec.volumeMode or "Filesystem"


def _namespace(namespace: core_v1.Namespace) -> None:
    namespace.status.phase = namespace.status.phase or "Active"
    if namespace.metadata.name:
        namespace.metadata.labels[NAMESPACE_NAME_LABEL] = namespace.metadata.name


def _node(node: core_v1.Node) -> None:
    node.status.capacity = _canonical(node.status.capacity)
    node.status.allocatable = _canonical(node.status.allocatable) or dict(node.status.capacity)


def _drop_zeroes(obj: Any) -> None:
    for field in _NO_UNSET_STATE[type(obj)]:
        if not getattr(obj, field):
            setattr(obj, field, None)


def _canonical(quantities: dict[str, str]) -> dict[str, str]:
    """A list of resources: Kubernetes keeps no more than thousandths of each."""
    return {name: _canonical_text(text, quantity.MILLI) or "" for name, text in quantities.items()}


def _canonical_text(text: str | None, finest: Fraction = quantity.NANO) -> str | None:
    """What cannot be read stays for validation to report."""
    try:
        return None if text is None else quantity.canonical(text, finest=finest)
    except ValueError:
        return text


_BY_TYPE: dict[type, Callable[[Any], None]] = {
    core_v1.Pod: _pod,
    core_v1.PodTemplate: _pod_template,
    core_v1.Namespace: _namespace,
    core_v1.Node: _node,
}
