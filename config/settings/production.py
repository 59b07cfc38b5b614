"""Postgres, Redis, several web and worker processes, HTTPS in front. Refuses the embedded parts.

Environment: SECRET_KEY, DATABASE_URL, REDIS_URL, ALLOWED_HOSTS (comma separated), RESPONSE_SIGNING_KEY (64
hex); optional SERVICE_SIGNER (poll | celery) and the limits of base.py that are whole numbers, by their names
(CEREMONY_DEADLINE_S, ROUND_TIMEOUT_S, JOB_LEASE_S, ...).
"""

import os

from django.core.exceptions import ImproperlyConfigured

from config.database import postgres
from config.settings.base import *  # noqa: F403
from config.settings.base import QUORATE, REDIS_TRANSPORT_OPTIONS


def required(name: str) -> str:
    """The environment variable `name`, which a production site cannot do without."""
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"set {name} in the environment")
    return value


DEBUG = False
SECRET_KEY = required("SECRET_KEY")
ALLOWED_HOSTS = required("ALLOWED_HOSTS").split(",")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS]
DATABASES = {"default": postgres(required("DATABASE_URL"))}

REDIS_URL = required("REDIS_URL")
if not REDIS_URL.startswith(("redis://", "rediss://")):
    raise ImproperlyConfigured("REDIS_URL must be a redis:// or rediss:// address")
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = REDIS_TRANSPORT_OPTIONS

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = False  # The compatible API never redirects; the proxy speaks HTTPS only.
SECURE_HSTS_SECONDS = 31_536_000
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

_response_key = bytes.fromhex(required("RESPONSE_SIGNING_KEY"))
if len(_response_key) != 32:
    raise ImproperlyConfigured("RESPONSE_SIGNING_KEY must be 64 hex digits")

_limits = {
    name: int(os.environ[name])
    for name, value in QUORATE.items()
    if type(value) is int and name in os.environ
}

QUORATE = (QUORATE | _limits) | {
    "RESPONSE_SIGNING_KEY": _response_key,
    "WAKEUPS": "redis",
    "REDIS_URL": REDIS_URL,
    "SERVICE_SIGNER": os.environ.get("SERVICE_SIGNER", "celery"),
}
