"""Where a wire format is spoken, and as whom. A new kind of provider is a module and a row here."""

from gateway.providers import authorization, hosts, vertex
from gateway.providers.provider import Kind

PROVIDERS: dict[str, Kind] = {
    "vertex": Kind(
        "vertex",
        vendors={"anthropic": "anthropic"},
        speaks={"anthropic": vertex},
        check_provider=vertex.check_provider,
        authorize=authorization.google,
        hosts=hosts.GOOGLE,
    ),
}
