"""Runs one server for the process that started the guard, and outlives it just long enough to clean up.

The guard reads commands from standard input, one a line: `start`, `stop` (the server's own orderly signal),
`kill` (SIGKILL). It answers each with one line: the server's pid, or its exit code. At the end of input - its
user closed the pipe, or died in whatever way - it stops the server and removes the private folder. Without
it a killed test run would leave servers and data behind.
"""

import argparse
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

STOP_SECONDS = 20


def main() -> int:
    """Serve the commands on standard input until it ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True, help="removed at the end")
    parser.add_argument("--stop-signal", type=int, required=True)
    parser.add_argument("--user", help="run the server as this user (needs root)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    # Ctrl-C goes to the user's whole process group; the server must stay until its user has finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server: subprocess.Popen[bytes] | None = None
    try:
        for line in sys.stdin:
            command = line.strip()
            if command == "start":
                server = _start(options.command[1:], options.folder, options.user)
                answer = server.pid
            elif server is not None:
                answer = _end(server, signal.SIGKILL if command == "kill" else options.stop_signal)
            print(answer, flush=True)
    finally:
        if server is not None:
            _end(server, options.stop_signal)
        shutil.rmtree(options.folder, ignore_errors=True)
    return 0


def _start(command: list[str], folder: Path, user: str | None) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
            user=user,
            group=user and _group(user),
            extra_groups=[] if user else None,
        )


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _end(server: subprocess.Popen[bytes], number: int) -> int:
    if server.poll() is None:
        server.send_signal(number)
    try:
        return server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


if __name__ == "__main__":
    sys.exit(main())
