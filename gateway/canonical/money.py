"""Money is integers: a price is pico-dollars per token (= micro-dollars per million tokens), an amount nano-dollars."""

from decimal import Decimal

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
