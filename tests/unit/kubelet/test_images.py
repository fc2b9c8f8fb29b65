"""imagePullPolicy against what the node has."""

from __future__ import annotations

import pytest

from minipod.kubelet.images import ImageUnavailableError, choose_image
from tests.unit.kubelet.pods import image, one


@pytest.mark.parametrize("policy", ["IfNotPresent", "Never", None])
def test_a_local_image_is_used(policy: str | None) -> None:
    assert choose_image(one(imagePullPolicy=policy, image="x:1"), image()).id == image().id


@pytest.mark.parametrize(
    ("name", "policy", "present", "reason", "event", "words"),
    [
        ("no/such:1", "IfNotPresent", False, "ErrImagePull", "Failed", "minipod image import"),
        ("no/such:1", "Always", True, "ErrImagePull", "Failed", "imagePullPolicy: IfNotPresent"),
        (
            "no/such:1",
            "Never",
            False,
            "ErrImageNeverPull",
            "ErrImageNeverPull",
            'Container image "no/such:1" is not present with pull policy of Never',
        ),
        ("UPPER", "IfNotPresent", False, "InvalidImageName", "InspectFailed", "must be lowercase"),
        ("a b", "Never", False, "InvalidImageName", "InspectFailed", "couldn't parse image name"),
    ],
)
def test_what_cannot_be_used(
    name: str, policy: str, present: bool, reason: str, event: str, words: str
) -> None:
    with pytest.raises(ImageUnavailableError) as caught:
        choose_image(one(image=name, imagePullPolicy=policy), image() if present else None)
    assert (caught.value.reason, caught.value.event) == (reason, event)
    assert words in caught.value.message
    assert name in caught.value.message
