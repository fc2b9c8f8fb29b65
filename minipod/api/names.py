"""What names may look like: one check per kind of name, answering in Kubernetes' sentences.

Each check returns what is wrong with a text, [] for nothing (k8s.io/apimachinery/pkg/util/validation).
"""

from __future__ import annotations

import re
import secrets

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
HOSTNAME_LENGTH = 64  # sethostname(2)
LARGEST_ID = 2**32 - 1

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_HEADER = "[-A-Za-z0-9]+"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_UNDERSCORED = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"

# A generated name is its prefix and five of these (k8s.io/apiserver/pkg/storage/names): no vowels, no words.
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5


def dns_label(text: str) -> list[str]:
    """RFC 1123 label: container, volume, namespace and host names."""
    problems = _at_most(text, LABEL_LENGTH)
    if not re.fullmatch(_LABEL, text):
        if re.fullmatch(_SUBDOMAIN, text):
            problems.append("must not contain dots")
        else:
            problems.append(
                _explained(
                    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
                    "and must start and end with an alphanumeric character",
                    _LABEL,
                    "my-name",
                    "123-abc",
                )
            )
    return problems


def dns_label_1035(text: str) -> list[str]:
    """RFC 1035 label: as dns_label, but starting with a letter."""
    problems = _at_most(text, LABEL_LENGTH)
    if not re.fullmatch(_LABEL_1035, text):
        problems.append(
            _explained(
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
                "start with an alphabetic character, and end with an alphanumeric character",
                _LABEL_1035,
                "my-name",
                "abc-123",
            )
        )
    return problems


def dns_subdomain(text: str) -> list[str]:
    """RFC 1123 subdomain: names of pods, nodes and most objects."""
    problems = _at_most(text, SUBDOMAIN_LENGTH)
    if not re.fullmatch(_SUBDOMAIN, text):
        problems.append(
            _explained(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
                "and must start and end with an alphanumeric character",
                _SUBDOMAIN,
                "example.com",
            )
        )
    return problems


def dns_subdomain_with_underscore(text: str) -> list[str]:
    """A DNS search path: as dns_subdomain, but labels may hold and start with an underscore."""
    problems = _at_most(text, SUBDOMAIN_LENGTH)
    if not re.fullmatch(_UNDERSCORED, text):
        problems.append(
            _explained(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' "
                "or '.', and must start and end with an alphanumeric character",
                _UNDERSCORED,
                "example.com",
            )
        )
    return problems


def qualified_name(text: str) -> list[str]:
    """A label or annotation key: [DNS subdomain/]name."""
    explained = _explained(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
        "character",
        _QUALIFIED,
        "MyName",
        "my.name",
        "123-abc",
    )
    parts = text.split("/")
    if len(parts) > 2:
        return [
            f"a qualified name {explained} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    problems: list[str] = []
    if len(parts) == 2:
        found = dns_subdomain(parts[0]) if parts[0] else ["must be non-empty"]
        problems += [f"prefix part {problem}" for problem in found]
    name = parts[-1]
    if not name:
        problems.append("name part must be non-empty")
    problems += [f"name part {problem}" for problem in _at_most(name, LABEL_LENGTH)]
    if not re.fullmatch(_QUALIFIED, name):
        problems.append(f"name part {explained}")
    return problems


def label_value(text: str) -> list[str]:
    problems = _at_most(text, LABEL_LENGTH)
    if not re.fullmatch(_LABEL_VALUE, text):
        problems.append(
            _explained(
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
                "and must start and end with an alphanumeric character",
                _LABEL_VALUE,
                "MyValue",
                "my_value",
                "12345",
            )
        )
    return problems


def env_name(text: str) -> list[str]:
    """An environment variable's name: what Kubernetes 1.34 and later accept."""
    problems = [] if text else ["environment variable name must be non-empty"]
    if any(not " " <= character <= "~" or character == "=" for character in text):
        problems.append(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
        )
    return problems


def port_name(text: str) -> list[str]:
    """An IANA service name (RFC 6335)."""
    problems = _at_most(text, 15)
    if not re.fullmatch("[-a-z0-9]+", text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def port_number(number: int) -> list[str]:
    return in_range(number, 1, 65535)


def user_or_group_id(number: int) -> list[str]:
    return in_range(number, 0, LARGEST_ID)


def in_range(number: int, low: int, high: int) -> list[str]:
    return [] if low <= number <= high else [f"must be between {low} and {high}, inclusive"]


def http_header(text: str) -> list[str]:
    if re.fullmatch(_HEADER, text):
        return []
    message = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [_explained(message, _HEADER, "X-Header-Name")]


def config_key(text: str) -> list[str]:
    """A key of a ConfigMap or Secret; it becomes a file name."""
    problems = _at_most(text, SUBDOMAIN_LENGTH)
    if not re.fullmatch(_CONFIG_KEY, text):
        message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        problems.append(_explained(message, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if text == ".":
        problems.append("must not be '.'")
    elif text == "..":
        problems.append("must not be '..'")
    elif text.startswith(".."):
        problems.append("must not start with '..'")
    return problems


def generate(prefix: str) -> str:
    """metadata.generateName -> a name: the prefix, cut so that the whole stays a DNS label, and a random suffix."""
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return prefix[: LABEL_LENGTH - _SUFFIX_LENGTH] + suffix


def _at_most(text: str, length: int) -> list[str]:
    return [f"must be no more than {length} bytes"] if len(text.encode()) > length else []


def _explained(message: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"
