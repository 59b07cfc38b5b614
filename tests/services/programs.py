"""Server programs: those of the machine, else Debian packages (root installs, anybody else unpacks them)."""

import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bin import _debian
from bin._bootstrap import CACHE, exclusive
from tests.services.server import ServiceError

UNPACKED = CACHE / "debian"


@dataclass(frozen=True)
class Programs:
    """A folder with a server's programs, and the folders of the libraries that it cannot find by itself."""

    folder: Path
    libraries: tuple[Path, ...] = ()

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line that runs one of the programs."""
        command = [str(self.folder / program), *arguments]
        if self.libraries:
            return ["env", f"LD_LIBRARY_PATH={self._library_path}", *command]
        return command

    def environment(self) -> dict[str, str]:
        """The environment in which the programs run, for those who start them by other means."""
        return {**os.environ, **({"LD_LIBRARY_PATH": self._library_path} if self.libraries else {})}

    @property
    def _library_path(self) -> str:
        return ":".join(str(library) for library in self.libraries)


@cache
def postgres() -> Programs:
    """Programs of the newest Postgres (14 or later) that can be had."""
    return _provide("postgres", "postgresql", "DATABASE_URL")


@cache
def redis() -> Programs:
    """Programs of a Redis server."""
    return _provide("redis-server", "redis-server", "REDIS_URL")


@cache
def chromium() -> Programs:
    """Chromium, for the tests of pages."""
    return _provide("chromium", "chromium", "PATH")


def _provide(program: str, package: str, variable: str) -> Programs:
    if found := _find(program, Path("/")):
        return found
    if not _debian.available():
        raise ServiceError(f"no {program} on this machine: install it, or set {variable}")
    with exclusive("services.lock"):
        unpacked = UNPACKED / package
        if found := _find(program, Path("/")) or _find(program, unpacked):
            return found
        try:
            if os.geteuid() == 0:
                _debian.say(f"Installing the Debian package {package} ...")
                _debian.install([package])
            else:
                _debian.say(f"Downloading the Debian package {package} into {unpacked} ...")
                shutil.rmtree(unpacked, ignore_errors=True)
                _debian.unpack([package], unpacked)
        except _debian.DebianError as error:
            raise ServiceError(f"no {program} on this machine; set {variable}, or: {error}") from error
        found = _find(program, Path("/")) or _find(program, unpacked)
        if found is None:
            raise ServiceError(f"the Debian package {package} brought no {program}; set {variable}")
        return found


def _find(program: str, root: Path) -> Programs | None:
    """`program` on PATH (for `/` only), or where Debian keeps it below `root`: the newest version."""
    debian = sorted((root / "usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    path = [Path(folder) for folder in os.environ.get("PATH", "").split(":")] if root == Path("/") else []
    # Not Debian's script of the same name, which looks for the browser below / only.
    browser = [root / "usr/lib/chromium"] if program == "chromium" else []
    for folder in [*browser, *path, *debian, root / "usr/bin"]:
        if os.access(folder / program, os.X_OK):
            # A link into Debian's tree: its neighbours (initdb) are where it points to.
            real = (folder / program).resolve().parent if program == "postgres" else folder
            return Programs(real, () if root == Path("/") else _libraries(root))
    return None


def _version(folder: Path) -> int:
    number = re.match(r"\d+", folder.parent.name)
    return int(number[0]) if number else 0


def _libraries(root: Path) -> tuple[Path, ...]:
    """The library folders of an unpacked tree: usr/lib/TRIPLET and usr/lib, and those directly below lib."""
    return tuple(sorted({library.parent for library in root.glob("**/lib*.so.*")}))
