"""A simulated Google for laptops and tests: token endpoint, Secret Manager and Claude on Vertex AI, on loopback only.

It shares no code with the gateway, so that it cannot share the gateway's mistakes.
"""

from gateway.sandbox.faults import Fault
from gateway.sandbox.secret_manager import SecretVersion
from gateway.sandbox.server import Sandbox, SandboxRefused

__all__ = ["Fault", "Sandbox", "SandboxRefused", "SecretVersion"]
