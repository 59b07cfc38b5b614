"""Secrets that the coordinator keeps in files."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path


def secret_file(path: Path) -> bytes:
    """The 32 random bytes kept in `path` (mode 600), made on first use.

    Safe when two processes start at once.
    """
    if not path.exists():
        _make(path)
    value = bytes.fromhex(path.read_text().strip())
    if len(value) != 32:
        raise ValueError(f"{path.name} does not hold 32 bytes in hex")
    return value


def _make(path: Path) -> None:
    # Whole before it has its name: another process that starts now must not read half of it.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_bytes(32).hex())
        file.flush()
        os.fsync(file.fileno())
    # Another one may have been first; then its file stays.
    with contextlib.suppress(FileExistsError):
        os.link(name, path)
    os.unlink(name)
