"""What commands print: the admin object as JSON, or a plain table. No colours, so that everything can be piped."""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from gateway.canonical.store import Json

CELL_MAX = 60


def show(answer: Json, style: str, columns: Sequence[str] = ()) -> None:
    """One object, or a list of them (`data`) with these columns."""
    if style == "json":
        show_json(answer)
    elif "data" in answer:
        show_table(answer["data"], columns)
    else:
        show_object(answer)


def show_json(answer: Any) -> None:
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def show_object(answer: Mapping[str, Any]) -> None:
    """One field a line; warnings go to stderr."""
    width = max(len(name) for name in answer)
    for name, value in answer.items():
        if name != "warnings":
            click.echo(f"{name.ljust(width)}  {_cell(value)}")
    for warning in answer.get("warnings", ()):
        click.echo(f"warning: {warning}", err=True)


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Numbers to the right, everything else to the left; nothing is cut off when it is piped."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        cells = [[cell if len(cell) <= CELL_MAX else cell[: CELL_MAX - 1] + "…" for cell in line] for line in cells]
    widths = [max(len(line[place]) for line in [list(columns), *cells]) for place in range(len(columns))]
    right = [_are_numbers([row.get(column) for row in rows]) for column in columns]
    for line in [list(columns), *cells]:
        padded = [_pad(cell, widths[place], right[place]) for place, cell in enumerate(line)]
        click.echo("  ".join(padded).rstrip())


def show_findings(answer: Json, style: str) -> None:
    """What was examined, each with its mend below it."""
    if style == "json":
        show_json(answer)
        return
    for finding in answer["data"]:
        click.echo(f"{finding['state']:<5} {finding['subject']}: {finding['words']}")
        if finding["mend"]:
            click.echo(f"      → {finding['mend']}")


def show_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """RFC 4180, but for line feeds alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if row.get(column) is None else row[column] for column in columns] for row in rows])
    click.echo(text.getvalue(), nl=False)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_cell(member)}" for name, member in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value)) or "-"
    return str(value)


def _pad(cell: str, width: int, to_right: bool) -> str:
    return cell.rjust(width) if to_right else cell.ljust(width)


def _are_numbers(values: Sequence[Any]) -> bool:
    """Of those there are, all."""
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(value, int | float) or _is_decimal(value) for value in there)


def _is_decimal(value: Any) -> bool:
    return isinstance(value, str) and value.replace(".", "", 1).isdecimal()
