"""A JSON object whose members are dropped and put while every other byte stays as it was sent."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.json_object import JsonObject, NotAnObject, drop_from_items

SPACES = st.text(" \t\r\n", max_size=3)
NUMBERS = st.sampled_from(["0", "-0", "1.0", "1e5", "1E+05", "-12.50", "0.1", "12345678901234567890", "1e-7"])
SCALARS = st.one_of(st.none(), st.booleans(), st.text(max_size=8)).map(lambda v: json.dumps(v)) | NUMBERS
NAMES = st.text(max_size=6) | st.sampled_from(["model", "messages", "stream", "é", "\u0000", 'q"uote', "back\\slash"])


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> str:
    """JSON as odd clients write it: any whitespace, escaped or bare characters, numbers in every spelling."""
    kind = draw(st.sampled_from(["scalar", "string", "array", "object"] if depth else ["scalar", "string"]))
    if kind == "scalar":
        return draw(SCALARS)
    if kind == "string":
        return json.dumps(draw(st.text(max_size=10)), ensure_ascii=draw(st.booleans()))
    inner = draw(st.lists(texts(depth - 1), max_size=3))
    space = draw(SPACES)
    if kind == "array":
        return "[" + space + f"{space},{space}".join(inner) + space + "]"
    return "{" + space + ",".join(f'"k{i}"{space}:{space}{value}' for i, value in enumerate(inner)) + space + "}"


@st.composite
def members(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Names with their values' JSON; names are distinct."""
    names = draw(st.lists(NAMES, max_size=6, unique=True))
    return [(name, draw(texts())) for name in names]


@st.composite
def documents(draw: st.DrawFn, pairs: st.SearchStrategy[list[tuple[str, str]]]) -> tuple[list[tuple[str, str]], bytes]:
    chosen = draw(pairs)
    ascii_only = draw(st.booleans())
    pieces = [
        draw(SPACES) + json.dumps(name, ensure_ascii=ascii_only) + draw(SPACES) + ":" + draw(SPACES) + value + draw(SPACES)
        for name, value in chosen
    ]
    body = draw(SPACES) + "{" + (",".join(pieces) or draw(SPACES)) + "}" + draw(SPACES)
    return chosen, body.encode("utf-8", "surrogatepass")


def decodable(body: bytes) -> bool:
    try:
        json.loads(body.decode())
    except ValueError:
        return False
    return True


@given(documents(members()))
@settings(max_examples=150, deadline=None)
def test_an_object_that_is_not_edited_keeps_every_byte(document: tuple[list[tuple[str, str]], bytes]) -> None:
    """Passing a body on unchanged means exactly that."""
    chosen, body = document
    parsed = JsonObject(body)
    assert parsed.edited() == parsed.source == body
    assert parsed.names() == [name for name, _ in chosen]
    for name, value in chosen:
        assert parsed.raw(name) == value.encode()
        assert name in parsed


@given(documents(members()), st.data())
@settings(max_examples=200, deadline=None)
def test_dropping_and_putting_leaves_the_bytes_of_every_other_member(
    document: tuple[list[tuple[str, str]], bytes], data: st.DataObject
) -> None:
    """Prompts, numbers and signatures are never written anew."""
    chosen, body = document
    names = [name for name, _ in chosen]
    drop = data.draw(st.sets(st.sampled_from(names))) if names else set()
    new = data.draw(st.dictionaries(st.sampled_from([*names, "added", "model"]), st.sampled_from([b'"x"', b"true", b"[1 ,2]"])))
    put = {name: value for name, value in new.items() if name not in drop}
    edited = JsonObject(body).edited(drop=drop, put=put)
    expected: dict[str, bytes] = {name: value.encode() for name, value in chosen if name not in drop} | put
    again = JsonObject(edited)
    assert {name: again.raw(name) for name in again.names()} == expected
    kept = [name for name in names if name not in drop]
    assert [name for name in again.names() if name in kept] == kept, "the order of what was sent stays"
    assert list(json.loads(edited)) == again.names()


@given(members(), st.data())
@settings(max_examples=150, deadline=None)
def test_of_a_member_sent_twice_only_the_last_counts_and_goes_on(chosen: list[tuple[str, str]], data: st.DataObject) -> None:
    """Nobody smuggles a second `model` past the gateway to a parser that prefers the first."""
    twice = [("model", '"claude-cheap"'), *chosen, ("model", '"claude-dear"')]
    spelt = data.draw(st.sampled_from(['"model"', '"\\u006dodel"', '"mo\\u0064el"']))
    pieces = [f"{spelt if place == 0 else json.dumps(name)}: {value}" for place, (name, value) in enumerate(twice)]
    body = ("{" + ", ".join(pieces) + "}").encode()
    parsed = JsonObject(body)
    assert parsed.value("model") == "claude-dear"
    for result in (parsed.source, parsed.edited(), parsed.edited(put={"stream": b"true"})):
        seen: list[str] = []
        json.loads(result, object_pairs_hook=lambda pairs, seen=seen: seen.extend(n for n, _ in pairs) or dict(pairs))  # type: ignore[misc]
        assert seen.count("model") == 1
    assert b"claude-" not in parsed.edited(drop=("model",))


