"""What a container runs and as whom: arguments, working directory, user and groups.

https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/ and
https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.api import core_v1
from minipod.kubelet.containers.environment import expand
from minipod.kubelet.pod_names import AnyContainer, full_name


class CreateContainerConfigError(Exception):
    """A container that cannot be made as its Pod says. `reason` is its waiting reason."""

    def __init__(self, message: str, reason: str = "CreateContainerConfigError") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRequest:
    """Whom a container is to run as, before names are looked up in its image.

    `user` is "name" or a number, with ":group" where one is asked for.
    """

    user: str
    keep_image_groups: bool = True
    """Whether the groups that the image's /etc/group lists for this user are kept (supplementalGroupsPolicy)."""
    groups: tuple[int, ...] = ()
    """Added by the Pod: supplementalGroups and fsGroup."""
    root_refusal: str = ""
    """What to say if it turns out to be root though runAsNonRoot holds; empty where root may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUser:
    """The outcome: numbers, and the home directory for HOME."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"

    def to_oci(self) -> dict[str, Any]:
        """The OCI runtime-spec "user" object."""
        return {"uid": self.uid, "gid": self.gid, "additionalGids": list(self.groups)}


def process_args(container: AnyContainer, image: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """The argument vector. `image`: the OCI image config; `env`: the Pod's own variables.

    `command` replaces Entrypoint and silences Cmd, `args` replaces Cmd. Raises CreateContainerConfigError.
    """
    command = [expand(word, env.get) for word in container.command]
    args = [expand(word, env.get) for word in container.args]
    if not command:
        command = [str(word) for word in image.get("Entrypoint") or ()]
        args = args or [str(word) for word in image.get("Cmd") or ()]
    if not command and not args:
        raise CreateContainerConfigError(
            f'no command specified: neither container "{container.name}" nor its image "{container.image}" has one',
            reason="CreateContainerError",
        )
    return command + args


def working_dir(container: AnyContainer, image: Mapping[str, Any]) -> str:
    """Absolute: an image's may be written without its slash, and is then meant from the root."""
    return posixpath.join("/", container.workingDir or str(image.get("WorkingDir") or ""))


def requested_user(pod: core_v1.Pod, container: AnyContainer, image: Mapping[str, Any]) -> UserRequest:
    """Whom to run as: the container's securityContext over the Pod's over the image's USER.

    Raises CreateContainerConfigError when runAsNonRoot forbids the outcome or cannot be judged.
    """
    own = container.securityContext or core_v1.SecurityContext()
    shared = pod.spec.securityContext or core_v1.PodSecurityContext()
    uid = shared.runAsUser if own.runAsUser is None else own.runAsUser
    gid = shared.runAsGroup if own.runAsGroup is None else own.runAsGroup
    image_user, _, image_group = str(image.get("User") or "").partition(":")
    refusal = ""
    if shared.runAsNonRoot if own.runAsNonRoot is None else own.runAsNonRoot:
        where = f'(pod: "{full_name(pod)}", container: {container.name})'
        refusal = f"container has runAsNonRoot and image will run as root {where}"
        _verify_non_root(where, uid, image_user, refusal)
    group = str(gid) if gid is not None else image_group if uid is None else ""
    user = str(uid) if uid is not None else image_user or "0"
    extra = [*shared.supplementalGroups, *([] if shared.fsGroup is None else [shared.fsGroup])]
    return UserRequest(
        user=f"{user}:{group}" if group else user,
        keep_image_groups=shared.supplementalGroupsPolicy != "Strict",
        groups=tuple(extra),
        root_refusal=refusal,
    )


def process_user(
    request: UserRequest, *, uid: int, gid: int, groups: Iterable[int], home: str
) -> ProcessUser:
    """Put the image's answer (uid, gid, groups, home) and the Pod's groups together, each group once.

    Raises CreateContainerConfigError when the answer is root and runAsNonRoot holds.
    """
    if uid == 0 and request.root_refusal:
        raise CreateContainerConfigError(request.root_refusal)
    kept = groups if request.keep_image_groups else ()
    return ProcessUser(
        uid=uid, gid=gid, groups=tuple(dict.fromkeys((gid, *kept, *request.groups))), home=home
    )


def _verify_non_root(where: str, uid: int | None, image_user: str, refusal: str) -> None:
    if uid == 0:
        raise CreateContainerConfigError(f"container's runAsUser breaks non-root policy {where}")
    if uid is not None:
        return
    numeric = image_user.isascii() and image_user.isdecimal()
    if not image_user or (numeric and not image_user.strip("0")):
        raise CreateContainerConfigError(refusal)
    if not numeric:
        raise CreateContainerConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({image_user}), "
            f"cannot verify user is non-root {where}"
        )
