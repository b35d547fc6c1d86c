"""Settings from an environment: every fault at once, each with its mend."""

import pytest

from gateway import settings
from gateway.settings import SETTINGS, SettingsFault, read

GOOD_KEY = "q8Zr2Lw0Xb5Nf7Tj1Vd9Gs3Hk6Pm4Cy="


def faults(**environment: str) -> list[str]:
    with pytest.raises(SettingsFault) as refused:
        read(environment)
    return refused.value.faults


def test_nothing_set_is_a_laptop() -> None:
    """Every default as the contract states it."""
    found = read({})
    assert (found.store, found.admin_key, found.vertex_region) == ("sqlite:///.gateway/gateway.db", None, "global")
    assert (found.connect_timeout_s, found.first_byte_timeout_s, found.idle_timeout_s, found.total_timeout_s) == (
        5,
        600,
        300,
        3600,
    )
    assert (found.max_request_bytes, found.usage_retention_days, found.key_outage_s, found.write_buffer) == (
        33_554_432,
        400,
        900,
        10_000,
    )
    assert found.google_token_uri == "https://oauth2.googleapis.com/token"
    assert not (found.log_payloads or found.allow_query_key or found.on_cloud_run)


def test_all_faults_are_told_together() -> None:
    """An operator mends them in one go."""
    found = faults(
        GATEWAY_MAX_REQUEST_BYTES="many",
        GATEWAY_IDLE_TIMEOUT_S="-1",
        GATEWAY_LOG_PAYLOADS="maybe",
        GATEWAY_PRICE_MULTIPLIER="nan",
        GATEWAY_ADMIN_KEY="short",
        GATEWAY_STORE="redis://x",
        GATEWAY_TYPO="1",
        VERTEX_BASE_URL="https://h/path",
    )
    assert len(found) == 8
    for name in (
        "MAX_REQUEST_BYTES",
        "IDLE_TIMEOUT_S",
        "LOG_PAYLOADS",
        "PRICE_MULTIPLIER",
        "ADMIN_KEY",
        "STORE",
        "TYPO",
        "BASE_URL",
    ):
        assert any(name in fault for fault in found), name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("GATEWAY_MAX_OPEN_CALLS", "0"),
        ("GATEWAY_MAX_OPEN_CALLS", "1.5"),
        ("GATEWAY_MAX_OPEN_CALLS", "٣"),
        ("GATEWAY_DRAIN_S", "inf"),
        ("GATEWAY_DRAIN_S", "nan"),
        ("GATEWAY_DRAIN_S", "0"),
        ("GATEWAY_ALLOW_QUERY_KEY", "ja"),
        ("GATEWAY_PRICE_MULTIPLIER", "100"),
        ("GATEWAY_PRICE_MULTIPLIER", "-1"),
        ("VERTEX_BASE_URL", "aiplatform.googleapis.com"),
        ("VERTEX_BASE_URL", "https://"),
        ("VERTEX_BASE_URL", "https://host:port"),
        ("VERTEX_BASE_URL", "https://host/v1"),
        ("GATEWAY_GOOGLE_TOKEN_URI", "ftp://x"),
        ("GATEWAY_PUBLIC_URL", "gateway.example.com"),
        ("GATEWAY_SECRET_MANAGER_URL", "//x"),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_fault_that_says_the_right_one(name: str, text: str) -> None:
    """Name, value as found, and what it should be."""
    (fault,) = faults(**{name: text})
    assert fault.startswith(name) and "should be" in fault


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("YES", True), ("False", False), ("0", False), ("no", False)]
)
def test_flags_are_written_in_many_ways(text: str, value: bool) -> None:
    """As people write them."""
    assert read({"GATEWAY_ALLOW_QUERY_KEY": text}).allow_query_key is value


def test_the_seeds_names_are_understood() -> None:
    """Aliases; the plain name wins."""
    environment = {"LLM_VERTEX_ANTHROPIC_SERVICE_ACCOUNT_JSON": "file:a.json", "LLM_VERTEX_ANTHROPIC_REGION": "eu"}
    found = read(environment)
    assert (found.vertex_service_account_json, found.vertex_region) == ("file:a.json", "eu")
    assert read({**environment, "VERTEX_REGION": "us"}).vertex_region == "us"


def test_an_empty_value_is_the_default() -> None:
    """`GATEWAY_DRAIN_S=` in a file of settings sets nothing."""
    assert read({"GATEWAY_DRAIN_S": "", "VERTEX_REGION": ""}).vertex_region == "global"


def test_counting_elsewhere_can_be_turned_off_by_nothing() -> None:
    """The one setting where empty says something."""
    assert read({"GATEWAY_COUNT_TOKENS_LOCATIONS": ""}).count_tokens_locations == ""
    assert read({}).count_tokens_locations == "us-east5,europe-west1"


def test_an_unknown_setting_stops_the_start() -> None:
    """A misspelt limit would be no limit. Other programs' variables are their own."""
    (fault,) = faults(GATEWAY_MAX_REQEST_BYTES="1", PATH="/bin", VERTEXX="1")
    assert "GATEWAY_MAX_REQEST_BYTES" in fault


@pytest.mark.parametrize(
    "key",
    [
        "x",
        "sk-1234",
        "a" * 40,
        "abababababababababababababababababab",
        "changeme-q8Zr2Lw0Xb5Nf7Tj1Vd9Gs3H",
        "my-Password-Lw0Xb5Nf7Tj1Vd9Gs3Hk6Pm",
        GOOD_KEY[:31],
    ],
)
def test_a_weak_admin_key_stops_the_start(key: str) -> None:
    """Short, plain or well known; the key itself is not repeated."""
    (fault,) = faults(GATEWAY_ADMIN_KEY=key)
    assert "openssl rand" in fault
    assert len(key) < 8 or key not in fault


@pytest.mark.parametrize("key", [GOOD_KEY, "projects/p/secrets/s/versions/latest", "env:ADMIN", "file:admin.key"])
def test_a_strong_admin_key_or_a_reference_is_taken(key: str) -> None:
    """A secret reference is looked at when it is read."""
    assert read({"GATEWAY_ADMIN_KEY": key}).admin_key == key


def test_cloud_run_means_firestore() -> None:
    """Files die with the instance there."""
    found = read({"K_SERVICE": "gateway", "GOOGLE_CLOUD_PROJECT": "p"})
    assert (found.store, found.on_cloud_run) == ("firestore://p/(default)", True)
    (fault,) = faults(K_SERVICE="gateway", GATEWAY_STORE="sqlite:///x.db")
    assert "SQLite on Cloud Run" in fault
    assert read({"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}).store == "firestore://-/(default)"


def test_the_sandbox_stays_off_real_ground() -> None:
    """Neither on Cloud Run nor with a real Firestore."""
    assert len(faults(K_SERVICE="g", GATEWAY_SANDBOX="true")) == 2
    (fault,) = faults(GATEWAY_SANDBOX="true", GATEWAY_STORE="firestore://p/(default)")
    assert "emulator" in fault
    emulated = {"GATEWAY_SANDBOX": "true", "GATEWAY_STORE": "firestore://p/x", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}
    assert read(emulated).sandbox


def test_every_row_has_its_field_and_its_words() -> None:
    """The table in the docs is made from these."""
    fields = set(settings.Settings.__dataclass_fields__)
    for row in SETTINGS:
        assert row.field in fields and len(row.help) > 15
    assert len({row.name for row in SETTINGS}) == len(SETTINGS)
    for row in SETTINGS:
        if row.default is not None:
            row.parse(row.default)
