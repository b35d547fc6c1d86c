"""What importing this room costs a cold start."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("requests", "cryptography", "google.auth", "google.api_core", "google.cloud.secretmanager_v1", "grpc", "urllib3")


def test_the_broker_brings_no_heavy_library_until_the_first_token() -> None:
    """requests, cryptography and Google's clients are loaded by the first token or secret, not by the import."""
    code = f"""
import sys
import gateway.credentials.google_tokens, gateway.credentials.secrets
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
