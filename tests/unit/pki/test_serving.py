"""Renewing the API's certificate while it serves: what goes wrong is tried again, and ends nothing else."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from minipod.pki import serving
from minipod.pki.serving import CertificateError, ServingCertificate

WEEK = 7 * 24 * 3600.0


class Certificate(ServingCertificate):
    """One that is good for a week, and whose renewals can be made to fail."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path, self._answer)
        self.answers: list[Sequence[str] | Exception] = []
        self.failure: Exception | None = None
        self.renewals = 0
        self._renew_at = time.time() + WEEK
        self._named = frozenset(["a"])

    def _answer(self) -> Sequence[str]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _renew(self) -> None:
        self.renewals += 1
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self._named = frozenset(self._answer())


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    monkeypatch.setattr(serving, "RETRY", 0.0)
    monkeypatch.setattr(serving, "SETTLING", 0.0)
    return Certificate(tmp_path)


async def run_until_named(certificate: Certificate, names: set[str]) -> None:
    task = asyncio.create_task(certificate.run())
    try:
        async with asyncio.timeout(5):
            while not certificate._named >= names and not task.done():  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert certificate._named >= names


@pytest.mark.parametrize(
    "failure", [CertificateError("no"), BlockingIOError(errno.EAGAIN, "no more processes")]
)
async def test_a_new_name_is_tried_for_again_although_the_old_certificate_is_good_for_long(
    certificate: Certificate, failure: Exception
) -> None:
    certificate.answers, certificate.failure = [["a", "b"]], failure
    await run_until_named(certificate, {"b"})
    assert certificate.renewals == 2


async def test_names_that_cannot_be_asked_for_just_now_end_nothing(certificate: Certificate) -> None:
    certificate.answers = [OSError(errno.EMFILE, "too many open files"), ["a", "b"]]
    await run_until_named(certificate, {"b"})
