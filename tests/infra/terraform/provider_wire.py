"""Messages of terraform's plugin protocol 5, as much of them as a stand-in provider needs: written and read by field number.

Source: `docs/plugin-protocol/tfplugin5.proto` in the terraform repository (version 5.9, read 2026-11-21).
"""

from collections.abc import Iterator
from typing import Any

import msgspec

UNKNOWN = msgspec.msgpack.Ext(0, b"\x00")  # what a value is before it is known
LIST = 2  # NestedBlock.NestingMode
ERROR = 1  # Diagnostic.Severity
FILLED_IN = ("id", "address")  # arguments that the provider gives a value if they are left out

Fields = dict[int, list[Any]]
Json = dict[str, Any]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(*fields: tuple[int, bytes | str | int | bool]) -> bytes:
    """Fields in order; a number or truth is a varint, the rest has its length before it."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(int(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def read_message(data: bytes) -> Fields:
    fields: Fields = {}
    for number, value in _read(data):
        fields.setdefault(number, []).append(value)
    return fields


def _read(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == 0:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, at = _read_varint(data, at)
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {tag & 7} is not used by this protocol")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def dynamic_value(value: Any) -> bytes:
    return message((1, msgspec.msgpack.encode(value)))


def read_value(data: bytes) -> Any:
    """A DynamicValue; unknown parts stay `Ext`."""
    fields = read_message(data)
    return msgspec.msgpack.decode(fields[1][0]) if 1 in fields else msgspec.json.decode(fields[2][0])


def diagnostic(summary: str, detail: str) -> bytes:
    return message((1, ERROR), (2, summary), (3, detail))


def schema(arguments: Json, computed: Json) -> bytes:
    return message((2, _block(arguments, computed)))


def _block(arguments: Json, computed: Json) -> bytes:
    rows = {name: row for name, row in arguments.items() if "block" not in row}
    rows |= {name: {"type": kind, "computed": True} for name, kind in computed.items()}
    nested = {name: row for name, row in arguments.items() if "block" in row}
    return message(
        *((2, _attribute(name, row)) for name, row in sorted(rows.items())),
        *((3, _nested(name, row)) for name, row in sorted(nested.items())),
    )


def _attribute(name: str, row: Json) -> bytes:
    fields: list[tuple[int, Any]] = [(1, name), (2, msgspec.json.encode(_type(row["type"])))]
    if row.get("computed") or (name in FILLED_IN and not row.get("required")):
        fields.append((6, True))
    if not row.get("computed"):
        fields.append((4, True) if row.get("required") else (5, True))
    return message(*fields, *([(10, True)] if name.endswith("_wo") else []))


def _type(kind: str) -> Any:
    if kind == "any":
        return "dynamic"
    outer, _, inner = kind.partition("(")
    return [outer, inner.rstrip(")")] if inner else outer


def _nested(name: str, row: Json) -> bytes:
    fields: list[tuple[int, Any]] = [(1, name), (2, _block(row["block"], row.get("computed", {}))), (3, LIST)]
    if row.get("required"):
        fields.append((4, 1))
    return message(*fields, *([] if row.get("many") else [(5, 1)]))
