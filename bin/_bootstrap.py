"""Makes the checkout's virtual environments: `python -m bin._bootstrap LOCK...` (the names in ENVIRONMENTS).

Every package has its hash in requirements/*.txt, and is a wheel but for one. A second run finds the stamp
that the first one left and does nothing; two runs at once take turns. pip reads its configuration (pip.conf,
PIP_*) as always.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bin import _coincurve, _debian, _node

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
REQUIREMENTS = ROOT / "requirements"
JAVASCRIPT = ROOT / "tests" / "sdk" / "javascript"
OLDEST, NEWEST = (3, 11), (3, 14)

# LOCK: environment, the locks that it contains.
ENVIRONMENTS = {
    "run": (".venv", ("run",)),
    "dev": (".venv", ("run", "dev")),
    "cobo-waas2": (".venv-cobo-waas2", ("cobo-waas2",)),
    "cobo-waas2-140": (".venv-cobo-waas2-140", ("cobo-waas2-140",)),
    "node": (".venv-node", ("node",)),
}


class BootstrapError(RuntimeError):
    """The environment cannot be made; the message says what to do."""


def main(names: list[str]) -> int:
    """Make the environments of `names` ready; 0, or 1 with the reason on standard error."""
    try:
        if unknown := set(names) - set(ENVIRONMENTS):
            raise BootstrapError(f"no such lock: {', '.join(sorted(unknown))}")
        if not OLDEST <= sys.version_info[:2] <= NEWEST:
            raise BootstrapError(f"Python 3.11 to 3.14 is needed, this is {sys.version.split()[0]}")
        if all(_ready(name) for name in names):
            return 0
        with exclusive("bootstrap.lock"):
            for name in names:
                if not _ready(name):
                    _make(name)
    except (BootstrapError, _debian.DebianError, _coincurve.CoincurveError, _node.NodeError) as error:
        print(f"Setting up failed: {error}", file=sys.stderr)
        return 1
    return 0


def _digest(lock: str) -> str:
    """What an installed lock is known by: its own text, and those of the installer and the special cases."""
    text = hashlib.sha256()
    for name in (lock, "pip", "coincurve-py314", "embit"):
        text.update((REQUIREMENTS / f"{name}.txt").read_bytes())
    if lock == "node":
        text.update((JAVASCRIPT / "package-lock.json").read_bytes())
    return text.hexdigest()


def _stamp(venv: Path) -> dict[str, str]:
    """What is installed in `venv`: lock name to digest, and the version of its Python; {} when unknown."""
    try:
        stamp: dict[str, str] = json.loads((venv / "quorate.json").read_text())
    except (OSError, ValueError):
        return {}
    python = subprocess.run(
        [venv / "bin" / "python", "-c", "import sys; print(sys.version)"],
        capture_output=True,
        text=True,
        check=False,
    ) if (venv / "bin" / "python").exists() else None  # fmt: skip
    alive = python is not None and python.returncode == 0 and python.stdout.strip() == stamp.get("python")
    return stamp if alive else {}


def _ready(name: str) -> bool:
    folder, locks = ENVIRONMENTS[name]
    stamp = _stamp(ROOT / folder)
    return all(stamp.get(lock) == _digest(lock) for lock in locks)


def _make(name: str) -> None:
    folder, locks = ENVIRONMENTS[name]
    venv = ROOT / folder
    stamp = _stamp(venv)
    # What another version of a lock installed would stay behind and hide a missing requirement: begin anew.
    if not stamp or any(stamp[lock] != _digest(lock) for lock in stamp if lock != "python"):
        shutil.rmtree(venv, ignore_errors=True)
        _debian.say(f"Making {folder} with Python {sys.version.split()[0]} ...")
        _make_venv(venv)
        stamp = {}
    _debian.say(f"Installing requirements/{name}.txt into {folder} ...")
    python = venv / "bin" / "python"
    _pip([str(python), "-m", "pip"], "install", "--requirement", str(REQUIREMENTS / f"{name}.txt"))
    # The environment's Python, which need not be the one that runs this.
    version = _output([str(python), "-c", "import sys; print(sys.version)"])
    if "run" in locks and "run" not in stamp and version.startswith("3.14."):
        _coincurve.install(python, REQUIREMENTS / "coincurve-py314.txt")
    if "dev" in locks:
        # Without isolation no unlocked build tool can come in.
        source = ["--no-binary=embit", "--no-build-isolation", "--no-deps"]
        embit = REQUIREMENTS / "embit.txt"
        _pip([str(python), "-m", "pip"], "install", *source, "--requirement", str(embit))
    if "node" in locks:
        _node.install(venv, JAVASCRIPT)
    # The checkout itself, importable from any working directory.
    site_packages = _output([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    Path(site_packages, "quorate.pth").write_text(f"{ROOT}\n")
    installed = stamp | {"python": version} | {lock: _digest(lock) for lock in locks}
    partial = venv / "quorate.json.new"
    partial.write_text(json.dumps(installed, indent=1))
    partial.replace(venv / "quorate.json")


def _make_venv(venv: Path) -> None:
    """A virtual environment that holds the locked pip, whatever parts of Python the machine lacks."""
    if importlib.util.find_spec("venv") is None:
        raise BootstrapError(f"{sys.executable} has no venv module: install Python's full standard library")
    pip = [str(venv / "bin" / "python"), "-m", "pip"]
    if not _venv(venv):
        # Debian keeps ensurepip in a package of its own.
        _install_venv_package()
        if not _venv(venv):
            _venv(venv, "--without-pip")
            pip = [str(venv / "bin" / "python"), str(_pip_wheel() / "pip")]
    _pip(pip, "install", "--requirement", str(REQUIREMENTS / "pip.txt"))


def _venv(venv: Path, *options: str) -> bool:
    if not options and importlib.util.find_spec("ensurepip") is None:
        return False
    command = [sys.executable, "-m", "venv", "--clear", *options, str(venv)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0 and options:
        raise BootstrapError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.returncode == 0


def _install_venv_package() -> None:
    if os.geteuid() != 0 or not _debian.available() or sys.base_prefix != "/usr":
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    _debian.say(f"Python's venv module is incomplete: installing the Debian package {package} ...")
    try:
        _debian.install([package])
    except _debian.DebianError as error:
        _debian.say(f"{error}\nGoing on without it.")
    importlib.invalidate_caches()


def _pip_wheel() -> Path:
    """A wheel of pip, from Debian: installed already, or downloaded (apt checks signature and hash)."""
    shared = Path("usr/share/python-wheels")
    unpacked = CACHE / "debian-pip"
    if not list((Path("/") / shared).glob("pip-*.whl")) and not list((unpacked / shared).glob("pip-*.whl")):
        if not _debian.available():
            raise BootstrapError(f"{sys.executable} has no ensurepip module: install it (python3-venv)")
        _debian.say("Python's venv module is incomplete: downloading pip as a Debian package ...")
        _debian.unpack(["python3-pip-whl"], unpacked, dependencies=False)
    wheels = [*(Path("/") / shared).glob("pip-*.whl"), *(unpacked / shared).glob("pip-*.whl")]
    if not wheels:
        raise BootstrapError("the Debian package python3-pip-whl holds no pip wheel; install python3-venv")
    return wheels[0]


def _pip(pip: list[str], command: str, *arguments: str) -> None:
    """Run pip with nothing but wheels, each with a locked hash."""
    fixed = [
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    done = subprocess.run([*pip, command, *fixed, *arguments], stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise BootstrapError("pip failed; its own message is above")


def _output(command: list[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """One process at a time, by a lock file in the cache folder."""
    CACHE.mkdir(exist_ok=True)
    # The kernel frees the lock when its holder ends, however it ends.
    with (CACHE / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _debian.say("Another bin/ command is setting up; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
