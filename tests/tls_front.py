"""TLS before a plain server on loopback, for clients that send their key over nothing else."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@contextlib.contextmanager
def tls_front(url: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """An https URL that leads to `url`, and the certificate to trust."""
    certificate = _make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    behind = urlsplit(url)
    address = (behind.hostname or "", behind.port or 80)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_relay, args=(client, context, address), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", certificate
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def _relay(client: socket.socket, context: ssl.SSLContext, address: tuple[str, int]) -> None:
    """One request after the other: a TLS socket is not read and written by two threads at once."""
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(client, server_side=True) as front,
        socket.create_connection(address) as behind,
    ):
        front.setblocking(False)
        behind.setblocking(False)
        while True:
            moved = _move(front, behind), _move(behind, front)
            if None in moved:
                return
            if not any(moved):
                threading.Event().wait(0.001)


def _move(source: socket.socket, goal: socket.socket) -> int | None:
    """How many bytes went across; None at the end."""
    try:
        data = source.recv(65_536)
    except (BlockingIOError, ssl.SSLWantReadError):
        return 0
    goal.setblocking(True)
    goal.sendall(data)
    goal.setblocking(False)
    return len(data) or None


def _make_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return path
