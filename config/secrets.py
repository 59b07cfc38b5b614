"""Secrets that the coordinator keeps in files."""

import os
import secrets
from pathlib import Path


def secret_file(path: Path) -> bytes:
    """The 32 random bytes kept in `path` (mode 600), made on first use.

    Safe when two processes start at once.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        value = bytes.fromhex(path.read_text().strip())
    else:
        value = secrets.token_bytes(32)
        with os.fdopen(descriptor, "w") as file:
            file.write(value.hex())
            file.flush()
            os.fsync(file.fileno())
    if len(value) != 32:
        raise ValueError(f"{path.name} does not hold 32 bytes in hex")
    return value