def test_equal_duplicates_are_sent_once_too() -> None:
    """Two members with the same bytes are still two members."""
    assert JsonObject(b'{"a":1,"a":1}').edited() == b'{"a":1}'
    assert JsonObject(b'{"a":1,"b":2,"a":1}').source.count(b'"a"') == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"   ", "truncated"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
        (b"12", "not an object"),
        (b"{", "truncated"),
        (b'{"a"', "truncated"),
        (b'{"a":[1,2', "truncated"),
        (b'{"a":1,}', "byte 7"),
        (b'{"a":NaN}', "byte 5"),
        (b'{"a":-Infinity}', "not valid JSON"),
        (b'{"a":01}', "number"),
        (b"{'a':1}", "keys must be strings"),
        (b'{"a":1} {"b":2}', "trailing"),
        (b'{"a":1/* c */}', "byte 6"),
        (b'{"a":"\x01"}', "byte 6"),
        (b'{"a":"\\x41"}', "escape"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"\xff"}', "not UTF-8 (byte 6)"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "not valid JSON"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too deeply"),
        (b'{"a":' * 50_000, "too deeply"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_object_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    """Never a traceback: the caller reads what is wrong and what would be right."""
    with pytest.raises(NotAnObject) as refused:
        JsonObject(body)
    assert words in str(refused.value)
    assert "; send " in str(refused.value)


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    """There is no third way out."""
    try:
        parsed = JsonObject(body)
    except NotAnObject:
        return
    assert isinstance(json.loads(body), dict)
    assert parsed.edited() == parsed.source


@given(documents(members()), st.integers(0, 400), st.sampled_from([b"", b"\x00", b"\xff", b'"', b"}", b","]))
@settings(max_examples=200, deadline=None)
def test_a_damaged_object_is_an_object_or_refused(
    document: tuple[list[tuple[str, str]], bytes], place: int, noise: bytes
) -> None:
    """Damage anywhere is met with the same two answers."""
    _, body = document
    damaged = body[:place] + noise + body[place + 1 :]
    try:
        parsed = JsonObject(damaged)
    except NotAnObject:
        return
    assert decodable(parsed.edited(put={"model": b'"m"'}))


@pytest.mark.parametrize("value", [b"1e999", b"-1e999"])
def test_a_value_without_meaning_is_refused_when_it_is_read(value: bytes) -> None:
    """It may pass on unread, but reading it is no crash."""
    parsed = JsonObject(b'{"a":' + value + b"}")
    assert parsed.edited() == b'{"a":' + value + b"}"
    with pytest.raises(NotAnObject, match="a: cannot be read"):
        parsed.value("a")


def test_a_missing_member_has_its_default() -> None:
    """`None` stands for a member that is not there; null is one that is."""
    parsed = JsonObject(b'{"a":null}')
    assert parsed.value("b", 7) == 7
    assert parsed.value("a", 7) is None
    with pytest.raises(KeyError):
        parsed.raw("b")


@pytest.mark.parametrize(
    ("body", "drop", "put", "edited"),
    [
        (b'{"a":1}', ("a",), {}, b"{}"),
        (b'{ "a" : 1 }', ("a",), {"b": b"2"}, b'{ "b":2 }'),
        (b"{}", (), {"b": b"2"}, b'{"b":2}'),
        (b"{ }", (), {"b": b"2"}, b'{"b":2}'),
        (b'{"a":1 , "b":2,\n"c":3}', ("b",), {}, b'{"a":1 , "c":3}'),
        (b'{"a":1,"b":2}', ("a",), {"a2": b"3"}, b'{"a2":3,"b":2}'),
        (b'{"a":1,"b":2}', (), {"b": b"9"}, b'{"a":1,"b":9}'),
    ],
)
def test_edits_look_as_a_person_would_write_them(
    body: bytes, drop: tuple[str, ...], put: dict[str, bytes], edited: bytes
) -> None:
    """In place where a member exists, at the front where it does not, with the separators that were there."""
    assert JsonObject(body).edited(drop=drop, put=put) == edited


@given(st.lists(texts() | st.just('{"x" : 1,"y":2}') | st.just('{"x":{}}'), max_size=6), SPACES)
@settings(max_examples=150, deadline=None)
def test_dropping_from_items_touches_only_the_items_that_have_it(items: list[str], space: str) -> None:
    """A message without the member keeps its bytes, its neighbours' separators too."""
    array = ("[" + space + f"{space},{space}".join(items) + space + "]").encode()
    shorter, changed = drop_from_items(array, "x")
    concerned = [isinstance(value, dict) and "x" in value for value in json.loads(array)]
    assert changed == sum(concerned)
    if not changed:
        assert shorter == array
    expected: list[Any] = json.loads(array)
    for value, has in zip(expected, concerned, strict=True):
        if has:
            del value["x"]
    assert json.loads(shorter) == expected
    for item, has in zip(items, concerned, strict=True):
        assert has or item.encode() in shorter


def test_dropping_from_items_sees_names_not_texts() -> None:
    """A prompt that speaks of `output_config` is a prompt."""
    array = b'[{"content":"\\"output_config\\": yes"},{"output_config" : {"effort":"low"} , "role":"user"}, 3]'
    shorter, changed = drop_from_items(array, "output_config")
    assert (changed, shorter) == (1, b'[{"content":"\\"output_config\\": yes"},{"role":"user"}, 3]')


def test_dropping_from_what_is_no_array_is_refused() -> None:
    """An error with a name, not one of the JSON library's."""
    with pytest.raises(NotAnObject):
        drop_from_items(b'{"a":1}', "a")


def test_a_long_prompt_is_not_decoded_to_be_edited() -> None:
    """Editing costs about as much as copying: 5 MB take milliseconds, and no member but the asked one is read."""
    body = b'{"model":"m","messages":[{"role":"user","content":"' + b"a" * 5_000_000 + b'"}],"n":1e999}'
    edited = JsonObject(body).edited(drop=("model",), put={"anthropic_version": b'"v"'})
    assert edited == b'{"anthropic_version":"v",' + body[len(b'{"model":"m",') :]
