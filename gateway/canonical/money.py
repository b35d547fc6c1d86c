"""Money is integers: a price is pico-dollars per token (= micro-dollars per million tokens), an amount nano-dollars."""

from decimal import ROUND_CEILING, Decimal

PICO_PER_NANO = 1_000
NANO_PER_DOLLAR = 1_000_000_000


def price_picodollars(dollars_per_million: str | int | float) -> int:
    """The price of one token in pico-dollars, from dollars per million tokens as price lists print them.

    >>> price_picodollars("0.025")
    25000
    """
    exact = Decimal(str(dollars_per_million)) * 1_000_000
    if exact != exact.to_integral_value() or exact < 0:
        raise ValueError(f"a price must be a non-negative multiple of 0.000001 $ per million tokens, not {dollars_per_million}")
    return int(exact)


def round_up_to_nanodollars(picodollars: int) -> int:
    """Pico-dollars to whole nano-dollars, rounded up: done once per call, at settlement."""
    return -(-picodollars // PICO_PER_NANO)


def nanodollars_from_dollars(dollars: str) -> int:
    """A decimal string of dollars to nano-dollars, rounded up."""
    return int((Decimal(dollars) * NANO_PER_DOLLAR).to_integral_value(rounding=ROUND_CEILING))


def format_dollars(nanodollars: int, *, digits: int = 9) -> str:
    """Nano-dollars as a plain decimal string of dollars, trailing zeros kept off beyond cents.

    >>> format_dollars(1_234_500_000)
    '1.2345'
    >>> format_dollars(2_000_000_000)
    '2.00'
    """
    text = f"{Decimal(nanodollars) / NANO_PER_DOLLAR:.{digits}f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
