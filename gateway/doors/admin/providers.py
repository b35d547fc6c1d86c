"""`/providers`"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.administration import checks
from gateway.administration.checks import LIST_MAX, VISIBLE
from gateway.administration.office import Office
from gateway.administration.provider_tests import check_provider_works
from gateway.canonical.store import Json
from gateway.doors.admin.fields import Globs, Id, Label, Moment, Warnings, Word128, whole
from gateway.doors.admin.route import PAGE, WRITE, Asked, Deleted, Page, Route, deleted
from gateway.providers import PROVIDERS

MODELS_TRIED_MAX = 20
LOCATION = r"global|us|eu|jp|au|apac|[a-z]{2,20}(?:-[a-z]+)+-?\d{1,2}"
"""Of Google or of AWS: `us-east5`, `us-east-1`. Which of them fits, its kind says."""
SEGMENT = f"(?:(?!/){VISIBLE})+"
Kind = Annotated[str, Meta(extra_json_schema={"enum": list(PROVIDERS)})]
Credential = Annotated[
    str,
    Meta(
        pattern=f"^(?:adc|projects/{SEGMENT}/secrets/{SEGMENT}/versions/{SEGMENT})$",
        description="`adc` or a Secret Manager reference; never a secret itself",
        examples=["projects/p/secrets/sa/versions/latest"],
    ),
]
BaseUrl = Annotated[
    str,
    Meta(
        max_length=300,
        pattern=r"^https://(?:[a-z0-9-]{1,60}\.)+[a-z]{2,20}(?::[1-9][0-9]{1,3})?(?:/[A-Za-z0-9._~-]+)*$",
        description="`https://host[:port]`, public; replaces the location's own host. For kind `openai` with the path that its "
        "clients begin at, such as `/v1`. Google's and AWS's kinds stay under their own domains",
    ),
]
ProjectId = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{4,28}[a-z0-9]$", description="Of Google Cloud")]
Models = Annotated[
    dict[Label, Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$")]],
    Meta(max_length=LIST_MAX, description="Alias → upstream id"),
]
WorkspaceId = Annotated[str, Meta(pattern="^wrkspc_[A-Za-z0-9]{1,64}$", description="Where Anthropic divides an account")]
RequestType = Annotated[
    str,
    Meta(
        description="Vertex AI: `dedicated` uses provisioned throughput alone, `shared` none of it",
        extra_json_schema={"enum": ["dedicated", "shared"]},
    ),
]
ProvisionedFree = Annotated[
    bool,
    Meta(
        description="Vertex AI: what ran on provisioned throughput costs 0, for that is paid by the hour: every call if "
        "`request_type` is `dedicated`, else those whose answer says so, as Gemini's do"
    ),
]
Locations = Annotated[
    list[Annotated[str, Meta(pattern=whole(LOCATION), max_length=64)]],
    Meta(min_length=1, max_length=LIST_MAX, examples=[["global"]]),
]


class ProviderFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A provider's fields; what is left out stays. What each kind takes, its provider documents."""

    kind: Kind | UnsetType = UNSET
    credential: Credential | UnsetType = UNSET
    project_id: ProjectId | UnsetType | None = UNSET
    locations: Locations | UnsetType = UNSET
    base_url: BaseUrl | UnsetType | None = UNSET
    allowed_models: Globs | UnsetType | None = UNSET
    models: Models | UnsetType = UNSET
    workspace_id: WorkspaceId | UnsetType | None = UNSET
    quota_project_id: ProjectId | UnsetType | None = UNSET
    request_type: RequestType | UnsetType | None = UNSET
    provisioned_free: ProvisionedFree | UnsetType = UNSET


class WholeProvider(ProviderFields, kw_only=True):
    """A provider in whole; what is left out takes its default."""

    kind: Kind
    credential: Credential


class NewProvider(WholeProvider, kw_only=True):
    """A provider to set up."""

    id: Id


class Provider(msgspec.Struct):
    """An account at a vendor that calls are sent to."""

    id: str
    kind: str
    credential: str
    project_id: str | None
    locations: list[str]
    base_url: str | None
    allowed_models: list[str] | None
    models: dict[str, str]
    workspace_id: str | None
    quota_project_id: str | None
    request_type: str | None
    provisioned_free: bool
    created_at: Moment | None
    updated_at: Moment | None
    source: Literal["store", "environment"]
    warnings: Warnings | UnsetType = UNSET


class Trial(msgspec.Struct, forbid_unknown_fields=True):
    """Which models to try."""

    models: Annotated[list[Word128], Meta(max_length=MODELS_TRIED_MAX)] = []


class Finding(msgspec.Struct):
    """What was examined, and what mends it."""

    state: Literal["ok", "warn", "fail"]
    subject: str
    words: str
    mend: str


class Report(msgspec.Struct):
    """What works of a provider, and what does not."""

    id: str
    state: Literal["ok", "warn", "fail"]
    data: list[Finding]


def add_provider(office: Office, asked: Asked) -> Json:
    return office.providers.add(asked.body, asked.who)


def list_providers(office: Office, asked: Asked) -> Json:
    return office.providers.page(**asked.page)


def get_provider(office: Office, asked: Asked) -> Json:
    return office.providers.get(asked.id)


def replace_provider(office: Office, asked: Asked) -> Json:
    return office.providers.replace(asked.id, asked.body, asked.who)


def update_provider(office: Office, asked: Asked) -> Json:
    return office.providers.update(asked.id, asked.body, asked.who)


def delete_provider(office: Office, asked: Asked) -> Json:
    office.providers.delete(asked.id, asked.who)
    return deleted(asked.id)


def test_provider(office: Office, asked: Asked) -> Json:
    """A use case that sends requests: it is asked for by POST and changes nothing here."""
    tried = checks.check_fields(asked.body, {"models": _models_tried})
    return check_provider_works(office.providers.find(asked.id), office.tokens, office.probe, tried.get("models", []))


def _models_tried(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MODELS_TRIED_MAX:
        raise ValueError(f"should be a list of at most {MODELS_TRIED_MAX}, for each is asked")
    names: list[str] = checks.each(checks.word(128))(value)
    return names


ROUTES = (
    Route("POST", "/providers", "Set up a provider", add_provider, Provider, NewProvider, status=201, refusals=WRITE),
    Route("GET", "/providers", "List providers, the environment's first", list_providers, Page[Provider], query=PAGE),
    Route("GET", "/providers/{id}", "Show a provider", get_provider, Provider),
    Route("PUT", "/providers/{id}", "Replace a provider's fields", replace_provider, Provider, WholeProvider, refusals=WRITE),
    Route("PATCH", "/providers/{id}", "Change some fields of a provider", update_provider, Provider, ProviderFields,
          refusals=WRITE),
    Route("DELETE", "/providers/{id}", "Delete a provider; projects go on with their others", delete_provider, Deleted,
          refusals=WRITE),
    Route("POST", "/providers/{id}/test", "Mint a token and send smallest requests: what works, and what mends the rest",
          test_provider, Report, Trial, body_needed=False, refusals=WRITE),
)  # fmt: skip
