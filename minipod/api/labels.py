"""Label selectors: reading what people type and what objects hold, and matching labels against it.

Syntax and meaning: kubernetes.io/docs/concepts/overview/working-with-objects/labels, `!=` and `notin` also match
objects without the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from minipod.api import names
from minipod.api.meta_v1 import LabelSelector


class Operator(StrEnum):
    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER_THAN = ">"
    LESS_THAN = "<"


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.EQUALS | Operator.IN:
                return value in self.values
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                return value not in self.values
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not _is_integer(value):
            return False
        left, right = int(value), int(self.values[0])
        return left > right if self.operator is Operator.GREATER_THAN else left < right

    def __str__(self) -> str:
        if self.operator is Operator.EXISTS:
            return self.key
        if self.operator is Operator.DOES_NOT_EXIST:
            return f"!{self.key}"
        if self.operator in (Operator.IN, Operator.NOT_IN):
            return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
        return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements together; none at all selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()

_FROM_OBJECT = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
}
_BINARY = {
    "=": Operator.EQUALS,
    "==": Operator.EQUALS,
    "!=": Operator.NOT_EQUALS,
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    ">": Operator.GREATER_THAN,
    "<": Operator.LESS_THAN,
}
_PUNCTUATION = frozenset({"", "=", "==", "!=", "!", "(", ")", ",", "<", ">"})
_WORD = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")


def parse(text: str) -> Selector:
    """Text such as "app=web,tier in (a,b),!canary" -> its selector; "" selects everything.

    Raises ValueError in Kubernetes' words.
    """
    return Selector(tuple(_Parser(text).requirements())) if text.strip() else EVERYTHING


def from_label_selector(selector: LabelSelector | None) -> Selector | None:
    """An object's selector; None (absent) selects nothing, an empty one everything. Raises ValueError."""
    if selector is None:
        return None
    found = [Requirement(key, Operator.IN, (value,)) for key, value in sorted(selector.matchLabels.items())]
    for expression in selector.matchExpressions:
        operator = _FROM_OBJECT.get(expression.operator)
        if operator is None:
            raise ValueError(f'"{expression.operator}" is not a valid label selector operator')
        found.append(_checked(expression.key, operator, tuple(expression.values)))
    return Selector(tuple(found))


def of(labels: Mapping[str, str]) -> Selector:
    """The selector that asks for exactly these labels."""
    return Selector(tuple(Requirement(key, Operator.EQUALS, (labels[key],)) for key in sorted(labels)))


class _Parser:
    """Recursive descent over the words; "" stands for the end of the text."""

    def __init__(self, text: str) -> None:
        self._words: list[str] = [*_WORD.findall(text), ""]
        self._position = 0

    def requirements(self) -> Iterator[Requirement]:
        while True:
            if not self._at_identifier() and self._peek() != "!":
                raise ValueError(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
            try:
                yield self._requirement()
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from None
            word = self._next()
            if word == "":
                return
            if word != ",":
                raise ValueError(f"found '{word}', expected: ',' or 'end of string'")
            if not self._at_identifier() and self._peek() != "!":
                raise ValueError(f"found '{self._peek()}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._next()
        if not self._at_identifier():
            raise ValueError(f"found '{self._peek()}', expected: identifier")
        key = self._next()
        if absent:
            return _checked(key, Operator.DOES_NOT_EXIST, ())
        if self._peek() in ("", ","):
            return _checked(key, Operator.EXISTS, ())
        word = self._next()
        operator = _BINARY.get(word)
        if operator is None:
            raise ValueError(f"found '{word}', expected: in, notin, =, ==, !=, >, <")
        many = operator in (Operator.IN, Operator.NOT_IN)
        return _checked(key, operator, self._values() if many else (self._exact_value(),))

    def _exact_value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        if not self._at_identifier():
            raise ValueError(f"found '{self._peek()}', expected: identifier")
        return self._next()

    def _values(self) -> tuple[str, ...]:
        word = self._next()
        if word != "(":
            raise ValueError(f"found '{word}' expected: '('")
        values = [""]
        while (word := self._next()) != ")":
            if word == ",":
                values.append("")
            elif word not in _PUNCTUATION and not values[-1]:
                values[-1] = word
            else:
                raise ValueError(f"found '{word}', expected: ',', ')' or identifier")
        return tuple(dict.fromkeys(values))

    def _at_identifier(self) -> bool:
        return self._peek() not in _PUNCTUATION

    def _peek(self) -> str:
        return self._words[self._position]

    def _next(self) -> str:
        word = self._words[self._position]
        self._position = min(self._position + 1, len(self._words) - 1)
        return word


def _checked(key: str, operator: Operator, values: tuple[str, ...]) -> Requirement:
    problems = [f'"{key}": {problem}' for problem in names.qualified_name(key)]
    for value in values:
        problems += [f'values of "{key}": "{value}": {problem}' for problem in names.label_value(value)]
    if operator in (Operator.IN, Operator.NOT_IN) and not values:
        problems.append("for 'in', 'notin' operators, values set can't be empty")
    if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and values:
        problems.append("values set must be empty for exists and does not exist")
    if operator in (Operator.GREATER_THAN, Operator.LESS_THAN) and not _is_integer(values[0]):
        problems.append("for 'Gt', 'Lt' operators, the value must be an integer")
    if problems:
        raise ValueError("; ".join(problems))
    return Requirement(key, operator, values)


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,19}", text) is not None
