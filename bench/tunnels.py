"""TLS in front of the fake upstream, and a tunnel through which the load client speaks it: bench/tls.c, a fresh certificate."""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.native import HERE, compile_once, find_compiler
from bench.processes import tool_running

CERTIFICATE_DAYS = 2


class TlsMissing(Exception):
    """No TLS rows; says what they need."""


@dataclass(frozen=True, slots=True)
class Tunnels:
    """`server` is the upstream's port with TLS, `client` a plain port behind which the tunnel speaks TLS to it."""

    server: int
    client: int
    certificate: Path


@contextmanager
def tunnels_running(upstream: int, core: int, folder: Path) -> Iterator[Tunnels]:
    """Both tunnels on the tools' core. TlsMissing without a compiler or OpenSSL's headers."""
    compiler = find_compiler()
    if compiler is None:
        raise TlsMissing("bench/tls.c needs a C compiler")
    try:
        program = str(compile_once(compiler, HERE / "tls.c", "-lssl", "-lcrypto"))
    except RuntimeError as error:
        raise TlsMissing(f"bench/tls.c needs OpenSSL's headers, such as the package libssl-dev ({str(error)[-200:]})") from error
    certificate, key = make_certificate(folder)
    with ExitStack() as stack:
        server_command = [program, "server", str(upstream), str(certificate), str(key)]
        server = stack.enter_context(tool_running(server_command, core, folder / "tls-server.log", {}))
        client = stack.enter_context(tool_running([program, "client", str(server)], core, folder / "tls-client.log", {}))
        yield Tunnels(server, client, certificate)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Certificate and key files for 127.0.0.1: P-256, as Google's front ends have, and its own issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tollgate-bench")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    validity = datetime.timedelta(days=CERTIFICATE_DAYS)
    builder = builder.not_valid_before(now - validity).not_valid_after(now + validity)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    issues_itself = x509.BasicConstraints(ca=True, path_length=None)
    builder = builder.add_extension(names, critical=False).add_extension(issues_itself, critical=True)
    signed = builder.sign(key, hashes.SHA256())
    certificate_file, key_file = folder / "tls-certificate.pem", folder / "tls-key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.touch(0o600)
    unsealed = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unsealed))
    return certificate_file, key_file
