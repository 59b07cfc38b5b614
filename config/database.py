"""Database settings from a URL."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def postgres(url: str) -> dict[str, Any]:
    """Django's settings for postgresql://user:password@host:port/name?option=value, with a pool."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured("DATABASE_URL must be a postgresql:// address")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    # ASGI threads come and go; a pool keeps their connections. A lost wake-up must not hang a request for
    # ever: statements, locks and idle transactions have limits.
    options["pool"] = {"min_size": 1, "max_size": 16, "timeout": 10}
    options["options"] = (
        "-c statement_timeout=15000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000"
    )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": options,
        # A pooled connection that died with its server must not cost the next caller an error (T05).
        "CONN_HEALTH_CHECKS": True,
    }
