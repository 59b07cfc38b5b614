"""Makes the secret files that compose.yaml mounts, each once: python3 docker/make_secrets.py [FOLDER]

Run it as root: the containers' users have to be able to read the files, and nobody else. Nothing but the
standard library is needed.
"""

import os
import secrets
import sys
from pathlib import Path

USER = 10001
# The images of Postgres and Redis run as this user.
SERVICES_USER = 999
_SERVICES = ("postgres_password", "coordinator_password", "service_signer_password", "redis_conf")


def main(folder: Path) -> None:
    """Write what is missing; a file that exists stays as it is."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)

    def keep(name: str, text: str) -> str:
        path = folder / name
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            if os.geteuid() == 0:
                os.chown(path, *2 * (SERVICES_USER if name in _SERVICES else USER,))
        return path.read_text()

    keep("secret_key", secrets.token_urlsafe(60))
    keep("response_signing_key", secrets.token_hex(32))
    keep("metrics_token", secrets.token_hex(32))
    keep("service_signer_key", secrets.token_hex(32))
    keep("postgres_password", secrets.token_hex(32))
    coordinator = keep("coordinator_password", secrets.token_hex(32))
    keep("database_url", f"postgresql://quorate_coordinator:{coordinator}@postgres:5432/quorate_coordinator")
    signer = keep("service_signer_password", secrets.token_hex(32))
    keep(
        "service_signer_database_url",
        f"postgresql://quorate_service_signer:{signer}@postgres:5432/quorate_service_signer",
    )
    configuration = keep("redis_conf", f'requirepass {secrets.token_hex(32)}\nsave ""\nappendonly no\n')
    keep("redis_url", f"redis://:{configuration.split()[1]}@redis:6379/0")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "secrets")
