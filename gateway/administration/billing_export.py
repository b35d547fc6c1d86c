"""Google's bill, as BigQuery exports it: rows read from CSV or JSON, and what they say they are for.

Columns: `service.description`, `sku.description`, `usage_start_time`, `cost`, `credits`, `project.id`, `usage.amount`,
`currency`; others are passed over.
Names with underscores in place of dots are the same: CSV cannot nest, so that a query has to rename them.
Source: Cloud Billing standard usage cost export, schema of `gcp_billing_export_v1_…`, read 2026-11-21.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from gateway.administration.refusals import invalid
from gateway.canonical.money import NANO_PER_DOLLAR
from gateway.catalog.models import all_models

FAULTS_SHOWN = 5
CLASSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("cache_read", re.compile(r"\bcach\w*\b.*\b(?:read|hit)|\b(?:read|hit)\w*\b.*\bcach|\bcached input\b")),
    ("cache_write_1h", re.compile(r"\bcach.*\b(?:1 ?h\b|1 ?hour|one hour|60 ?min)")),
    ("cache_write_5m", re.compile(r"\bcach")),
    ("searches", re.compile(r"\b(?:web )?search")),
    ("output", re.compile(r"\boutput|\bresponse")),
    ("input", re.compile(r"\binput|\bprompt")),
)
"""What a SKU bills, by the words of its description; the first that agrees."""


@dataclass(frozen=True, slots=True)
class BillRow:
    """One row. Money in nano-dollars; `credits_nanodollars` is negative, as Google writes it. `amount` in the SKU's own unit."""

    day: date
    service: str
    sku: str
    project: str
    cost_nanodollars: int
    credits_nanodollars: int
    amount: Decimal


def parse_billing_export(text: str) -> list[BillRow]:
    """CSV with a header, a JSON array, or one JSON object a line. AdminError `invalid` says which rows cannot be read."""
    rows: list[BillRow] = []
    faults: list[str] = []
    for place, record in enumerate(_records(text.removeprefix("\ufeff")), start=1):
        try:
            rows.append(_row(record))
        except ValueError as error:
            faults.append(f"row {place}: {error}")
            if len(faults) == FAULTS_SHOWN:
                break
    if faults:
        raise invalid(faults)
    if not rows:
        raise invalid(["the billing export has no rows; export gcp_billing_export_v1_… as CSV or JSON"])
    return rows


def model_of(sku: str) -> str | None:
    """The catalog's model that a SKU is for: the longest name that stands in its description.

    >>> model_of("Claude Sonnet 4.5 Input Tokens - Global")
    'claude-sonnet-4-5'
    """
    words = f" {_plain(sku)} "
    return next((model for name, model in _names() if f" {name} " in words), None)


def class_of(sku: str) -> str | None:
    """The token class that a SKU bills, or `searches`; None if its words do not tell."""
    words = _plain(sku)
    return next((name for name, pattern in CLASSES if pattern.search(words)), None)


def _records(text: str) -> Iterator[Mapping[str, Any]]:
    start = text.lstrip()[:1]
    if start not in ("[", "{"):
        yield from csv.DictReader(io.StringIO(text))
        return
    try:
        if start == "[":
            found = json.loads(text, parse_float=Decimal)
        else:
            found = [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise invalid([f"the billing export is no JSON ({error}); use an array, or one object a line"]) from error
    for record in found:
        if not isinstance(record, dict):
            raise invalid(["the billing export holds something else than objects; use the rows as BigQuery exports them"])
        yield record


def _row(record: Mapping[str, Any]) -> BillRow:
    fields = dict(_flat(record))
    currency = str(fields.get("currency") or "USD")
    if currency != "USD":
        raise ValueError(f"currency: {currency[:10]!r} is not USD; export in US dollars (`cost / currency_conversion_rate`)")
    return BillRow(
        day=_day(_required(fields, "usage_start_time")),
        service=str(fields.get("service_description") or ""),
        sku=str(_required(fields, "sku_description")),
        project=str(fields.get("project_id") or ""),
        cost_nanodollars=_nanodollars(_required(fields, "cost"), "cost"),
        credits_nanodollars=_credits(fields),
        amount=_decimal(fields.get("usage_amount") or 0, "usage.amount"),
    )


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        plain = prefix + re.sub(r"[^a-z0-9]+", "_", str(name).strip().lower())
        if isinstance(value, Mapping):
            yield from _flat(value, plain + "_")
        else:
            yield plain, value


def _required(fields: Mapping[str, Any], name: str) -> Any:
    value = fields.get(name)
    if value is None or value == "":
        raise ValueError(f"{name}: is missing; select service.description, sku.description, usage_start_time, cost and credits")
    return value


def _day(value: Any) -> date:
    """`2026-11-20 08:00:00 UTC`, RFC 3339, or unix seconds."""
    text = str(value).strip().removesuffix(" UTC")
    try:
        moment = datetime.fromtimestamp(float(text), UTC) if re.fullmatch(r"[\d.Ee+]+", text) else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"usage_start_time: {text[:40]!r} is no time such as 2026-11-20 08:00:00 UTC") from None
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()


def _credits(fields: Mapping[str, Any]) -> int:
    """A list of credits, the same as text, or their sum."""
    value = next((fields[name] for name in ("credits", "credits_amount", "credit") if fields.get(name) not in (None, "")), 0)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value, parse_float=Decimal)
        except ValueError:
            raise ValueError(f"credits: {value[:40]!r} is no list of credits") from None
    if isinstance(value, list):
        return sum(_nanodollars(each.get("amount", 0), "credits.amount") for each in value if isinstance(each, Mapping))
    return _nanodollars(value, "credits")


def _nanodollars(value: Any, name: str) -> int:
    return round(_decimal(value, name) * NANO_PER_DOLLAR)


def _decimal(value: Any, name: str) -> Decimal:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{name}: {str(value)[:40]!r} is no number") from None
    if not number.is_finite() or abs(number) > 10**15:
        raise ValueError(f"{name}: {str(value)[:40]!r} is no amount")
    return number


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())


@lru_cache(maxsize=1)
def _names() -> list[tuple[str, str]]:
    """Every model's name as it may stand in a SKU, the longest first."""
    names = {_plain(name): model.id for model in all_models() for name in (model.id, model.display_name)}
    return sorted(names.items(), key=lambda entry: -len(entry[0]))
