"""Beta values of a Claude request, wherever its dialect says them: in the header, in the body, or in both."""

from gateway.canonical.call import Call
from gateway.canonical.errors import InvalidRequest
from gateway.providers.vertex_bridge import BETA, BETAS_MAX, split_betas

MEMBER = "anthropic_beta"


def header_betas(call: Call) -> tuple[str, ...]:
    return split_betas(call.headers.get("anthropic-beta", ""))


def body_betas(call: Call) -> tuple[str, ...]:
    """Values in the body, as Bedrock's and Vertex AI's own dialects have them. InvalidRequest if they are no list of such."""
    if MEMBER not in call.request.document:
        return ()
    values = call.request.document.value(MEMBER)
    fits = isinstance(values, list) and len(values) <= BETAS_MAX
    if not fits or not all(isinstance(value, str) and BETA.fullmatch(value) for value in values):
        raise InvalidRequest(f"{MEMBER}: a list of at most {BETAS_MAX} values of letters, digits, dots and hyphens is required")
    return tuple(values)


def all_betas(call: Call) -> tuple[str, ...]:
    """In order, without repeats."""
    return tuple(dict.fromkeys((*header_betas(call), *body_betas(call))))
