"""The reasons of the events a kubelet writes: Kubernetes' own words, so that people and tools recognise them."""

from __future__ import annotations

from minipod.client.events import NORMAL as NORMAL
from minipod.client.events import WARNING as WARNING

CREATED = "Created"
STARTED = "Started"
FAILED = "Failed"
KILLING = "Killing"
BACK_OFF = "BackOff"
PULLED = "Pulled"
INSPECT_FAILED = "InspectFailed"
ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
FAILED_MOUNT = "FailedMount"
FAILED_CREATE_SANDBOX = "FailedCreatePodSandBox"
SANDBOX_CHANGED = "SandboxChanged"
DEADLINE_EXCEEDED = "DeadlineExceeded"
NODE_AFFINITY = "NodeAffinity"
POD_OS_NOT_SUPPORTED = "PodOSNotSupported"
SYSCTL_FORBIDDEN = "SysctlForbidden"
CGROUP_CONTROLLER_MISSING = "CgroupControllerMissing"
CGROUP_NOT_ENFORCED = "CgroupNotEnforced"
NODE_ALLOCATABLE_ENFORCED = "NodeAllocatableEnforced"
FAILED_NODE_ALLOCATABLE_ENFORCEMENT = "FailedNodeAllocatableEnforcement"
SYSTEM_OOM = "SystemOOM"
OOM_KILLING = "OOMKilling"
NOT_AS_ASKED = "NotAsAsked"
STARTING = "Starting"
EVICTION_THRESHOLD_MET = "EvictionThresholdMet"
OUT_OF = "OutOf"
"""Followed by the name of the resource: OutOfcpu."""
NODE_SHUTDOWN = "NodeShutdown"
