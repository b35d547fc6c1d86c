"""What each kind of provider takes, and which hosts its credential may be sent to."""

import pytest

from gateway.administration.changes import Who
from gateway.administration.providers import Providers
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Json


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "vertex", "base_url": "https://aiplatform.googleapis.com.evil.example"}, "is not under googleapis.com"),
        (
            {"kind": "google-claude", "workspace_id": "wrkspc_1", "base_url": "https://evil.example"},
            "is not under googleapis.com",
        ),
        ({"kind": "gemini", "base_url": "https://evil.example"}, "is not under googleapis.com"),
        ({"kind": "bedrock", "locations": ["us-east-1"], "base_url": "https://evil.example"}, "is not under amazonaws.com"),
        ({"kind": "anthropic", "base_url": "https://proxy.example/v1"}, "without a path"),
        ({"kind": "google-claude"}, "workspace_id"),
        ({"kind": "bedrock", "locations": ["moon"]}, "is no Bedrock location"),
        ({"kind": "vertex", "request_type": "provisioned"}, "should be dedicated or shared"),
        ({"kind": "gemini", "provisioned_free": True}, "provisioned throughput is Vertex AI's, not gemini's"),
        ({"kind": "vertex", "provisioned_free": 1}, "should be true or false"),
        ({"kind": "vertex", "quota_project_id": "No Such"}, "should be a Google Cloud project id"),
    ],
)
def test_what_would_lead_a_credential_astray_is_refused(providers: Providers, remote: Who, given: Json, told: str) -> None:
    """When a provider is set up over the network."""
    with pytest.raises(AdminError) as refused:
        providers.add({"id": "fresh", "credential": "projects/p/secrets/s/versions/1", **given}, remote)
    assert told in refused.value.message


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "openai", "base_url": "https://llm.example/api/v1"},
        {
            "kind": "bedrock",
            "locations": ["us-east-1", "eu"],
            "base_url": "https://vpce-1.bedrock-runtime.us-east-1.amazonaws.com",
        },
        {"kind": "google-claude", "workspace_id": "wrkspc_01ABC", "project_id": "claude-prod"},
        {"kind": "vertex", "request_type": "dedicated", "provisioned_free": True, "quota_project_id": "claude-quota"},
        {"kind": "anthropic", "base_url": "https://proxy.example"},
    ],
)
def test_each_kind_takes_its_own_fields(providers: Providers, remote: Who, given: Json) -> None:
    """And shows them again."""
    provider_id = f"fresh-{given['kind']}"
    made = providers.add({"id": provider_id, "credential": "projects/p/secrets/s/versions/1", **given}, remote)
    assert {name: made[name] for name in given} == given
    assert "warnings" not in made


def test_at_the_machine_a_host_that_will_be_refused_is_a_warning(providers: Providers, ana: Who) -> None:
    """The gateway that runs may have the setting that allows it."""
    given = {"id": "odd", "kind": "vertex", "credential": "adc", "base_url": "https://proxy.example"}
    (warning,) = providers.add(given, ana)["warnings"]
    assert "let the operator name proxy.example:443 in GATEWAY_ALLOW_PRIVATE_UPSTREAMS" in warning
