"""A simulated Google for laptops and tests: token endpoint, Secret Manager, Claude and Gemini on Vertex AI, on loopback only.

Beside it, at the same address, stand Anthropic's own API, the Bedrock runtime and OpenAI's API, told apart by their paths.
One pretend model answers for all of them, so that an answer means the same whichever format it was asked in.

It shares no code with the gateway, so that it cannot share the gateway's mistakes.
"""

from gateway.sandbox.faults import Fault
from gateway.sandbox.secret_manager import SecretVersion
from gateway.sandbox.server import Sandbox, SandboxRefused

__all__ = ["Fault", "Sandbox", "SandboxRefused", "SecretVersion"]
