"""The Claude models that the sandbox serves, where, and what each of them accepts (model pages as of 2026-11-20)."""

from dataclasses import dataclass, replace

MULTI_REGIONS = ("global", "us", "eu")
REGIONS = ("us-east5", "us-central1", "europe-west1", "europe-west4", "asia-southeast1")
LOW_TO_HIGH = ("low", "medium", "high")
WITH_MAX = (*LOW_TO_HIGH, "max")
ALL_EFFORTS = (*LOW_TO_HIGH, "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `thinks` says when it thinks adaptively: never, when asked, by default, or always."""

    id: str  # as in the path on Vertex AI
    regional: bool
    context_tokens: int = 1_000_000
    output_tokens_max: int = 128_000
    sampling: bool = False
    prefill: bool = False
    budget_thinking: bool = False  # thinking.type "enabled"
    thinks: str = "default"
    thinking_off: bool = False  # thinking.type "disabled"
    thinking_shown: bool = False  # display when the request names none
    bound_thinking: bool = False  # signatures hold for this model and project only
    forced_tools: bool = True
    efforts: tuple[str, ...] = ALL_EFFORTS
    structured_output: bool = True
    system_in_messages: bool = True
    cache_tokens_min: int = 512

    @property
    def answered_name(self) -> str:
        """The first-party name, which answers carry."""
        return self.id.replace("@", "-")

    @property
    def undated(self) -> str:
        return self.id.partition("@")[0]

    @property
    def thinks_adaptively(self) -> bool:
        return self.thinks != "never"


OLD = Model(
    "",
    regional=True,
    context_tokens=200_000,
    output_tokens_max=64_000,
    sampling=True,
    prefill=True,
    budget_thinking=True,
    thinks="never",
    thinking_off=True,
    thinking_shown=True,
    efforts=(),
    system_in_messages=False,
    cache_tokens_min=1024,
)
V46 = replace(
    OLD, context_tokens=1_000_000, output_tokens_max=128_000, prefill=False, thinks="asked", efforts=WITH_MAX
)  # fmt: skip
V47 = Model("", regional=False, thinks="asked", thinking_off=True, system_in_messages=False, cache_tokens_min=2048)
V5 = Model("", regional=False, thinking_off=True)
ALWAYS = Model("", regional=False, thinks="always")
V55 = replace(ALWAYS, bound_thinking=True, forced_tools=False)
CLAUDE_4 = replace(OLD, structured_output=False)

MODELS = (
    replace(V55, id="claude-opus-5-5"),
    replace(V55, id="claude-sonnet-5-5"),
    replace(ALWAYS, id="claude-haiku-5-5", bound_thinking=True),
    replace(ALWAYS, id="claude-fable-5"),
    replace(V55, id="claude-fable-5-1"),
    replace(V55, id="claude-fable-5-2"),
    replace(V5, id="claude-opus-5"),
    replace(V5, id="claude-sonnet-5", cache_tokens_min=1024),
    replace(V47, id="claude-opus-4-8", system_in_messages=True, cache_tokens_min=1024),
    replace(V47, id="claude-opus-4-7"),
    replace(V46, id="claude-opus-4-6", cache_tokens_min=4096),
    replace(V46, id="claude-sonnet-4-6"),
    replace(OLD, id="claude-opus-4-5@20251101", efforts=LOW_TO_HIGH, cache_tokens_min=4096),
    replace(OLD, id="claude-sonnet-4-5@20250929"),
    replace(OLD, id="claude-haiku-4-5@20251001", cache_tokens_min=4096),
    replace(CLAUDE_4, id="claude-opus-4-1@20250805", output_tokens_max=32_000, structured_output=True),
    replace(CLAUDE_4, id="claude-opus-4@20250514", output_tokens_max=32_000),
    replace(CLAUDE_4, id="claude-sonnet-4@20250514"),
    replace(CLAUDE_4, id="claude-3-5-haiku@20241022", output_tokens_max=8_192, budget_thinking=False),
)
BY_ID = {model.id: model for model in MODELS} | {f"{m.id}@default": m for m in MODELS if "@" not in m.id}
BY_UNDATED = {model.undated: model for model in MODELS}
FAST = {"claude-fable-5-2"}  # takes `speed` (Google's model page, November 2026)
NO_COMPUTER_USE = {"claude-opus-5-5", "claude-sonnet-5-5"}


def find(name: str, location: str) -> Model | None:
    """The model of that name if that location serves it: newer ones live in global, us and eu only."""
    model = BY_ID.get(name)
    if model is None or (location not in MULTI_REGIONS and not (model.regional and location in REGIONS)):
        return None
    return model
