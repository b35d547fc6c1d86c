"""Builds and starts what a Dockerfile describes without a container engine: the same commands, files, user and entry.

Each stage is a folder. `RUN` and `COPY` work on it with absolute paths moved inside; the base image is this machine with
one of its Pythons. With root's rights a start happens in a file system of its own, which holds the last stage's files and
of the machine only /usr, the libraries and that Python; without, in the folder and as the present user.
"""

import contextlib
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM = ("usr", "lib", "lib64", "bin", "sbin", "dev")


@dataclass
class Image:
    """The last stage: its files, and how it is started."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """Where an absolute path of the image lies on this machine."""
        return self.root / path.lstrip("/")


@dataclass(frozen=True, slots=True)
class Started:
    """A process, and the file that its output goes to."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def ended(self, within_s: float) -> int:
        """Its exit code; TimeoutExpired."""
        return self.process.wait(within_s)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Name and rest of each, continuation lines joined and comments dropped."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def python() -> Path:
    """The Python that stands for the base image's: 3.13 if there is one."""
    wanted = [shutil.which("python3.13"), *glob.glob(os.path.expanduser("~/.pyenv/versions/3.13*/bin/python3.13"))]
    for candidate in [*filter(None, wanted), sys.executable]:
        asked = [candidate, "-c", "import os, pip, sys; print(os.path.realpath(sys.executable))"]
        told = subprocess.run(asked, capture_output=True, text=True)
        if told.returncode == 0:
            return Path(told.stdout.strip())
    raise AssertionError("no Python with pip found")


def build(context: Path, folder: Path) -> Image:
    """Follows CONTEXT/Dockerfile; CalledProcessError if a command of it fails."""
    stages: dict[str, Image] = {}
    given: dict[str, str] = {}
    image = Image(folder)
    for name, rest in instructions((context / "Dockerfile").read_text()):
        rest = re.sub(r"\$\{(\w+)\}", lambda match: given.get(match[1], match[0]), rest)
        match name:
            case "ARG":
                given[rest.partition("=")[0]] = rest.partition("=")[2]
            case "FROM":
                _, _, stage = re.sub(r"\s+AS\s+", "\0", rest, flags=re.I).partition("\0")
                image = Image(folder / f"stage-{len(stages)}")
                image.root.mkdir(parents=True)
                stages[stage or str(len(stages))] = image
            case "WORKDIR":
                image.workdir = rest
                image.inside(rest).mkdir(parents=True, exist_ok=True)
            case "ENV":
                image.environment.update((part.partition("=")[0], part.partition("=")[2]) for part in shlex.split(rest))
            case "USER":
                image.user = rest
            case "COPY":
                copy(rest.split(), context, image, stages)
            case "RUN":
                run(rest, image)
            case "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
            case "CMD":
                image.command = json.loads(rest)
            case "EXPOSE":
                pass
            case _:
                raise AssertionError(f"{name} is not understood here")
    return image


def copy(words: Sequence[str], context: Path, image: Image, stages: dict[str, Image]) -> None:
    options = [word for word in words if word.startswith("--")]
    source, target = [word for word in words if not word.startswith("--")]
    origin = context / source
    if options:
        origin = stages[options[0].removeprefix("--from=")].inside(source)
    into = image.inside(os.path.join(image.workdir, target))
    if origin.is_dir():
        ignored = None if options else shutil.ignore_patterns("__pycache__")
        shutil.copytree(origin, into, dirs_exist_ok=True, symlinks=True, ignore=ignored)
    else:
        shutil.copy2(origin, into / origin.name if into.is_dir() else into)


def run(command: str, image: Image) -> None:
    bin_folder = link_python(image.root.parent / "bin", python())
    moved = re.sub(r"(?<![\w/.])/app\b", str(image.inside("/app")), command)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME", "http", "no_proxy"))}
    subprocess.run(
        ["sh", "-c", moved], cwd=image.inside(image.workdir), check=True, capture_output=True, text=True,
        env={**kept, "PATH": f"{bin_folder}:/usr/bin:/bin", "SOURCE_DATE_EPOCH": ""} | image.environment,
    )  # fmt: skip


def link_python(folder: Path, target: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "python").symlink_to(target)
    return folder


def size_bytes(root: Path) -> int:
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())


@contextlib.contextmanager
def started(image: Image, words: Sequence[str] = (), **environment: str) -> Iterator[Started]:
    """The entry command as an engine would start it; ended by SIGKILL if it still runs. `words` replace CMD."""
    command = [*image.entrypoint, *(words or image.command)]
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("setpriv"):
        arguments, cwd, env = confined(image, command, environment)
    else:
        arguments, cwd, env = beside(image, command, environment)
    log = image.root.parent / f"said-{time.monotonic_ns()}.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield Started(process, log)
        finally:
            process.kill()
            process.wait()


def confined(image: Image, command: list[str], environment: dict[str, str]) -> tuple[list[str], Path, dict[str, str]]:
    """In a mount namespace of its own, with the image's folder as `/` and as the image's user."""
    root, found = image.root, python()
    prefix = found.parent.parent
    (root / "tmp").mkdir(mode=0o1777, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/ssl").mkdir(parents=True, exist_ok=True)
    (root / "opt/python").mkdir(parents=True, exist_ok=True)
    link_python(root / "opt/bin", Path("/opt/python") / found.relative_to(prefix))
    mounts = [f"mount --bind {shlex.quote(str(prefix))} {root}/opt/python", f"mount --bind /etc/ssl {root}/etc/ssl"]
    for name in SYSTEM:
        if Path("/", name).is_dir():
            (root / name).mkdir(exist_ok=True)
            mounts.append(f"mount --rbind /{name} {root}/{name}")
    user, _, group = image.user.partition(":")
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"
    enter = [chroot, str(root), "setpriv", f"--reuid={user}", f"--regid={group or user}", "--clear-groups", "--no-new-privs",
             "sh", "-c", f"cd {image.workdir} && exec {shlex.join(command)}"]  # fmt: skip
    script = " && ".join([*mounts, "exec " + shlex.join(enter)])
    env = {"PATH": "/opt/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": "/opt/python/lib", "HOME": "/"} | image.environment | environment
    return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script], root, env


def beside(image: Image, command: list[str], environment: dict[str, str]) -> tuple[list[str], Path, dict[str, str]]:
    app = str(image.inside("/app"))
    own = {name: re.sub(r"(?<![\w/.])/app\b", app, value) for name, value in image.environment.items()}
    path = link_python(image.root.parent / "bin", python())
    return command, image.inside(image.workdir), {"PATH": f"{path}:/usr/bin:/bin", "HOME": "/nonexistent", **own, **environment}
