"""A private Redis."""

import contextlib
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.services import programs
from tests.services.server import Server, free_port, private_folder, running


class Redis(Server):
    """A Redis without persistence: after `kill` and `start` it is empty."""

    name = "Redis"
    stop_signal = signal.SIGTERM

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__(port, folder)
        self._password = secrets.token_hex(16)
        # In a file, because everybody sees a command line.
        configuration = folder / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f'bind 127.0.0.1\nport {port}\nrequirepass {self._password}\nsave ""\nappendonly no\n'
            f"daemonize no\ndir {folder}\n"
        )

    @property
    def url(self) -> str:
        """redis://..., for REDIS_URL."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """redis-server, in the foreground."""
        return programs.redis().command("redis-server", str(self.folder / "redis.conf"))

    def ping(self) -> None:
        """AUTH and PING."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            answer = b""
            while not answer.endswith(b"+PONG\r\n"):
                part = connection.recv(64)
                if not part or len(answer) > 256:
                    raise ConnectionError(f"Redis answered {answer!r}")
                answer += part


@contextlib.contextmanager
def provide_redis() -> Iterator[Redis]:
    """A fresh Redis. Raises ServiceError."""
    with running(lambda: Redis(free_port(), private_folder(None))) as server:
        yield server
