"""Providers: accounts at vendors, as operators set them up. Documents hold references to secrets, never secrets."""

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from gateway.administration import checks
from gateway.administration.changes import SCHEMA_VERSION, Changes, Who, not_found
from gateway.administration.pages import read_page
from gateway.administration.refusals import AdminError, invalid
from gateway.administration.times import Clock, current, render_moments
from gateway.canonical.store import Document, Json, Store
from gateway.catalog.models import is_safe_name, kind_of
from gateway.credentials.secrets import SECRET
from gateway.providers import PROVIDERS
from gateway.providers.directory import parse_provider
from gateway.providers.hosts import host_faults
from gateway.providers.provider import Provider
from gateway.providers.vertex import PROJECT

DEFAULTS: Json = {
    "project_id": None, "locations": ["global"], "base_url": None, "allowed_models": None, "models": {}, "workspace_id": None,
    "quota_project_id": None, "request_type": None, "provisioned_free": False,
}  # fmt: skip
REQUEST_TYPES = ("dedicated", "shared")
PRIVATE_NAMES = (".internal", ".local", ".localhost", ".lan", ".home", ".corp", ".arpa")
PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
SECRET_FORM = "projects/P/secrets/S/versions/V"


class Providers:
    """The use cases. `from_environment` are the providers that settings bring: shown, never stored. `private_allowed`
    are the `host:port` that providers made over the network may name although they are private or not https."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        now: Clock,
        from_environment: Sequence[Provider] = (),
        private_allowed: Collection[str] = (),
    ) -> None:
        self._store = store
        self._changes = changes
        self._now = now
        self._from_environment = {provider.id: provider for provider in from_environment}
        self._private_allowed = private_allowed

    def add(self, given: Mapping[str, Any], who: Who) -> Json:
        """From `{"id": …, "kind": …, "credential": …, …}`; AdminError `invalid` or `already_exists`."""
        fields = checks.check_fields(given, {"id": checks.identifier, **self._checks(who)})
        if missing := [name for name in ("id", "kind", "credential") if name not in fields]:
            raise invalid(f"{name}: a provider needs it" for name in missing)
        provider_id = fields.pop("id")
        self._check_not_from_environment(provider_id)
        at = current(self._now)
        data = {**DEFAULTS, **fields, "created_at": at, "updated_at": at, "schema_version": SCHEMA_VERSION}
        warnings = self._check_settings(provider_id, data, who)
        self._changes.create(f"providers/{provider_id}", data, "provider.add", who)
        return self._render_stored(provider_id, data, fields, warnings)

    def get(self, provider_id: str) -> Json:
        if provider_id in self._from_environment:
            return render_from_environment(self._from_environment[provider_id])
        return render_provider(self._read(provider_id))

    def page(self, *, limit: int = 100, cursor: str | None = None) -> Json:
        """Those of the environment first, as calls meet them; then by id."""
        page = read_page(self._store, "providers", render_provider, limit=limit, cursor=cursor)
        first = [] if cursor else [render_from_environment(provider) for provider in self._from_environment.values()]
        return page | {"data": first + page["data"]}

    def update(self, provider_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """Changes the fields that are given; AdminError `not_found` or `invalid`."""
        self._check_not_from_environment(provider_id)
        self._read(provider_id)
        fields = checks.check_fields(given, self._checks(who))
        warnings: list[str] = []

        def edit(data: Json) -> Json:
            warnings[:] = self._check_settings(provider_id, {**data, **fields}, who)
            return fields

        data = self._changes.update(f"providers/{provider_id}", edit, "provider.update", who)
        return self._render_stored(provider_id, data, fields, warnings)

    def replace(self, provider_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """What is not given takes its default; kind and credential have none."""
        self._check_not_from_environment(provider_id)
        self._read(provider_id)
        if missing := [name for name in ("kind", "credential") if name not in given]:
            raise invalid(f"{name}: a provider needs it" for name in missing)
        return self.update(provider_id, {**DEFAULTS, **given}, who)

    def delete(self, provider_id: str, who: Who) -> None:
        """Projects that list it go on with their other providers."""
        self._check_not_from_environment(provider_id)
        self._read(provider_id)
        self._changes.delete(f"providers/{provider_id}", "provider.delete", who)

    def find(self, provider_id: str) -> Provider:
        """As calls use it; AdminError `not_found`."""
        found = self._from_environment.get(provider_id)
        return found or parse_provider(provider_id, self._read(provider_id).data)

    def all(self) -> list[Provider]:
        """As calls use them, in their order."""
        stored = [parse_provider(document.id, document.data) for document in self._store.query("providers", limit=500).documents]
        return [*self._from_environment.values(), *(one for one in stored if one.id not in self._from_environment)]

    def _read(self, provider_id: str) -> Document:
        if not checks.ID.fullmatch(provider_id):
            raise not_found(f"providers/{provider_id[:80]}".rstrip("/"))
        return self._changes.read(f"providers/{provider_id}")

    def _check_not_from_environment(self, provider_id: str) -> None:
        if provider_id in self._from_environment:
            raise AdminError(
                f"provider {provider_id} is set up by the environment (VERTEX_…); change it there, or choose another id",
                "already_exists",
            )

    def _checks(self, who: Who) -> dict[str, checks.Check]:
        return {
            "kind": _kind,
            "credential": _credential(who),
            "project_id": checks.optional(checks.word(100)),
            "locations": _locations,
            "base_url": checks.optional(_base_url(who, self._private_allowed)),
            "allowed_models": checks.globs,
            "models": _models,
            "workspace_id": checks.optional(checks.word(100)),
            "quota_project_id": checks.optional(_project_id),
            "request_type": checks.optional(_request_type),
            "provisioned_free": checks.flag,
        }

    def _check_settings(self, provider_id: str, data: Json, who: Who) -> list[str]:
        """What its kind demands of a provider; AdminError `invalid`. At the machine a host that calls will be refused to is
        a warning: the gateway that runs may have other settings."""
        kind = PROVIDERS[data["kind"]]
        hosts = host_faults(data["base_url"], kind.hosts, self._private_allowed)
        faults = kind.check_provider(parse_provider(provider_id, data)) + kind_faults(data) + ([] if who.at_machine else hosts)
        if faults:
            raise invalid(faults)
        return hosts

    def _render_stored(self, provider_id: str, data: Json, fields: Json, warnings: list[str]) -> Json:
        rendered = render_provider(Document(f"providers/{provider_id}", data, ""))
        warnings = [*warnings, *checks.glob_warnings(fields.get("allowed_models"))]
        return rendered | ({"warnings": warnings} if warnings else {})


def render_provider(document: Document) -> Json:
    shown = ("kind", "credential", *DEFAULTS)
    data = {**DEFAULTS, **document.data}
    rendered: Json = render_moments({name: data.get(name) for name in (*shown, "created_at", "updated_at")})
    return {"id": document.id, **rendered, "source": "store"}


def render_from_environment(provider: Provider) -> Json:
    """The credential may be a key in full, so it is never shown."""
    return {
        "id": provider.id,
        "kind": provider.kind,
        "credential": "adc" if provider.credential == "adc" else "(in the environment)",
        "project_id": provider.project_id,
        "locations": list(provider.locations),
        "base_url": provider.base_url,
        "allowed_models": None if provider.allowed_models is None else list(provider.allowed_models),
        "models": dict(provider.models),
        "workspace_id": provider.workspace_id,
        "quota_project_id": provider.quota_project_id,
        "request_type": provider.request_type,
        "provisioned_free": provider.provisioned_free,
        "created_at": None,
        "updated_at": None,
        "source": "environment",
    }


def kind_faults(data: Json) -> list[str]:
    """What its kind would silently lose."""
    faults = []
    if urlsplit(data["base_url"] or "").path and not PROVIDERS[data["kind"]].path_in_base_url:
        faults.append("base_url: should be scheme://host[:port] without a path, such as https://aiplatform.googleapis.com")
    if data.get("provisioned_free") and data["kind"] != "vertex":
        faults.append(f"provisioned_free: provisioned throughput is Vertex AI's, not {data['kind']}'s; leave it out")
    return faults


def _kind(value: Any) -> str:
    kind = kind_of(value) if isinstance(value, str) else None
    if kind not in PROVIDERS:
        raise ValueError(f"should be one of {', '.join(PROVIDERS)}")
    return kind


def _locations(value: Any) -> list[str]:
    locations: list[str] = checks.each(checks.word(64))(value)
    if not locations:
        raise ValueError("should name at least one, such as global or europe-west1")
    return locations


def _models(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > checks.LIST_MAX:
        raise ValueError(f'should be an object of at most {checks.LIST_MAX} names, such as {{"fast": "claude-haiku-4-5"}}')
    for alias, upstream in value.items():
        if not isinstance(alias, str) or not checks.LABEL.fullmatch(alias):
            raise ValueError(f"{str(alias)[:64]!r} is no alias; use at most 64 letters, digits and ._:@/-")
        if not isinstance(upstream, str) or not is_safe_name(upstream):
            raise ValueError(f"what {alias} stands for is no model id; use letters, digits and ._@:-")
    return dict(value)


def _project_id(value: Any) -> str:
    if not isinstance(value, str) or not PROJECT.fullmatch(value):
        raise ValueError("should be a Google Cloud project id, such as claude-prod")
    return value


def _request_type(value: Any) -> str:
    if value not in REQUEST_TYPES:
        raise ValueError(f"should be {' or '.join(REQUEST_TYPES)}, or left out")
    return str(value)


def _credential(who: Who) -> checks.Check:
    """References only. What is no reference is not echoed: it may be the secret itself."""
    allowed = f"adc or {SECRET_FORM}" + (", file:PATH or env:NAME" if who.at_machine else "")

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError(f"should be {allowed}")
        if "PRIVATE KEY" in value or value.lstrip().startswith("{") or "\n" in value:
            raise ValueError(
                f"is a secret itself, and documents hold none; put it into Secret Manager and name it as {SECRET_FORM}"
                + (", or put it in a file and pass file:PATH" if who.at_machine else "")
            )
        if value == "adc" or SECRET.fullmatch(value):
            return value
        if value.startswith(("file:", "env:")) and len(value.partition(":")[2]) in range(1, 512):
            if who.at_machine:
                return value
            raise ValueError(f"names what only the machine's own operator may name, on the command line; use {allowed}")
        raise ValueError(f"is no credential that can be kept (a text of {len(value)} characters); use {allowed}")

    return check


def _base_url(who: Who, private_allowed: Collection[str]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        url = checks.word(300)(value).rstrip("/")
        parts = _split(url)
        if parts is None or parts.query or parts.fragment or parts.username is not None or not PATH.fullmatch(parts.path):
            raise ValueError(
                "should be scheme://host[:port] without a path, such as https://aiplatform.googleapis.com; "
                "for kind openai with the path that its clients begin at, such as https://api.openai.com/v1"
            )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not who.at_machine and f"{parts.hostname}:{port}" not in private_allowed:
            if parts.scheme != "https":
                raise ValueError("should begin with https://, or its host:port stand in GATEWAY_ALLOW_PRIVATE_UPSTREAMS")
            if is_private(parts.hostname or ""):
                raise ValueError("names a private address; its host:port does not stand in GATEWAY_ALLOW_PRIVATE_UPSTREAMS")
        return str(url)

    return check


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isascii()
        return parts if usable else None
    except ValueError:  # brackets or port that are none
        return None


def is_private(host: str) -> bool:
    """By what the name says. What it resolves to is only known, and may change, when a call is made."""
    name = host.lower().rstrip(".")
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        # A last label without letters is an address in another spelling: 0x7f.1, 2130706433.
        return "." not in name or name.endswith(PRIVATE_NAMES) or not name.rpartition(".")[2].isalpha()
