"""Label selectors: what people type and what objects hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.api import labels
from minipod.api.meta_v1 import LabelSelector, LabelSelectorRequirement

LABELS = {"app": "web", "tier": "front", "rank": "7", "empty": ""}

MATCHES = [
    ("", True),
    ("app=web", True),
    ("app==web", True),
    ("app = web , tier", True),
    ("app!=web", False),
    ("app!=db", True),
    ("missing!=x", True),
    ("app in (web, db)", True),
    ("app in (db)", False),
    ("missing in (x)", False),
    ("app notin (db)", True),
    ("missing notin (x)", True),
    ("app", True),
    ("missing", False),
    ("!missing", True),
    ("!app", False),
    ("empty=", True),
    ("empty", True),
    ("app in ()", False),
    ("empty in ()", True),
    ("empty in (,x)", True),
    ("rank>6", True),
    ("rank>7", False),
    ("rank<8", True),
    ("app>6", False),
    ("missing>6", False),
    ("x in (in,notin)", False),
    ("in in (in)", False),
    ("app=web,tier=back", False),
]


@pytest.mark.parametrize(("text", "expected"), MATCHES)
def test_matching(text: str, expected: bool) -> None:
    assert labels.parse(text).matches(LABELS) is expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("=web", "found '=', expected: !, identifier, or 'end of string'"),
        ("app,", "found '', expected: identifier after ','"),
        ("app=web tier", "found 'tier', expected: ',' or 'end of string'"),
        ("app in web", "unable to parse requirement: found 'web' expected: '('"),
        ("app in (web", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("app~web", "name part must consist of alphanumeric characters"),
        ("app web", "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, >, <"),
        ("app=-x-", "a valid label must be an empty string or consist of alphanumeric characters"),
        ("a/b/c", "a qualified name must consist of"),
        ("rank>x", "for 'Gt', 'Lt' operators, the value must be an integer"),
        ("!app=web", "found '=', expected: ',' or 'end of string'"),
        ("!!app", "unable to parse requirement: found '!', expected: identifier"),
        ("app=(", "unable to parse requirement: found '(', expected: identifier"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        labels.parse(text)
    assert said in str(caught.value)


def test_an_objects_selector() -> None:
    selector = labels.from_label_selector(
        LabelSelector(
            matchLabels={"app": "web"},
            matchExpressions=[
                LabelSelectorRequirement(key="tier", operator="NotIn", values=["back"]),
                LabelSelectorRequirement(key="gone", operator="DoesNotExist"),
            ],
        )
    )
    assert selector is not None
    assert selector.matches(LABELS)
    assert not selector.matches({**LABELS, "gone": ""})
    assert labels.from_label_selector(None) is None
    assert labels.from_label_selector(LabelSelector()) == labels.EVERYTHING


@pytest.mark.parametrize(
    "requirement",
    [
        LabelSelectorRequirement(key="a", operator="Equals", values=["b"]),
        LabelSelectorRequirement(key="a", operator="In"),
        LabelSelectorRequirement(key="a", operator="Exists", values=["b"]),
        LabelSelectorRequirement(key="a b", operator="Exists"),
    ],
)
def test_an_objects_bad_selector_is_refused(requirement: LabelSelectorRequirement) -> None:
    with pytest.raises(ValueError):
        labels.from_label_selector(LabelSelector(matchExpressions=[requirement]))


_WORD = st.from_regex(r"[a-z]([a-z0-9._-]{0,6}[a-z0-9])?", fullmatch=True)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(_WORD, _WORD, max_size=4), st.dictionaries(_WORD, _WORD, max_size=4))
def test_a_selector_of_labels_matches_exactly_their_supersets(
    asked: dict[str, str], had: dict[str, str]
) -> None:
    selector = labels.of(asked)
    assert selector.matches(had) == (asked.items() <= had.items())
    assert labels.parse(str(selector)) == selector


@settings(max_examples=200, deadline=None)
@given(st.text("ab!=()<>, in", max_size=12))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        selector = labels.parse(text)
    except ValueError:
        return
    assert labels.parse(str(selector)) == selector
