"""The shapes that several objects share, as JSON Schema says them. What they mean is checked by administration."""

from typing import Annotated

from msgspec import Meta

from gateway.administration.checks import LABEL, LINE, LIST_MAX, WORD


def whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


Id = Annotated[
    str, Meta(pattern=whole("[a-z][a-z0-9-]{1,62}"), description="Lower-case letters, digits, hyphens", examples=["acme"])
]
Line100 = Annotated[str, Meta(pattern=whole(LINE.pattern), max_length=100, description="One line of text")]
Line128 = Annotated[str, Meta(pattern=whole(LINE.pattern), max_length=128)]
Line500 = Annotated[str, Meta(pattern=whole(LINE.pattern), max_length=500, description="One line of text")]
Word64 = Annotated[str, Meta(pattern=whole(WORD.pattern), max_length=64)]
Word128 = Annotated[str, Meta(pattern=whole(WORD.pattern), max_length=128)]
User = Annotated[
    str,
    Meta(pattern=whole(WORD.pattern), max_length=256, description="Upper and lower case are one", examples=["ana@example.com"]),
]
Label = Annotated[str, Meta(pattern=whole(LABEL.pattern))]
Globs = Annotated[
    list[Word128],
    Meta(max_length=LIST_MAX, description="Patterns of model names; null allows all, [] none", examples=[["claude-*"]]),
]
Groups = Annotated[list[Word128], Meta(max_length=LIST_MAX)]
ProviderIds = Annotated[
    list[Annotated[str, Meta(pattern="^@?[a-z][a-z0-9-]{1,62}$")]],
    Meta(max_length=LIST_MAX, description="In order; null: every provider there is", examples=[["vertex-prod"]]),
]
Metadata = Annotated[
    dict[Label, Line128],
    Meta(max_length=32, description="Labels of every call, copied to its record", examples=[{"team": "core"}]),
]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="RFC 3339; answers are in UTC")]
Warnings = Annotated[list[str], Meta(description="What is probably a slip of the pen")]
