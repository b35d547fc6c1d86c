"""A gateway without telemetry does not pay for it; the settings that switch it on."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.settings import SettingsFault, read
from gateway.telemetry.hook import GoogleAccess, open_telemetry

ENDPOINT, PROTOCOL = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
READS_NOTHING = GoogleAccess(token=str, project_id=str)

PROGRAM = """
import sys
from gateway.app import build_house
from gateway.settings import read
house = build_house(read({"GATEWAY_STORE": "sqlite:///" + sys.argv[1]}))
assert house.telemetry is None and house.answering.observe is None
house.warm()
house.close()
print([name for name in sys.modules if name.startswith("opentelemetry") or name == "gateway.telemetry.exporting"])
"""


def test_off_loads_nothing_and_is_asked_nothing(tmp_path: Path) -> None:
    """No module of OpenTelemetry in the process, no hook at a call."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "gateway.db")], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_off_is_the_default() -> None:
    """Nothing is sent anywhere unless somebody says so, whatever else on the machine speaks OpenTelemetry."""
    assert read({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}).telemetry == "off"
    assert open_telemetry("off", None, READS_NOTHING) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"GATEWAY_TELEMETRY": "on"}, "off, otlp or google"),
        ({"GATEWAY_TELEMETRY": "otlp"}, "set OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"GATEWAY_TELEMETRY": "otlp", ENDPOINT: "http://localhost:4317", PROTOCOL: "grpc"}, "http/protobuf"),
        ({"GATEWAY_TELEMETRY": "google", ENDPOINT: "https://elsewhere.example"}, "unset"),
    ],
)
def test_a_destination_that_cannot_be_meant_stops_the_start(environment: dict[str, str], word: str) -> None:
    """Google's token goes to Google alone, and gRPC is not spoken."""
    with pytest.raises(SettingsFault) as refused:
        read(environment)
    assert word in str(refused.value)
