"""From the text of a template to the steps that the evaluator takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"(?:\\.|[^\s.,\[\]$@{}\\])*")
"""A key or a word: it ends before any of ` .,[]$@{}`, which a backslash makes part of it."""

NUMBER = re.compile(r"[+-]?[\d.]+")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

KEY_IN_BRACKETS = re.compile(r"'([^']*)'")
SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+)", re.DOTALL)


class JSONPathError(ValueError):
    """A template that cannot be read, or one that does not fit the object. The message says where and why."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Text, a number or a truth value that stands for itself."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Field:
    name: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*`"""


@dataclass(frozen=True, slots=True)
class Descent:
    """`..`: the value itself and everything below it that has something below it."""


@dataclass(frozen=True, slots=True)
class Slice:
    """`[start:stop:step]`; `single` marks a plain index such as `[-1]`."""

    start: int | None
    stop: int | None
    step: int | None
    single: bool = False


@dataclass(frozen=True, slots=True)
class Union:
    """`[0,2]` or `['a','b']`"""

    branches: tuple[tuple[Step, ...], ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(left operator right)]`; the operator is empty when only existence is asked for."""

    left: tuple[Step, ...]
    operator: str = ""
    right: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """`{range path}body{end}`"""

    path: tuple[Step, ...]
    body: Template


Step = Literal | Field | Wildcard | Descent | Slice | Union | Filter
Template = tuple["str | tuple[Step, ...] | Range", ...]
"""Text, paths and ranges in the order in which they print."""


def relax(text: str) -> str:
    """The braces that custom columns, --sort-by and `wait --for=jsonpath` let people leave out.

    Raises JSONPathError for anything but one path.
    """
    match = re.fullmatch(r"\{\.?([^{}]+)\}|\.?([^{}]+)", text)
    if match is None:
        raise JSONPathError(
            f"unexpected path {text!r}: expected 'name1.name2', '.name1.name2', '{{name1.name2}}' or '{{.name1.name2}}'"
        )
    return "{." + (match[1] or match[2]) + "}"


def parse(text: str) -> Template:
    """Read a whole template. Raises JSONPathError."""
    return _Reader(text).template(inside_range=False)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _next(self) -> str:
        """The next character, or nothing at the end."""
        char = self._text[self._at : self._at + 1]
        self._at += 1
        return char

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise self._error(f"unexpected {self._text[self._at : self._at + 1]!r}")
        self._at = match.end()
        return match[0]

    def _error(self, problem: str) -> JSONPathError:
        return JSONPathError(f"error parsing jsonpath {self._text}, {problem}")

    def template(self, *, inside_range: bool) -> Template:
        parts: list[str | tuple[Step, ...] | Range] = []
        while self._at < len(self._text):
            brace = self._text.find("{", self._at)
            end_of_text = len(self._text) if brace < 0 else brace
            if end_of_text > self._at:
                parts.append(self._text[self._at : end_of_text])
            self._at = end_of_text + 1
            if brace < 0:
                break
            word, path = self.action()
            if word == "end":
                if not inside_range:
                    raise self._error("not in range, nothing to end")
                break
            parts.append(Range(path, self.template(inside_range=True)) if word == "range" else path)
        return tuple(parts)

    def action(self) -> tuple[str, tuple[Step, ...]]:
        """One action up to its closing brace: its keyword (range, end or none) and its path."""
        keyword = ""
        steps: list[Step] = []
        while (char := self._next()) != "}":
            if char in ("", "\n"):
                raise self._error("unclosed action")
            if char in " @$":
                continue
            if char in "+-" or char.isdigit():
                self._at -= 1
                steps.append(self._number())
            elif char.isalpha() or char == "_":
                self._at -= 1
                keyword = self._word(steps) or keyword
            else:
                self._step(char, steps)
        return keyword, tuple(steps)

    def _step(self, char: str, steps: list[Step]) -> None:
        if char == ".":
            self._dotted(steps)
        elif char == "[":
            self._bracket(steps)
        elif char in "\"'":
            steps.append(Literal(self._quoted(char)))
        else:
            raise self._error(f"unrecognized character in action: {char!r}")

    def _number(self) -> Literal:
        text = self._take(NUMBER)
        for read in (int, float):
            try:
                return Literal(read(text))
            except ValueError:
                pass
        raise self._error(f"cannot parse number {text}")

    def _word(self, steps: list[Step]) -> str:
        word = self._take(NAME)
        if word in ("range", "end"):
            return word
        if word not in ("true", "false"):
            raise self._error(f"unrecognized identifier {word}")
        steps.append(Literal(word == "true"))
        return ""

    def _dotted(self, steps: list[Step]) -> None:
        following = self._text[self._at : self._at + 1]
        if following == ".":
            self._at += 1
            if steps and steps[-1] == Descent():
                raise self._error("invalid multiple recursive descent")
            steps.append(Descent())
        name = self._take(NAME).replace("\\", "")
        if name:
            steps.append(Wildcard() if name == "*" else Field(name))

    def _quoted(self, quote: str) -> str:
        out = ""
        while (char := self._next()) != quote:
            if char in ("", "\n"):
                raise self._error("unterminated quoted string")
            if char == "\\":
                escaped = self._next()
                char = ESCAPES.get(escaped, escaped)
            out += char
        return out

    def _bracket(self, steps: list[Step]) -> None:
        if self._text.startswith("?(", self._at):
            self._at += 2
            steps.append(self._filter())
            return
        end = self._text.find("]", self._at)
        if end < 0 or "\n" in self._text[self._at : end]:
            raise self._error("unterminated array")
        inside = self._text[self._at : end]
        self._at = end + 1
        branches = inside.split(",")
        if len(branches) > 1:
            steps.append(Union(tuple(self._subscript(branch.strip(" ")) for branch in branches)))
        else:
            steps.extend(self._subscript(inside))

    def _subscript(self, text: str) -> tuple[Step, ...]:
        if (key := KEY_IN_BRACKETS.fullmatch(text)) is not None:
            return _path("." + key[1])
        bounds = SLICE.fullmatch(":" if text == "*" else text)
        if bounds is None:
            raise self._error(f"invalid array index {text}")
        start, stop, step = (int(b.lstrip(":")) if b and b != ":" else None for b in bounds.groups())
        return (Slice(start, stop, step, single=bounds[2] is None),)

    def _filter(self) -> Filter:
        start = self._at
        quote = ""
        while (char := self._next()) != ")" or quote:
            if char in ("", "\n"):
                raise self._error("unterminated filter")
            if char == "\\" and quote:
                self._at += 1
            elif char == quote:
                quote = ""
            elif char in "\"'" and not quote:
                quote = char
        text = self._text[start : self._at - 1]
        if self._next() != "]":
            raise self._error("unclosed array expect ]")
        comparison = COMPARISON.fullmatch(text)
        if comparison is None:
            return Filter(_path(text))
        return Filter(_path(comparison[1]), comparison[2], _path(comparison[3]))


def _path(text: str) -> tuple[Step, ...]:
    return _Reader(text + "}").action()[1]
