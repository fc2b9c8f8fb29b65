"""What names may look like."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from minipod.api import names

Check = Callable[[str], list[str]]

GOOD: list[tuple[Check, str]] = [
    (names.dns_label, "a"),
    (names.dns_label, "0-a9"),
    (names.dns_label, "a" * 63),
    (names.dns_subdomain, "a.b-c.0"),
    (names.dns_subdomain, ".".join(["a" * 49] * 5)),
    (names.dns_subdomain_with_underscore, "_tcp.my_host.a"),
    (names.dns_label_1035, "a-1"),
    (names.qualified_name, "App_1.x"),
    (names.qualified_name, "example.com/App"),
    (names.label_value, ""),
    (names.label_value, "A.b_c-1"),
    (names.env_name, "A"),
    (names.env_name, "1 odd.name-but#allowed"),
    (names.port_name, "http-2"),
    (names.http_header, "X-Real-IP"),
    (names.config_key, "my.conf_1"),
]
BAD: list[tuple[Check, str, str]] = [
    (names.dns_label, "", "a lowercase RFC 1123 label must consist of"),
    (names.dns_label, "A", "a lowercase RFC 1123 label must consist of"),
    (names.dns_label, "-a", "a lowercase RFC 1123 label must consist of"),
    (names.dns_label, "a\n", "a lowercase RFC 1123 label must consist of"),
    (names.dns_label, "a.b", "must not contain dots"),
    (names.dns_label, "a" * 64, "must be no more than 63 bytes"),
    (names.dns_subdomain, "a..b", "a lowercase RFC 1123 subdomain must consist of"),
    (names.dns_subdomain, "a" * 254, "must be no more than 253 bytes"),
    (names.dns_label_1035, "1a", "a DNS-1035 label must consist of"),
    (
        names.qualified_name,
        "a/b/c",
        "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ),
    (names.qualified_name, "/b", "prefix part must be non-empty"),
    (names.qualified_name, "a/", "name part must be non-empty"),
    (names.qualified_name, "A/b", "prefix part a lowercase RFC 1123 subdomain"),
    (names.label_value, "-", "a valid label must be an empty string or consist of"),
    (names.label_value, "é", "a valid label must be an empty string or consist of"),
    (names.env_name, "", "environment variable name must be non-empty"),
    (names.env_name, "A=B", "printable ASCII characters other than '='"),
    (names.env_name, "A\0", "printable ASCII characters other than '='"),
    (names.port_name, "a" * 16, "must be no more than 15 bytes"),
    (names.port_name, "80", "must contain at least one letter (a-z)"),
    (names.port_name, "a--b", "must not contain consecutive hyphens"),
    (names.port_name, "-a", "must not begin or end with a hyphen"),
    (names.port_name, "A", "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
    (names.http_header, "a b", "a valid HTTP header must consist of"),
    (names.config_key, "..", "must not be '..'"),
    (names.config_key, "..a", "must not start with '..'"),
    (names.config_key, "a/b", "a valid config key must consist of"),
]


@pytest.mark.parametrize(("check", "text"), GOOD)
def test_good_names(check: Check, text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(("check", "text", "said"), BAD)
def test_bad_names(check: Check, text: str, said: str) -> None:
    assert any(said in problem for problem in check(text))


def test_the_whole_sentence_is_kubernetes() -> None:
    assert names.dns_label("A_b") == [
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    ]


def test_ranges() -> None:
    assert names.port_number(1) == names.port_number(65535) == []
    assert names.port_number(0) == ["must be between 1 and 65535, inclusive"]
    assert names.user_or_group_id(2**32) == ["must be between 0 and 4294967295, inclusive"]


def test_a_generated_name_is_a_label_of_its_own() -> None:
    made = {names.generate("web-") for _ in range(50)}
    assert len(made) == 50
    for name in made:
        assert name.startswith("web-")
        assert names.dns_label(name) == []
    assert len(names.generate("x" * 100)) == 63
