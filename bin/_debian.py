"""Debian packages: installed by root, or downloaded and unpacked into a private folder by anybody else.

apt verifies the archive's signature and every package's hash in both cases.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POLICY_RC_D = Path("/usr/sbin/policy-rc.d")


class DebianError(RuntimeError):
    """apt or dpkg could not provide a package; the message ends with its own last lines."""


def available() -> bool:
    """Is this a Debian-like machine?"""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def install(packages: Sequence[str]) -> None:
    """Install `packages` system-wide, as root, without starting the services that they bring."""
    with _no_services():
        _run(["apt-get", "update"])
        _run(["apt-get", "install", "--yes", "--no-install-recommends", *packages])


def unpack(packages: Sequence[str], folder: Path, *, dependencies: bool = True) -> None:
    """Download `packages` and what they need beyond the installed packages, and unpack them into `folder`.

    Needs no rights: apt keeps its lists and downloads in `folder`.apt.
    """
    apt_folder = folder.with_name(folder.name + ".apt")
    downloads = apt_folder / "downloads"
    for path in (downloads, apt_folder / "lists" / "partial", apt_folder / "archives" / "partial"):
        path.mkdir(parents=True, exist_ok=True)
    options = [
        *("-o", f"Dir::State={apt_folder}", "-o", f"Dir::State::Lists={apt_folder}/lists"),
        *("-o", f"Dir::Cache={apt_folder}", "-o", "Dir::State::status=/var/lib/dpkg/status"),
        *("-o", "Debug::NoLocking=true", "-o", f"APT::Sandbox::User={_user_name()}"),
        *("-o", "Acquire::AllowInsecureRepositories=false", "-o", "APT::Get::AllowUnauthenticated=false"),
    ]
    _run(["apt-get", *options, "update"])
    wanted = list(packages)
    if dependencies:
        plan = _run(["apt-get", *options, "--simulate", "--no-install-recommends", "install", *packages])
        # Not "Inst name [installed version] (version": an upgrade could mix two C libraries.
        wanted = [f"{name}={version}" for name, version in re.findall(r"^Inst (\S+) \((\S+)", plan, re.M)]
    _run(["apt-get", *options, "download", *wanted], cwd=downloads)
    for package in sorted(downloads.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(folder)])
    shutil.rmtree(apt_folder)


def _user_name() -> str:
    return "root" if os.geteuid() == 0 else ""


def _run(command: list[str], cwd: Path | None = None) -> str:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise DebianError(f"{command[0]} failed ({done.returncode}):\n{tail}")
    return done.stdout


@contextmanager
def _no_services() -> Iterator[None]:
    """Packages ask policy-rc.d before they start a service; 101 means no. An existing file is left alone."""
    if POLICY_RC_D.exists():
        yield
        return
    POLICY_RC_D.write_text("#!/bin/sh\nexit 101\n")
    POLICY_RC_D.chmod(0o755)
    try:
        yield
    finally:
        POLICY_RC_D.unlink(missing_ok=True)


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)
