"""The provider that settings bring, without any in the store."""

from gateway.providers import PROVIDERS
from gateway.providers.provider import Provider
from gateway.settings import Settings, SettingsFault


def providers_from_environment(settings: Settings) -> list[Provider]:
    """Provider `vertex`, if the environment names a key, a project or a base URL for it. SettingsFault if it cannot be one."""
    if not (settings.vertex_service_account_json or settings.vertex_project_id or settings.vertex_base_url):
        return []
    provider = Provider(
        id="vertex",
        kind="vertex",
        credential=settings.vertex_service_account_json or "adc",
        project_id=settings.vertex_project_id,
        locations=(settings.vertex_region,),
        base_url=settings.vertex_base_url.rstrip("/") if settings.vertex_base_url else None,
    )
    if faults := PROVIDERS[provider.kind].check_provider(provider):
        raise SettingsFault(faults)
    return [provider]
