"""Where data may be handled: jurisdictions, and the ladder of locations that a target's attempts move down."""

from collections.abc import Iterable, Sequence

NOT_IN_THE_EU = ("europe-west2", "europe-west6", "eu-west-2", "eu-central-2")  # London and Zurich, at Google and at AWS
Residency = Sequence[Sequence[str]]
"""Lists of places, one for each config that has a say. A location must fit one place of each."""


def same_jurisdiction(location: str, other: str) -> bool:
    """Data that may be handled at `location` may be handled at `other`."""
    if location in ("global", other):
        return True
    if location == "eu":
        return other.startswith(("europe-", "eu-")) and other not in NOT_IN_THE_EU
    return location == "us" and other.startswith("us-")


def within(location: str, residency: Residency) -> bool:
    """Whether a residency allows a location. `global` is nowhere in particular, so none allows it."""
    return all(any(same_jurisdiction(place, location) for place in places) for places in residency)


def ladder(own: Iterable[str], residency: Residency, first: str | None = None) -> list[str]:
    """A target's locations in the order they are tried, `first` before its own."""
    wished = dict.fromkeys([first, *own] if first else own)
    return [location for location in wished if within(location, residency)]
