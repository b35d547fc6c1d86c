"""What a provider is made of: an operator's instance (Provider), its kind (Kind), and how it speaks a wire format (Wire)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError

ASKED_AS = {"gemini-embeddings": "openai-embeddings"}
"""Formats that no provider is asked in, and the one of the same use that they are carried to."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One account at one vendor, as the operator set it up. `credential` is a secret reference, never a secret,
    except for the one that the environment configures."""

    id: str
    kind: str
    credential: str = field(repr=False)
    project_id: str | None = None
    locations: tuple[str, ...] = ("global",)
    base_url: str | None = None
    allowed_models: tuple[str, ...] | None = None
    models: Mapping[str, str] = field(default_factory=dict)  # alias → the provider's own id
    guarded: bool = False  # set up by an admin with a base URL of its own: only public addresses are connected to
    workspace_id: str | None = None  # where a vendor divides an account: `wrkspc_…`
    quota_project_id: str | None = None  # Google's: whose quota calls count against, if not the billed project's
    request_type: Literal["dedicated", "shared"] | None = None  # Vertex AI: provisioned throughput alone, or none of it
    provisioned_free: bool = False  # Vertex AI: what runs on provisioned throughput costs nothing more; it is paid by the hour


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an upstream refuses for one model at one location: beta values and body fields, from the closed list."""

    betas: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    def __or__(self, other: "Lesson") -> "Lesson":
        return Lesson(self.betas | other.betas, self.fields | other.fields)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request ready to be sent, but for its credential. `dropped` names what could not be carried."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    betas: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


class Wire(Protocol):
    """How a kind of provider speaks one wire format. A module, like a dialect; all pure."""

    def base_url(self, provider: Provider, location: str) -> str: ...

    def prepare(self, call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
        """Never changes the call: every attempt starts from its original bytes."""

    def parse_error(self, call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
        """What a caller is told, without `project_id`."""

    def parse_lesson(self, sent: Outgoing, error: GatewayError) -> Lesson | None:
        """What a refusal teaches, if it names something that was sent and may be dropped."""


class SplitWire(Wire, Protocol):
    """One that needs several requests for some calls, and answers them in the caller's own format."""

    def split(self, call: Call, target: Target) -> Sequence[Call]:
        """What is asked, request by request; each is prepared by itself."""

    def join(self, call: Call, target: Target, answers: Sequence[bytes]) -> bytes:
        """One answer of all, in the format that the target's wire is named after."""


class Authorize(Protocol):
    """Turns what a credential holds into the headers that let one request in; pure."""

    def __call__(self, value: str, location: str, url: str, outgoing: Outgoing, at: float) -> Mapping[str, str]:
        """`value` is a token, a key, or a key pair as JSON; `url` the whole of it, `at` unix seconds. `outgoing` must be sent
        as it is: it may have been signed. TokenError if the value is unfit."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`vendors` says in which wire formats the models of a vendor are spoken to there, the usual one first (`*`: of any other
    vendor), `speaks` how."""

    name: str
    vendors: Mapping[str, tuple[str, ...]]
    speaks: Mapping[str, Wire]
    check_provider: Callable[[Provider], list[str]]  # faults of an operator's settings, one sentence each
    authorize: Authorize
    credentials: Literal["google", "secret"] = "google"  # access tokens from Google, or what lies behind a secret reference
    hosts: tuple[str, ...] = ()  # where the credential may travel, with all their subdomains; empty: wherever base_url says
    counts_tokens: bool = True
    splits: Mapping[str, SplitWire] = field(default_factory=dict)  # those of `speaks` that may need several requests
    without_links: tuple[str, ...] = ()  # those of `speaks` that take pictures and documents as base64 only
    path_in_base_url: bool = False  # base_url may go on behind the host

    def wire_for(self, vendor: str | None, spoken: str = "") -> str | None:
        """The wire format for a vendor's models: the caller's own where it is one of them, so that bytes pass; None if
        they are not to be had here."""
        wires = self.vendors.get(vendor or "") or self.vendors.get("*", ())
        spoken = ASKED_AS.get(spoken, spoken)
        return spoken if spoken in wires else next(iter(wires), None)
