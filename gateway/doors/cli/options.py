"""Options that several commands share."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gateway.administration.times import parse_span_s
from gateway.canonical.store import Json

F = TypeVar("F", bound=Callable[..., Any])


def style_option(*more: str) -> Callable[[F], F]:
    """`--format table|json`."""
    choices = click.Choice(["table", "json", *more])
    return click.option(
        "--format", "style", type=choices, default="table", show_default=True, help="json: the admin API's object"
    )


class Pairs(click.ParamType[tuple[str, str]]):
    """`name=value`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, separator, text = value.partition("=")
        if not separator or not name:
            self.fail(f"{value!r} should be name=value", param, ctx)
        return name, text


class Span(click.ParamType[int]):
    """`3600`, `1h`, `7d`: seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_span_s(value)
        except ValueError as error:
            self.fail(f"{value!r} should be {error}", param, ctx)


class Cap(click.ParamType[Json]):
    """`500/month`, `500`, `unlimited/day`: an amount, and the period it is for."""

    name = "amount/period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Json:
        if not isinstance(value, str):
            return dict(value)
        amount, separator, period = value.partition("/")
        if not amount or (separator and not period):
            self.fail(f"{value!r} should be an amount, or an amount and a period such as 500/month", param, ctx)
        cap: Json = {"amount": None if amount == "unlimited" else amount}
        return {**cap, "period": period} if period else cap


def page_options(command: F) -> F:
    """`--limit` and `--cursor`, as the lists of the admin API have them."""
    command = click.option("--cursor", help="next_cursor of the page before")(command)
    return click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)(command)


def unset_option(*names: str) -> Callable[[F], F]:
    """`--unset FIELD`: back to its default, which no other option can say."""
    return click.option("--unset", multiple=True, type=click.Choice(names), help="back to the default")


def given(unset: Sequence[str] = (), defaults: Json | None = None, **options: Any) -> Json:
    """The options that were used, as fields; pairs become objects. What is unset takes its default."""
    fields: Json = {name: (defaults or {})[name] for name in unset}
    for name, value in options.items():
        if isinstance(value, tuple):
            if not value:
                continue
            value = dict(value) if isinstance(value[0], tuple) else list(value)
        if value is not None:
            fields[name] = value
    return fields
