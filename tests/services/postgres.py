"""A private Postgres."""

import contextlib
import os
import pwd
import secrets
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.services import programs
from tests.services.server import Server, ServiceError, free_port, private_folder, running

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Only the address in `url` leads here: no socket files in shared folders.
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
}
# A test database does not outlive its machine, so nothing need reach the disk; transactions, locks and what a
# killed client leaves behind are the same. Benchmarks ask for `durable`.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Postgres(Server):
    """A Postgres whose only role, a superuser, has the password in `url`."""

    name = "Postgres"
    stop_signal = signal.SIGINT  # "fast shutdown"

    def __init__(self, port: int, folder: Path, *, user: str | None, durable: bool) -> None:
        super().__init__(port, folder)
        self.user = user
        self._programs = programs.postgres()
        self._settings = SETTINGS | ({} if durable else NOT_DURABLE) | {"port": str(port)}
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """postgresql://..., for DATABASE_URL."""
        return f"postgresql://quorate:{self._password}@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        """postgres, in the foreground."""
        settings = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        return self._programs.command("postgres", "-D", str(self.folder / "data"), *settings)

    def ping(self) -> None:
        """Ask for a session; a server that still starts answers with an error (57P03)."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            # StartupMessage of protocol 3.0; the answer of a ready server asks for the password (R).
            body = struct.pack("!i", 3 << 16) + b"user\0quorate\0\0"
            connection.sendall(struct.pack("!i", len(body) + 4) + body)
            if connection.recv(1) != b"R":
                raise ConnectionError("Postgres is still starting")

    def prepare(self) -> None:
        """initdb."""
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self.user:
            os.chown(password_file, pwd.getpwnam(self.user).pw_uid, -1)
        arguments = [
            *("-D", str(self.folder / "data"), "-U", "quorate", f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        ]
        done = subprocess.run(
            self._programs.command("initdb", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            check=False,
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )
        if done.returncode != 0:
            raise ServiceError(f"initdb failed:\n{done.stdout}")
        password_file.unlink()


@contextlib.contextmanager
def provide_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A fresh Postgres; `durable` keeps fsync on, as production does. Raises ServiceError."""
    user = _unprivileged()

    def make() -> Postgres:
        return Postgres(free_port(), private_folder(user), user=user, durable=durable)

    with running(make) as server:
        yield server


def _unprivileged() -> str | None:
    """initdb and postgres refuse root: another user, or None where the caller is not root."""
    if os.geteuid() != 0:
        return None
    programs.postgres()  # its Debian package brings the user postgres
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServiceError("Postgres refuses to run as root, and there is no user postgres or nobody")
