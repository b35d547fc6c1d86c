"""Processes of the bench: started on a core of their own, watched through /proc, and ended with it, however it ends."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STOP_TIMEOUT_S = 15.0
TOOL_TIMEOUT_S = 10.0
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the measured process alone on one core, all that serves the measuring on another."""

    gateway: int
    tools: int
    store: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """RuntimeError on a machine with one core, where nothing could be told apart."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise RuntimeError("the bench needs two cores: one for the gateway, one for the load and the fake upstream")
        return cls(cores[0], cores[1], cores[2] if len(cores) > 2 else cores[1])


def start(command: Sequence[str], core: int, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts a process pinned to `core`, its words in `log`; it dies with the bench."""
    with log.open("ab") as words:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
            preexec_fn=leashed(core),
        )


def leashed(core: int) -> Callable[[], None]:
    """What a child does before it becomes its program: takes its core, and asks to die with its parent."""

    def before_exec() -> None:
        os.sched_setaffinity(0, {core})
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return before_exec


@contextlib.contextmanager
def tool_running(command: Sequence[str], core: int, log: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """A tool that prints "port N" once it listens: the port."""
    process = start(command, core, environment, log)
    try:
        until = time.monotonic() + TOOL_TIMEOUT_S
        while not (words := log.read_text()).startswith("port ") or "\n" not in words:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{Path(command[0]).name} did not start: {words[-500:]}")
            time.sleep(0.01)
        yield int(words.split()[1])
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL to the whole group: nothing of it may go on and spoil the next measure."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            parents.setdefault(int(fields[1]), []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """User and system time that these processes have used, with their reaped children."""
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += sum(int(value) for value in fields[11:15])
    return ticks / TICKS_PER_S


def rss_mb(pids: Sequence[int]) -> float:
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * PAGE_BYTES / MB


def pss_mb(pids: Sequence[int]) -> float:
    """Like RSS, but pages that several processes share count once."""
    kilobytes = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kilobytes += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return kilobytes / 1024


def machine_busy_s() -> tuple[float, float]:
    """Seconds that all cores were busy since boot, and seconds stolen by the hypervisor."""
    fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq) / TICKS_PER_S, steal / TICKS_PER_S


@dataclass(slots=True)
class MemoryWatch:
    """The highest RSS of a process tree while it is watched."""

    pids: Sequence[int]
    peak_mb: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watching(self, every_s: float = 0.2) -> Iterator["MemoryWatch"]:
        def look() -> None:
            while not self._over.wait(every_s):
                self.peak_mb = max(self.peak_mb, rss_mb(self.pids))

        thread = threading.Thread(target=look, name="memory")
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()
            self.peak_mb = max(self.peak_mb, rss_mb(self.pids))


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name: [1] parent, [11:15] utime, stime and those of reaped children."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
