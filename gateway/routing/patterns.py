"""Regular expressions that cannot blow up: matched by following all ways at once, in time that grows with pattern times text.

Python's own engine goes back on its steps and takes exponential time for some patterns; conditions are tried on every call,
against texts that callers choose. Known are literals, `.`, classes, `\\d \\w \\s` and their opposites, groups, `|`, `* + ? {m,n}`
(greedy or not: it makes no difference to whether something matches), `^`, `$` and a leading `(?i)`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

PATTERN_MAX = 256
STATES_MAX = 1_000
REPEAT_MAX = 100
DEPTH_MAX = 20
TEXT_MAX = 1_024
CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
    "D": lambda c: not c.isdecimal(),
    "W": lambda c: not (c.isalnum() or c == "_"),
    "S": lambda c: not c.isspace(),
}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
Test = Callable[[str], bool]
Node = tuple[Any, ...]


class PatternFault(ValueError):
    """A pattern is wrong; says what would be right."""


@dataclass(slots=True)
class _State:
    """`test` is asked of a character, `anchor` of a position; without either, all of `to` is reached at once."""

    test: Test | None = None
    anchor: str = ""
    to: list[int] = field(default_factory=list)


class Pattern:
    """`search`: whether any part of a text matches, as `re.search` has it. PatternFault for what is not known here."""

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_MAX:
            raise PatternFault(f"should have at most {PATTERN_MAX} characters")
        self._fold = text.startswith("(?i)")
        reader = _Reader(text.removeprefix("(?i)").lower() if self._fold else text, self._fold)
        self._states: list[_State] = []
        self._end = self._add(_State())
        self._start = self._build(reader.read(), self._end)

    def search(self, text: str) -> bool:
        """Of longer texts only the first 1,024 characters count."""
        text = text[:TEXT_MAX].lower() if self._fold else text[:TEXT_MAX]
        current: set[int] = set()
        for place in range(len(text) + 1):
            reached: set[int] = set()
            self._reach([*current, self._start], place, len(text), reached)
            if self._end in reached:
                return True
            if place < len(text):
                states, letter = self._states, text[place]
                current = {states[n].to[0] for n in reached if (test := states[n].test) is not None and test(letter)}
        return False

    def _reach(self, numbers: Iterable[int], place: int, length: int, reached: set[int]) -> None:
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number in reached:
                continue
            reached.add(number)
            state = self._states[number]
            if state.test is None and (not state.anchor or place == (0 if state.anchor == "^" else length)):
                waiting += state.to

    def _add(self, state: _State) -> int:
        if len(self._states) >= STATES_MAX:
            raise PatternFault("is too large; repeat less")
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, node: Node, then: int) -> int:
        """The state from which `node`, and after it `then`, is matched."""
        match node:
            case ("test", test):
                return self._add(_State(test=test, to=[then]))
            case ("anchor", anchor):
                return self._add(_State(anchor=anchor, to=[then]))
            case ("all", parts):
                for part in reversed(parts):
                    then = self._build(part, then)
                return then
            case ("any", parts):
                return self._add(_State(to=[self._build(part, then) for part in parts]))
            case (_, part, least, most):
                return self._repeat(part, least, most, then)
        raise AssertionError(node)

    def _repeat(self, part: Node, least: int, most: int | None, then: int) -> int:
        if most is None:
            loop = self._add(_State(to=[then]))
            self._states[loop].to.append(self._build(part, loop))
            then = loop
        else:
            end = then
            for _ in range(most - least):
                then = self._add(_State(to=[end, self._build(part, then)]))
        for _ in range(least):
            then = self._build(part, then)
        return then


class _Reader:
    """A pattern's text as nodes."""

    def __init__(self, text: str, fold: bool) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def read(self) -> Node:
        node = self._alternatives()
        if self._at < len(self._text):
            raise PatternFault("a ) closes no group; write \\) for the character")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._peek()
        self._at += 1
        return letter

    def _alternatives(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise PatternFault("is nested too deeply")
        parts = [self._sequence()]
        while self._peek() == "|":
            self._take()
            parts.append(self._sequence())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else ("any", parts)

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() and self._peek() not in "|)":
            parts.append(self._repeated(self._atom()))
        return ("all", parts)

    def _atom(self) -> Node:
        letter = self._take()
        if letter == "(":
            return self._group()
        if letter == "[":
            return ("test", self._class())
        if letter == ".":
            return ("test", lambda c: c != "\n")
        if letter in "^$":
            return ("anchor", letter)
        if letter in "*+?{":
            raise PatternFault(f"a {letter} repeats nothing; write \\{letter} for the character")
        return ("test", self._escape() if letter == "\\" else _is(letter))

    def _group(self) -> Node:
        if self._peek() == "?":
            self._take()
            if self._take() != ":":
                raise PatternFault("only groups ( ) and (?: ) are known: no look-around, names or flags inside")
        node = self._alternatives()
        if self._take() != ")":
            raise PatternFault("a ( is not closed")
        return node

    def _escape(self) -> Test:
        letter = self._take()
        if letter in CLASSES and letter:
            return CLASSES[letter]
        if not letter or (letter.isalnum() and letter not in ESCAPES):
            raise PatternFault(f"\\{letter} is not known: no back-references and no word boundaries")
        return _is(ESCAPES.get(letter, letter))

    def _class(self) -> Test:
        negated = self._peek() == "^" and bool(self._take())
        tests: list[Test] = []
        while (letter := self._take()) != "]" or not tests:
            if not letter:
                raise PatternFault("a [ is not closed")
            if letter == "\\":
                tests.append(self._escape())
            elif self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._take()
                tests.append(_between(letter, self._take()))
            else:
                tests.append(_is(letter))
        return lambda c: any(test(c) for test in tests) is not negated

    def _repeated(self, node: Node) -> Node:
        letter = self._peek()
        if not letter or letter not in "*+?{":
            return node
        self._take()
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(letter) or self._counts()
        if self._peek() == "?":
            self._take()
        if self._peek() and self._peek() in "*+?{":
            raise PatternFault("a repetition is repeated; put it into a group")
        return ("repeat", node, least, most)

    def _counts(self) -> tuple[int, int | None]:
        inside, closed, _ = self._text[self._at :].partition("}")
        least, comma, most = inside.partition(",")
        numbers = [each for each in (least, most) if each]
        if not closed or not least or not all(each.isdecimal() and int(each) <= REPEAT_MAX for each in numbers):
            raise PatternFault(f"{{m,n}} should hold numbers up to {REPEAT_MAX}; write \\{{ for the character")
        self._at += len(inside) + 1
        if not comma:
            return int(least), int(least)
        if most and int(most) < int(least):
            raise PatternFault("{m,n}: n should be no less than m")
        return int(least), int(most) if most else None


def _is(letter: str) -> Test:
    return lambda c: c == letter


def _between(first: str, last: str) -> Test:
    if last < first:
        raise PatternFault(f"[{first}-{last}] is empty; write the lesser character first")
    return lambda c: first <= c <= last
