"""AWS credentials: the signatures that botocore itself makes, and secrets that are unfit told without their content."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.credentials.access_token import TokenError
from gateway.credentials.aws import AwsKeys, authorize, parse_aws_credential, sign

REPOSITORY = Path(__file__).parents[2]
KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = 1795176000.0  # 2026-11-20T12:00:00Z
BODY = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[{"role":"user","content":"."}]}'
HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1"
PAIR = '{"access_key_id":"AKIDEXAMPLE","secret_access_key":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"%s}'


def signed(path: str, headers: dict[str, str] | None = None, keys: AwsKeys = KEYS) -> dict[str, str]:
    said = {"content-type": "application/json"} if headers is None else headers
    return sign(keys, "POST", HOST + path, said, BODY, region="us-east-1", at=AT)


@pytest.mark.parametrize(
    ("path", "signature"),
    [
        (f"/model/{MODEL}%3A0/invoke", "d88b1afe0f4bc830b837ecdcefcc865203fbc88745774410278b7e84bb987274"),
        (f"/model/{MODEL}:0/invoke", "e8e4bea567c844e1aae6f8873d3ed23f47d56fac0e8eb31886298f885823d95b"),
    ],
)
def test_a_known_request_gets_its_known_signature(path: str, signature: str) -> None:
    """The path is signed as it stands on the wire, encoded once more (made with botocore 1.44.5)."""
    headers = signed(path)
    assert headers["x-amz-date"] == "20261120T120000Z"
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/us-east-1/bedrock/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
    )


def test_a_session_token_is_sent_and_signed() -> None:
    """Keys that expire are worthless without it."""
    headers = signed("/model/m/invoke", keys=AwsKeys("AKID", "secret-key", "session-token"))
    assert headers["x-amz-security-token"] == "session-token"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in headers["authorization"]


def test_headers_that_a_proxy_may_change_are_not_signed() -> None:
    """Only `content-type` and AWS's own are."""
    headers = signed("/model/m/invoke", {"accept": "x", "user-agent": "y", "content-type": "application/json"})
    assert "SignedHeaders=content-type;host;x-amz-date," in headers["authorization"]


def test_another_port_is_part_of_the_host() -> None:
    """As botocore signs it when it sends for itself."""
    url = "http://127.0.0.1:9090/model/m/invoke"
    ours = sign(KEYS, "POST", url, {}, BODY, region="eu-west-1", at=AT)
    request = AWSRequest(method="POST", url=url, headers={"X-Amz-Date": ours["x-amz-date"]}, data=BODY)
    request.context["timestamp"] = ours["x-amz-date"]
    signer = SigV4Auth(Credentials(KEYS.access_key_id, KEYS.secret_access_key), "bedrock", "eu-west-1")
    theirs = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["authorization"].endswith(f"Signature={theirs}")


@pytest.mark.parametrize(
    ("url", "more", "region"),
    [
        (HOST, "", "us-east-1"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", ',"region":"us-west-2"', "eu-central-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "", "us-gov-west-1"),
        ("https://vpce-1-2.bedrock-runtime.ap-northeast-1.vpce.amazonaws.com", "", "ap-northeast-1"),
        ("http://127.0.0.1:9", ',"region":"us-west-2"', "us-west-2"),
        ("http://127.0.0.1:9", "", "eu-west-3"),
    ],
)
def test_the_region_is_the_hosts(url: str, more: str, region: str) -> None:
    """Then the credential's, then the provider's location's."""
    headers = authorize(PAIR % more, "POST", f"{url}/model/m/invoke", {}, BODY, region="eu-west-3", at=AT)
    assert f"/20261120/{region}/bedrock/aws4_request" in headers["authorization"]


def test_an_api_key_is_sent_as_it_is() -> None:
    """Nothing is signed."""
    headers = authorize("ABSKQmVkcm9ja0FQSUtleS0=", "POST", HOST, {}, b"", region="us-east-1", at=AT)
    assert headers == {"authorization": "Bearer ABSKQmVkcm9ja0FQSUtleS0="}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither JSON nor an API key"),
        ("short", "neither JSON nor an API key"),
        ("with spaces in the key", "neither JSON nor an API key"),
        ('{"access_key_id"', "no valid JSON"),
        ('{"access_key_id":"AKIDSECRET"}', "secret_access_key is missing"),
        (PAIR % ',"session_token":7', "session_token is missing or no plain text"),
        (PAIR % ',"region":"evil.example.com/x"', "region is no AWS region"),
    ],
)
def test_an_unfit_secret_is_told_without_its_content(text: str, words: str) -> None:
    """What is wrong, and what to store instead."""
    with pytest.raises(TokenError) as error:
        parse_aws_credential(text)
    told: Any = str(error.value)
    assert words in told and "access_key_id" in told
    assert "AKIDSECRET" not in told and "wJalr" not in told
    assert error.value.status == 502


def test_keys_do_not_show() -> None:
    """Neither in `repr` nor through it in a log."""
    assert "wJalr" not in repr(KEYS) and "token-1" not in repr(AwsKeys("a", "b", "token-1"))


def test_botocore_is_not_loaded_before_it_is_needed() -> None:
    """It would cost every cold start a tenth of a second."""
    code = "import sys, gateway.credentials.aws; print([name for name in sys.modules if name.startswith('botocore')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
