"""A deployed endpoint seen from outside, as its clients will meet it."""

import secrets
from urllib.parse import urlsplit

from gateway import NAME, VERSION
from gateway.administration.provider_tests import Finding
from gateway.administration.web import Answer, Ask

LOOPBACK = ("127.0.0.1", "localhost", "::1")
JSON = {"content-type": "application/json"}
QUESTION = b'{"model":"claude-sonnet-4-6","max_tokens":1,"messages":[{"role":"user","content":"."}]}'
OPEN_IAM = "gcloud run services update SERVICE --region=REGION --no-invoker-iam-check"
ASK_LOGS = "look at its log: gcloud run services logs read SERVICE --region=REGION"


def check_endpoint(url: str, ask: Ask) -> list[Finding]:
    """Transport, readiness, version, and that a wrong key is refused by the gateway itself. No model is asked."""
    address = url.rstrip("/")
    subject = f"endpoint {address}"
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return [Finding("fail", subject, "this is no URL", "give it as https://HOST")]
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return [Finding("fail", subject, "keys and prompts would travel in clear text", "use its https URL")]
    ready = ask("GET", f"{address}/readyz", {}, None)
    if ready.status == 0:
        return [_unreached(subject, ready)]
    findings = [_readiness(subject, ready)]
    if parts.scheme == "https":
        findings.insert(0, Finding("ok", f"{subject}: TLS", f"a valid certificate for {parts.hostname}"))
    if findings[-1].state == "fail" and not _is_ours(ready):
        return findings
    findings += [_version(subject, ask("GET", address, {}, None)), _wrong_key(subject, ask, address)]
    if ready.headers.get("x-gateway-sandbox"):
        mend = "unset GATEWAY_SANDBOX and add a provider"
        findings.append(Finding("warn", subject, "a pretend Claude answers there: the sandbox is on", mend))
    return findings


def _is_ours(answer: Answer) -> bool:
    return "x-gateway-request-id" in answer.headers


def _unreached(subject: str, answer: Answer) -> Finding:
    if answer.fault == "certificate":
        mend = "use the name that the certificate is for; that of a new custom domain may take a day to be made"
        return Finding("fail", f"{subject}: TLS", answer.words, mend)
    mend = "check the URL: gcloud run services describe SERVICE --region=REGION --format='value(status.url)'"
    return Finding("fail", subject, f"no answer: {answer.words}", mend)


def _readiness(subject: str, answer: Answer) -> Finding:
    if not _is_ours(answer):
        return Finding("fail", subject, f"{answer.status}, and not from this gateway", _mend_stranger(answer))
    facts = answer.document()
    if answer.status == 200:
        waiting = facts.get("records_waiting", 0)
        return Finding("ok", subject, f"ready, {waiting} usage records wait to be written")
    mend = "grant roles/datastore.user to the service's account and look at the database, then `doctor` with its settings"
    return Finding("fail", subject, f"{answer.status}: {str(facts.get('store') or facts.get('status'))[:300]}", mend)


def _mend_stranger(answer: Answer) -> str:
    """Google's own front end answers before the gateway does."""
    if answer.status in (401, 403):
        return (
            "Cloud Run's own IAM check stands in front of the gateway and takes its keys for Google tokens: open it with "
            f"`{OPEN_IAM}`, or send Google's token in `authorization` and the gateway's key in `x-api-key`"
        )
    if answer.status in (301, 302, 303, 307, 308):
        where = answer.headers.get("location", "nowhere")[:100]
        return f"it redirects to {where}; use that URL, or look at IAP and load balancer"
    if answer.status == 404:
        return "check the URL; with ingress `internal` only the VPC reaches it: gcloud run services describe SERVICE"
    return f"the container does not answer as a gateway does; {ASK_LOGS}"


def _version(subject: str, answer: Answer) -> Finding:
    document = answer.document()
    name, version = document.get("name"), document.get("version")
    if name != NAME:
        return Finding("warn", f"{subject}: version", f"{answer.status}, and no version", "check the path of the URL")
    if version != VERSION:
        words = f"{version} there, {VERSION} here"
        return Finding("warn", f"{subject}: version", words, "deploy the same version, or use the doctor of that one")
    return Finding("ok", f"{subject}: version", str(version))


def _wrong_key(subject: str, ask: Ask, address: str) -> Finding:
    subject = f"{subject}: a wrong key"
    headers = {**JSON, "authorization": f"Bearer gw-{secrets.token_urlsafe(32)}"}
    answer = ask("POST", f"{address}/v1/messages", headers, QUESTION)
    if answer.status == 401 and _is_ours(answer):
        return Finding("ok", subject, "is refused with 401")
    if not _is_ours(answer):
        words = f"{answer.status or answer.words}, and not from this gateway"
        return Finding("fail", subject, words, _mend_stranger(answer))
    if answer.status == 200:
        return Finding("fail", subject, "was let in", "take the service offline, and tell the makers of this gateway")
    return Finding("fail", subject, f"is answered with {answer.status} instead of 401", ASK_LOGS)
