"""A place that takes alerts, on loopback: HTTP or HTTPS, and a mail server."""

import contextlib
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Hook:
    """What arrived, and how it answers."""

    url: str
    port: int
    status: int = 200
    location: str = ""
    held: threading.Event | None = None  # until then, or for 4 s, nobody gets an answer
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.received]


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Hook]:
    hook = Hook("", 0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.received.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if hook.held is not None:
                hook.held.wait(4)
            self.send_response(hook.status)
            if hook.location:
                self.send_header("location", hook.location)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            """Tests look at what was received."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    hook.port = server.server_port
    hook.url = f"http{'s' if context else ''}://127.0.0.1:{hook.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def self_signed(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own making for `name`, and that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / f"{name}.pem", folder / f"{name}-key.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return context, path


@dataclass
class MailBox:
    """A mail server without TLS that takes one message a connection."""

    server: str
    answer: bytes = b"250 taken"
    lines: list[str] = field(default_factory=list)


@contextlib.contextmanager
def mail_server() -> Iterator[MailBox]:
    listener = socket.create_server(("127.0.0.1", 0))
    box = MailBox(f"smtp://127.0.0.1:{listener.getsockname()[1]}")

    def converse(sock: socket.socket) -> None:
        lines = sock.makefile("rb")
        sock.sendall(b"220 here\r\n")
        in_data = False
        for line in lines:
            text = line.decode().rstrip("\r\n")
            box.lines.append(text)
            if in_data:
                in_data = text != "."
                sock.sendall(b"" if in_data else box.answer + b"\r\n")
                continue
            in_data = text.upper() == "DATA"
            sock.sendall(b"354 go on\r\n" if in_data else b"221 bye\r\n" if text.upper() == "QUIT" else b"250 fine\r\n")

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(ConnectionError):
                converse(sock)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
