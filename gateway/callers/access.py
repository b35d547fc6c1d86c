"""Which models a caller may use: globs of the key and of its project, both must agree."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from gateway.canonical.call import Caller


def may_use(caller: Caller, names: Iterable[str]) -> bool:
    """Whether any of a model's names (as asked, canonical, the provider's own) is allowed by key and project alike."""
    lowered = [name.lower() for name in names]
    return all(matches(globs, lowered) for globs in (caller.key_models, caller.project_models))


def matches(globs: Iterable[str] | None, names: Iterable[str]) -> bool:
    """`None` allows everything, an empty list nothing."""
    return globs is None or any(fnmatchcase(name, glob.lower()) for glob in globs for name in names)
