"""Certificates as Kubernetes' tools make them (ECDSA P-256, SHA-256): an authority, and leaves it signs.

The profile is that of https://kubernetes.io/docs/setup/best-practices/certificates/: a client's name is its common
name, its groups are its organizations.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
RENEW_AFTER = 2 / 3
"""Of its life: then a leaf is replaced, so that a daemon that is off for months still starts with a good one."""
SKEW = timedelta(minutes=5)
"""A certificate is valid since shortly before it was made: clients' clocks may be behind."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM texts of a certificate and of its private key."""

    certificate: bytes
    key: bytes


def make_authority(name: str, now: datetime) -> KeyPair:
    """A self-signed authority that may sign leaves and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def make_serving(authority: KeyPair, names: Iterable[str], now: datetime) -> KeyPair:
    """For a server that is reached by these DNS names and IP addresses."""
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return _leaf(authority, "minipod", (), now, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)


def make_client(authority: KeyPair, user: str, groups: Sequence[str], now: datetime) -> KeyPair:
    return _leaf(authority, user, groups, now, ExtendedKeyUsageOID.CLIENT_AUTH, None)


def renewal(certificate: bytes) -> datetime:
    """When a leaf is to be replaced."""
    found = x509.load_pem_x509_certificate(certificate)
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return found.not_valid_before_utc + life * RENEW_AFTER


def names(certificate: bytes, name: str) -> bool:
    """Whether a serving certificate is good for a server that is called so."""
    found = x509.load_pem_x509_certificate(certificate)
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return _general_name(name) in set(extension.value)


def end(certificate: bytes) -> datetime:
    """Until when it is good."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def serves(certificate: bytes, authority: KeyPair, names: Iterable[str], now: datetime) -> bool:
    """Whether a serving certificate is this authority's, fresh, and names all by which the server is reached."""
    found = x509.load_pem_x509_certificate(certificate)
    try:
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, x509.ExtensionNotFound):
        return False
    if not found.not_valid_before_utc <= now < renewal(certificate):
        return False
    return set(map(_general_name, names)) <= set(alternatives)


def belong_together(pair: KeyPair) -> bool:
    """Whether the key is the certificate's."""
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    return certificate.public_key() == load_pem_private_key(pair.key, None).public_key()


def _leaf(
    authority: KeyPair,
    common_name: str,
    organizations: Sequence[str],
    now: datetime,
    usage: x509.ObjectIdentifier,
    alternatives: x509.SubjectAlternativeName | None,
) -> KeyPair:
    signer = load_pem_private_key(authority.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    builder = _builder(subject, issuer.subject, key.public_key(), now, LEAF_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(certificate.public_bytes(Encoding.PEM), text)
