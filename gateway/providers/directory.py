"""The operator's providers: the one that the environment configures first, then those in the store."""

from collections.abc import Sequence

from gateway.canonical.steps import Steps, run_blocking
from gateway.canonical.store import Json, Store, StoreUnavailable
from gateway.providers.provider import Provider
from gateway.store.snapshot import Snapshot

FRESH_S = 60.0


class Directory:
    """Providers by id, in order. Changes made on other instances are seen within a minute."""

    def __init__(self, store: Store, from_environment: Sequence[Provider], outage_s: float) -> None:
        self._store = store
        self._from_environment = tuple(from_environment)
        self._snapshot = Snapshot(self._read, max_age_s=FRESH_S, outage_s=outage_s)

    def all(self) -> dict[str, Provider]:
        """`recall`, where waiting is allowed."""
        return run_blocking(self.recall())

    def recall(self) -> Steps[dict[str, Provider]]:
        """Raises StoreUnavailable only if the store never answered and the environment configures no provider."""
        try:
            return (yield from self._snapshot.recall())
        except StoreUnavailable:
            if not self._from_environment:
                raise
            return _ordered(self._from_environment, ())

    def forget(self) -> None:
        self._snapshot.forget()

    def _read(self) -> dict[str, Provider]:
        stored = [parse_provider(d.id, d.data) for d in self._store.query("providers", limit=500, timeout_s=2.0).documents]
        return _ordered(self._from_environment, stored)


def _ordered(first: Sequence[Provider], then: Sequence[Provider]) -> dict[str, Provider]:
    ordered = {provider.id: provider for provider in first}
    for provider in then:
        ordered.setdefault(provider.id, provider)
    return ordered


def parse_provider(provider_id: str, data: Json) -> Provider:
    """A `providers/{id}` document as a Provider."""
    allowed = data.get("allowed_models")
    return Provider(
        id=provider_id,
        kind=data["kind"],
        credential=data["credential"],
        project_id=data.get("project_id"),
        locations=tuple(data.get("locations") or ("global",)),
        base_url=data.get("base_url"),
        allowed_models=tuple(allowed) if allowed is not None else None,
        models=dict(data.get("models") or {}),
        guarded=data.get("base_url") is not None,
        workspace_id=data.get("workspace_id"),
        quota_project_id=data.get("quota_project_id"),
        request_type=data.get("request_type"),
        provisioned_free=bool(data.get("provisioned_free")),
    )
