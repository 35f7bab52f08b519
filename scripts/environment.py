"""The development environment: `setup` builds `.venv` from the locked requirements, `lock` renews the locks.

`peers` builds `.venv-bench`, which holds the libraries that the benchmarks compare with and nothing else of ours.

Needs only the standard library. pip, which every virtual environment has, installs the pinned uv; uv installs the
rest in seconds. `setup` resolves nothing: the lock is the whole truth, and every file in it is checked by its hash.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".setup-stamp"
PYPROJECT = ROOT / "pyproject.toml"
UV_WANTED = ROOT / "requirements" / "uv.in"
UV_LOCK = ROOT / "requirements" / "uv.txt"
LOCK = ROOT / "requirements" / "lock.txt"
PEERS_VENV = ROOT / ".venv-bench"
PEERS_PYTHON = PEERS_VENV / "bin" / "python"
PEERS_STAMP = PEERS_VENV / ".setup-stamp"
PEERS_LOCK = ROOT / "requirements" / "peers.txt"
INPUTS = (Path(__file__), PYPROJECT, UV_LOCK, LOCK)
PEERS_INPUTS = (Path(__file__), UV_LOCK, PEERS_LOCK)
OLDEST = (3, 11)

PIP = (PYTHON, "-m", "pip", "--disable-pip-version-check")
UV = (PYTHON, "-m", "uv", "pip")

# Where pip is told to look, uv must look too: it reads variables of its own and never pip's settings.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
}


def main(arguments: list[str]) -> int:
    """Run one command, `setup`, `peers` or `lock [--upgrade]`; return the exit code of what failed in it, or 0."""
    if sys.version_info < OLDEST:
        return refuse(
            f"Podium needs Python {OLDEST[0]}.{OLDEST[1]} or newer and this is {sys.version.split()[0]}.\n"
            "Name a newer one: make setup PYTHON=python3.12"
        )
    try:
        match arguments:
            case ["setup"]:
                setup()
            case ["peers"]:
                setup()
                peers()
            case ["lock", *options]:
                lock(options)
            case _:
                return refuse("usage: environment.py setup | peers | lock [--upgrade]")
    except subprocess.CalledProcessError as error:
        print(f"This command failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return error.returncode
    return 0


def refuse(message: str) -> int:
    """Print why nothing was done and return the exit code for wrong use."""
    print(message, file=sys.stderr)
    return 2


def setup() -> None:
    """Bring `.venv` up to date; free when it was built from what the files say now."""
    if is_current():
        return
    with LOCK.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not is_current():  # another process may have built it while this one waited
            build()


def is_current() -> bool:
    """Tell whether `.venv` was built from exactly the present inputs."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == digest(VENV, INPUTS)


def digest(venv: Path, inputs: tuple[Path, ...]) -> str:
    """Fingerprint all that an environment is made from, its place included: a copied one must be rebuilt."""
    total = hashlib.sha256(str(venv).encode())
    for path in inputs:
        total.update(path.read_bytes())
    return total.hexdigest()


def build() -> None:
    """Create the environment, install uv, then every locked package, then this package editable."""
    print("setup: building .venv from requirements/ ...", flush=True)
    STAMP.unlink(missing_ok=True)
    if not is_usable():
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit(
                "This Python cannot make environments; on Debian and Ubuntu: apt-get install python3-venv"
            )
        venv.create(VENV, with_pip=True, clear=VENV.exists(), symlinks=True)
    run(*PIP, "install", "-qq", "--no-deps", "--require-hashes", "-r", UV_LOCK)
    environment = uv_environment()
    run(*UV, "sync", "--quiet", "--require-hashes", "--python", PYTHON, LOCK, environment=environment)
    # The build backend is in the lock: no isolated environment is made and nothing unpinned is fetched.
    alone = ("--no-deps", "--no-build-isolation")
    run(*UV, "install", "--quiet", *alone, "--python", PYTHON, "--editable", ROOT, environment=environment)
    STAMP.write_text(digest(VENV, INPUTS))
    print("setup: done", flush=True)


def peers() -> None:
    """Bring `.venv-bench` up to date, with the interpreter of `.venv`; free when nothing has changed."""
    with PEERS_LOCK.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        wanted = f"{version_of(PYTHON)} {digest(PEERS_VENV, PEERS_INPUTS)}"
        if PEERS_PYTHON.exists() and PEERS_STAMP.exists() and PEERS_STAMP.read_text() == wanted:
            return
        print("peers: building .venv-bench from requirements/peers.txt ...", flush=True)
        environment = uv_environment()
        run(
            PYTHON,
            "-m",
            "uv",
            "venv",
            "--quiet",
            "--clear",
            "--python",
            PYTHON,
            PEERS_VENV,
            environment=environment,
        )
        into = ("--python", PEERS_PYTHON)
        run(*UV, "sync", "--quiet", "--require-hashes", *into, PEERS_LOCK, environment=environment)
        PEERS_STAMP.write_text(wanted)
        print("peers: done", flush=True)


def version_of(python: Path) -> str:
    """Return the version of an interpreter."""
    question = "import platform; print(platform.python_version())"
    asked = subprocess.run([python, "-c", question], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def is_usable() -> bool:
    """Tell whether `.venv` runs: a new enough interpreter, with pip, in the place it was made for."""
    if not PYTHON.exists():
        return False
    question = f"import sys, pip; sys.exit(sys.version_info < {OLDEST} or sys.prefix != {str(VENV)!r})"
    return subprocess.run([PYTHON, "-c", question], capture_output=True, check=False).returncode == 0


def lock(options: list[str]) -> None:
    """Write the lock files anew from `pyproject.toml` and `uv.in`, keeping versions unless asked to upgrade."""
    environment = uv_environment()
    everywhere = ("--universal", "--python-version", f"{OLDEST[0]}.{OLDEST[1]}", "--generate-hashes")
    no_place = ("--no-header", "--no-emit-index-url", "--no-emit-find-links")
    for sources, written in (
        ((UV_WANTED.relative_to(ROOT),), UV_LOCK),
        ((PYPROJECT.relative_to(ROOT), "--all-extras", "--group", "weights"), LOCK),
        (("--group", "peers"), PEERS_LOCK),
    ):
        chosen = (*options, *sources, "-o", written.relative_to(ROOT))
        command = (*UV, "compile", "--quiet", *everywhere, *no_place, *chosen)
        run(*command, environment=environment)


def uv_environment() -> dict[str, str]:
    """Return the variables that make uv look where pip is told to look on this machine."""
    environment = {**os.environ, "UV_NO_PROGRESS": "1"}
    settings = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True)
    for line in settings.stdout.splitlines():
        name, _, value = line.partition("=")
        variable = PIP_TO_UV.get(name.rpartition(".")[2])
        if variable:
            values = ast.literal_eval(value).split()
            # Of a folder that is not there pip only warns, where uv stops.
            usable = [each for each in values if not each.startswith("/") or Path(each).exists()]
            environment.setdefault(variable, ",".join(usable))
    return environment


def run(*command: Path | str, environment: dict[str, str] | None = None) -> None:
    """Run one command from the repository root, raising CalledProcessError when it fails."""
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
