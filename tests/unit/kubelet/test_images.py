"""imagePullPolicy against what the node has."""

from __future__ import annotations

import pytest

from minipod.kubelet.containers.images import ImageUnavailableError, choose_image, pulled_message
from tests.unit.kubelet.pods import image, one


@pytest.mark.parametrize("policy", ["IfNotPresent", "Never", "Always", None])
def test_a_local_image_is_used(policy: str | None) -> None:
    assert choose_image(one(imagePullPolicy=policy, image="x:1"), image()).id == image().id


@pytest.mark.parametrize(
    ("name", "policy", "reason", "event", "words"),
    [
        ("no/such:1", "IfNotPresent", "ErrImagePull", "Failed", "minipod image import"),
        ("no/such:1", "Always", "ErrImagePull", "Failed", "minipod image import"),
        (
            "no/such:1",
            "Never",
            "ErrImageNeverPull",
            "ErrImageNeverPull",
            'Container image "no/such:1" is not present with pull policy of Never',
        ),
        ("UPPER", "IfNotPresent", "InvalidImageName", "InspectFailed", "must be lowercase"),
        ("a b", "Never", "InvalidImageName", "InspectFailed", "couldn't parse image name"),
    ],
)
def test_what_cannot_be_used(name: str, policy: str, reason: str, event: str, words: str) -> None:
    with pytest.raises(ImageUnavailableError) as caught:
        choose_image(one(image=name, imagePullPolicy=policy), None)
    assert (caught.value.reason, caught.value.event) == (reason, event)
    assert words in caught.value.message
    assert name in caught.value.message


@pytest.mark.parametrize("policy", ["IfNotPresent", "Always"])
def test_an_image_that_is_here_is_said_to_be(policy: str) -> None:
    made = one(image="x:1", imagePullPolicy=policy)
    assert pulled_message(made) == 'Container image "x:1" already present on machine'
