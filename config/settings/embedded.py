"""First run: one web process with SQLite, an in-memory broker and the worker in a thread. Loopback only.

State lives in the folder QUORATE_STATE (default: var/ in the checkout); secrets are made there on first use.
"""

import os
from pathlib import Path

from config.secrets import secret_file
from config.settings.base import *  # noqa: F403
from config.settings.base import BASE_DIR, QUORATE

STATE_DIR = Path(os.environ.get("QUORATE_STATE", BASE_DIR / "var")).resolve()
STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

DEBUG = False
SECRET_KEY = secret_file(STATE_DIR / "secret_key").hex()
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
# The admin of the demo lives on http://localhost:PORT, whatever the port.
CSRF_TRUSTED_ORIGINS = ["http://localhost"]
# A passkey knows the exact origin, and so the port; bin/quickstart says which it is.
WEBAUTHN_ORIGINS = [f"http://localhost:{os.environ.get('QUORATE_PORT', '8700')}"]
# There is no TLS on loopback.
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": STATE_DIR / "coordinator.sqlite3",
        # Tests use a file too: a database in memory has other locks.
        "TEST": {"NAME": STATE_DIR / "test.sqlite3"},
        "OPTIONS": {
            # IMMEDIATE: a transaction that will write takes the lock at once, so it never fails half-way
            # (SQLITE_BUSY).
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
        },
    }
}

CELERY_BROKER_URL = "memory://"
# Kombu's memory transport polls; its default interval would cost up to a second a task.
CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.01}

QUORATE = QUORATE | {
    "RESPONSE_SIGNING_KEY": secret_file(STATE_DIR / "response_signing_key"),
    "WAKEUPS": "memory",
    "EMBEDDED_WORKER": True,
    "WEBHOOK_NETWORKS": ("127.0.0.0/8",),
    "SITE_URL": os.environ.get("SITE_URL", QUORATE["SITE_URL"]),
}
