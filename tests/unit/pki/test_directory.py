"""The certificates on disk: made once, renewed in time, the same after a crash at any point."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from minipod.pki import certificates
from minipod.pki.directory import PkiDirectory, PkiError
from minipod.pki.serving import serving_names

NOW = datetime.now(UTC)
NAMES = ("localhost", "127.0.0.1", "node-1", "::1")


@pytest.fixture
def pki(tmp_path: Path) -> PkiDirectory:
    return PkiDirectory(tmp_path / "pki")


def served(pki: PkiDirectory) -> x509.Certificate:
    return x509.load_pem_x509_certificate((pki.path / "server.pem").read_bytes())


def test_the_authority_is_made_once(pki: PkiDirectory) -> None:
    assert pki.authority() == pki.authority()
    life = x509.load_pem_x509_certificate(pki.authority().certificate).not_valid_after_utc - NOW
    assert life > timedelta(days=3640)


def test_keys_are_the_owners_alone(pki: PkiDirectory) -> None:
    pki.ensure_serving(NAMES)
    modes = {path.name: path.stat().st_mode & 0o777 for path in pki.path.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.pem": 0o600}
    assert pki.path.stat().st_mode & 0o777 == 0o700


def test_a_good_certificate_stays(pki: PkiDirectory) -> None:
    renewal = pki.ensure_serving(NAMES, NOW)
    before = served(pki)
    assert pki.ensure_serving(NAMES[:2], renewal - timedelta(seconds=1)) == renewal
    assert served(pki) == before


def test_it_is_replaced_when_two_thirds_of_its_life_are_over(pki: PkiDirectory) -> None:
    renewal = pki.ensure_serving(NAMES, NOW)
    before = served(pki)
    assert timedelta(days=240) < renewal - NOW < timedelta(days=245)
    assert pki.ensure_serving(NAMES, renewal) > renewal
    assert served(pki) != before


def test_it_is_replaced_when_it_was_made_by_a_clock_that_was_ahead(pki: PkiDirectory) -> None:
    pki.authority()
    pki.ensure_serving(NAMES, NOW + timedelta(days=30))
    before = served(pki)
    pki.ensure_serving(NAMES, NOW)
    assert served(pki).not_valid_before_utc < before.not_valid_before_utc


def test_it_is_replaced_when_it_lacks_a_name(pki: PkiDirectory) -> None:
    pki.ensure_serving(NAMES)
    pki.ensure_serving((*NAMES, "10.1.2.3"))
    names = served(pki).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "10.1.2.3" in map(str, names.get_values_for_type(x509.IPAddress))


def test_it_is_replaced_with_its_authority(pki: PkiDirectory) -> None:
    pki.ensure_serving(NAMES)
    (pki.path / "ca.crt").unlink()
    pki.ensure_serving(NAMES)
    served(pki).verify_directly_issued_by(x509.load_pem_x509_certificate(pki.authority().certificate))


def test_a_cut_off_certificate_is_replaced(pki: PkiDirectory) -> None:
    pki.ensure_serving(NAMES)
    (pki.path / "server.pem").write_bytes((pki.path / "server.pem").read_bytes()[:100])
    pki.ensure_serving(NAMES)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(pki.path / "server.pem"))


@pytest.mark.parametrize("writes", range(3))
def test_a_crash_after_any_write_is_recovered_from(
    pki: PkiDirectory, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    done = 0
    rename = Path.rename

    def crashing(self: Path, target: Path) -> Path:
        nonlocal done
        if done == writes:
            raise KeyboardInterrupt
        done += 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", crashing)
    with pytest.raises(KeyboardInterrupt):
        pki.ensure_serving(NAMES)
    monkeypatch.undo()
    pki.ensure_serving(NAMES)
    assert certificates.belong_together(pki.authority())
    served(pki).verify_directly_issued_by(x509.load_pem_x509_certificate(pki.authority().certificate))


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: (path / "ca.key").unlink(),
        lambda path: (path / "ca.key").write_text("no key"),
        lambda path: (path / "ca.key").write_bytes(certificates.make_authority("other", NOW).key),
    ],
    ids=["missing", "garbage", "another's"],
)
def test_an_authority_without_its_key_is_not_replaced_silently(
    pki: PkiDirectory, harm: Callable[[Path], object]
) -> None:
    pki.authority()
    harm(pki.path)
    with pytest.raises(PkiError, match=r"remove .* to have new ones made"):
        pki.authority()


def test_a_clients_certificate_says_who_and_what_groups(pki: PkiDirectory) -> None:
    pair = pki.client("alice", ["dev", "ops"])
    found = x509.load_pem_x509_certificate(pair.certificate)
    assert found.subject.rfc4514_string() == "CN=alice,O=ops,O=dev"
    found.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.authority().certificate))


def test_a_server_is_not_named_by_what_stands_for_all_addresses() -> None:
    names = serving_names(
        ["0.0.0.0", "::", "10.0.0.1"], node_name="n", node_ip="10.0.0.1", cluster_domain="c.l"
    )
    assert names == (
        "localhost",
        "127.0.0.1",
        "n",
        "10.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.c.l",
    )


def test_an_authority_that_has_ended_says_what_to_do(pki: PkiDirectory) -> None:
    pki.ensure_serving(NAMES, NOW)
    with pytest.raises(PkiError, match=r"good until .* remove .* to have new ones made"):
        pki.ensure_serving(NAMES, NOW + timedelta(days=3651))


@pytest.mark.parametrize(("user", "groups"), [("", []), ("x" * 65, []), ("ann", ["y" * 65])])
def test_a_name_no_certificate_can_hold_is_named(pki: PkiDirectory, user: str, groups: list[str]) -> None:
    with pytest.raises(PkiError, match="1 to 64 characters"):
        pki.client(user, groups)
