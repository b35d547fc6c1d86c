"""Finds and runs the Firestore emulator: one per test process, on a free loopback port, gone when the tests end."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.native import cache_folder

MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
JAR = Path("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
SDK_ROOTS = ("/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk", "~/google-cloud-sdk",
             "/usr/local/google-cloud-sdk", "/snap/google-cloud-cli/current", "/google-cloud-sdk")  # fmt: skip
# Measured 2026-11-20: 2.0-3.2 s to the first answer with the JVM's defaults, 0.5-0.85 s with these and a class archive.
FAST_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Duser.language=en")
# Ends Java when its standard input is closed, which also happens when the tests are killed and cannot tidy up.
LEASH = 'exec 3<&0; "$@" & java=$!; (read -r _ <&3; kill "$java") & wait "$java"'
START_ATTEMPTS = 3
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


class EmulatorMissing(Exception):
    """No emulator on this machine; says how to get one."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; install Java and `gcloud components install cloud-firestore-emulator`, "
            "or set FIRESTORE_EMULATOR_JAR to the emulator's jar"
        )


@dataclass(frozen=True, slots=True)
class Installation:
    java: Path
    jar: Path

    @property
    def archive(self) -> Path:
        """Where this JVM's class archive for this jar is kept; another JVM or jar has another name."""
        stat = self.jar.stat()
        known_by = f"{self.java.resolve()}:{self.jar}:{stat.st_size}:{stat.st_mtime_ns}"
        return cache_folder() / f"firestore-emulator-{hashlib.sha256(known_by.encode()).hexdigest()[:16]}.jsa"


def find() -> Installation:
    """Java and the jar: FIRESTORE_EMULATOR_JAR, else the gcloud SDK. EmulatorMissing if either is not there."""
    java = shutil.which("java", path=os.path.join(os.environ.get("JAVA_HOME", ""), "bin")) or shutil.which("java")
    if not java:
        raise EmulatorMissing("no Java found")
    named = os.environ.get("FIRESTORE_EMULATOR_JAR")
    if named:
        if not Path(named).is_file():
            raise EmulatorMissing(f"FIRESTORE_EMULATOR_JAR={named} is no file")
        return Installation(Path(java), Path(named).absolute())
    jar = next((root / JAR for root in _sdk_roots() if (root / JAR).is_file()), None)
    if jar is None:
        raise EmulatorMissing("no Firestore emulator found in the gcloud SDK")
    return Installation(Path(java), jar)


@contextlib.contextmanager
def running(installation: Installation) -> Iterator[str]:
    """Runs an emulator and gives its host:port. The first run of all leaves a class archive for the later ones."""
    archive = installation.archive
    making = None if archive.exists() else archive.with_suffix(f".{os.getpid()}.making")
    archive_flag = f"-XX:SharedArchiveFile={archive}" if making is None else f"-XX:ArchiveClassesAtExit={making}"
    process, address = _start(installation, archive_flag)
    try:
        yield address
    finally:
        _stop(process)
        if making is not None and making.exists():
            making.replace(archive)


def _sdk_roots() -> Iterator[Path]:
    """Known layouts first: asking gcloud itself takes a second."""
    gcloud = shutil.which("gcloud")
    if gcloud:
        yield Path(gcloud).resolve().parent.parent
    yield from (Path(root).expanduser() for root in SDK_ROOTS)
    if gcloud:
        question = [gcloud, "info", "--format=value(installation.sdk_root)"]
        asked = subprocess.run(question, capture_output=True, text=True, timeout=60, check=False)
        if asked.stdout.strip():
            yield Path(asked.stdout.strip())


def _start(installation: Installation, archive_flag: str) -> tuple[subprocess.Popen[bytes], str]:
    """Another process may take the free port first: then try the next one."""
    for _ in range(START_ATTEMPTS):
        port = _free_port()
        command = [str(installation.java), *FAST_FLAGS, archive_flag, "-cp", str(installation.jar), MAIN_CLASS,
                   "--host=127.0.0.1", f"--port={port}"]  # fmt: skip
        # Its log holds a stack trace for every failed precondition, 28 MB an hour: nobody reads it.
        process = subprocess.Popen(
            ["sh", "-c", LEASH, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if _answers(process, port):
            return process, f"127.0.0.1:{port}"
        _stop(process)
    raise RuntimeError(f"the Firestore emulator did not start in {START_ATTEMPTS} attempts; run it by hand: {command}")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    give_up = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                return bool(answer.read().strip() == b"Ok" and process.poll() is None)
        except (urllib.error.URLError, OSError):
            time.sleep(0.03)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
