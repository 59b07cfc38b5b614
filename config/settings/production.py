"""Postgres, Redis, several web and worker processes, HTTPS in front. Refuses the embedded parts.

Environment: SECRET_KEY, DATABASE_URL, REDIS_URL, ALLOWED_HOSTS (comma separated), RESPONSE_SIGNING_KEY (64
hex); optional SERVICE_SIGNER (poll | celery), METRICS_TOKEN, LOG_FORMAT (json | line), WEBHOOK_NETWORKS
(CIDR, comma separated: networks that are not public and that webhooks may go to), WEBHOOK_PORTS (comma
separated), WEBAUTHN_RP_ID (default: the first of ALLOWED_HOSTS), WEBAUTHN_ORIGINS (comma separated; default:
https:// of the ALLOWED_HOSTS at or under it) and the limits of base.py that are whole numbers, by their names
(CEREMONY_DEADLINE_S, ROUND_TIMEOUT_S, JOB_LEASE_S, ...). Letters to approvers are sent where EMAIL_HOST is
set; then EMAIL_FROM too, and optionally EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_SECURITY
(starttls | tls | none) and SITE_URL (default: https:// and the first of ALLOWED_HOSTS). Secrets and addresses
may stand in files instead, which NAME_FILE names.
"""

import ipaddress
import os
import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config.database import postgres
from config.environment import from_environment, required
from config.settings.base import *  # noqa: F403
from config.settings.base import LOGGING, QUORATE, REDIS_TRANSPORT_OPTIONS, log_format

_MIN_SECRET_KEY = 50


DEBUG = False
SECRET_KEY = required("SECRET_KEY")
if len(SECRET_KEY) < _MIN_SECRET_KEY:
    raise ImproperlyConfigured(f"SECRET_KEY must have at least {_MIN_SECRET_KEY} characters")
ALLOWED_HOSTS = [host.strip() for host in required("ALLOWED_HOSTS").split(",") if host.strip()]
if not ALLOWED_HOSTS or any("*" in host or host.startswith(".") for host in ALLOWED_HOSTS):
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts, without wildcards")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS]
# A passkey is bound to this name for ever: choose one that stays.
WEBAUTHN_RP_ID = os.environ.get("WEBAUTHN_RP_ID", ALLOWED_HOSTS[0])
_origins = os.environ.get("WEBAUTHN_ORIGINS") or ",".join(
    f"https://{host}" for host in ALLOWED_HOSTS if f".{host}".endswith(f".{WEBAUTHN_RP_ID}")
)
WEBAUTHN_ORIGINS = [origin.strip() for origin in _origins.split(",") if origin.strip()]
_hosts = [urlsplit(origin).hostname or "" for origin in WEBAUTHN_ORIGINS]
if not 1 <= len(_hosts) <= 4 or not all(f".{host}".endswith(f".{WEBAUTHN_RP_ID}") for host in _hosts):
    raise ImproperlyConfigured("WEBAUTHN_ORIGINS must be one to four origins at or under WEBAUTHN_RP_ID")
DATABASES = {"default": postgres(required("DATABASE_URL"))}

REDIS_URL = required("REDIS_URL")
if not REDIS_URL.startswith(("redis://", "rediss://")):
    raise ImproperlyConfigured("REDIS_URL must be a redis:// or rediss:// address")
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = REDIS_TRANSPORT_OPTIONS

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = False  # The compatible API never redirects; the proxy speaks HTTPS only.
SECURE_HSTS_SECONDS = 31_536_000
# W005, W021: what else lives under the operator's domain is not for this site to decide. W008: see above.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
# An admin session ends with the working day.
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

_response_key_text = required("RESPONSE_SIGNING_KEY")
if not re.fullmatch(r"[0-9a-fA-F]{64}", _response_key_text):
    raise ImproperlyConfigured("RESPONSE_SIGNING_KEY must be 64 hex digits")
_response_key = bytes.fromhex(_response_key_text)


def limit(name: str) -> int:
    """The environment variable `name`, a whole number above zero."""
    text = os.environ[name]
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
        raise ImproperlyConfigured(f"{name} must be a whole number above zero")
    return int(text)


LOGGING["handlers"]["stderr"]["formatter"] = log_format("json")

_MIN_TOKEN = 32
_metrics_token = from_environment("METRICS_TOKEN")
if _metrics_token and len(_metrics_token) < _MIN_TOKEN:
    raise ImproperlyConfigured(f"METRICS_TOKEN must have at least {_MIN_TOKEN} characters")


def several(name: str) -> list[str]:
    """The environment variable `name`, words with commas between them."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def networks(name: str) -> tuple[str, ...]:
    """The environment variable `name`, networks in CIDR notation."""
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in several(name))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def ports(name: str) -> tuple[int, ...]:
    """The environment variable `name`, port numbers."""
    texts = several(name)
    if not all(re.fullmatch(r"[1-9][0-9]{0,4}", text) and int(text) < 65536 for text in texts):
        raise ImproperlyConfigured(f"{name} must be port numbers with commas between them")
    return tuple(int(text) for text in texts)


EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = os.environ.get("EMAIL_HOST", "")
EMAIL_PORT = limit("EMAIL_PORT") if "EMAIL_PORT" in os.environ else 587
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = from_environment("EMAIL_HOST_PASSWORD")
_email_security = os.environ.get("EMAIL_SECURITY", "starttls")
if _email_security not in ("starttls", "tls", "none"):
    raise ImproperlyConfigured("EMAIL_SECURITY must be starttls, tls or none")
EMAIL_USE_TLS, EMAIL_USE_SSL = _email_security == "starttls", _email_security == "tls"
if EMAIL_HOST:
    DEFAULT_FROM_EMAIL = required("EMAIL_FROM")
_site_url = os.environ.get("SITE_URL", f"https://{ALLOWED_HOSTS[0]}").rstrip("/")
if not re.fullmatch(r"https?://[^/?#\s]+", _site_url):
    raise ImproperlyConfigured("SITE_URL must be scheme and host, as https://quorate.example.com")

_limits = {name: limit(name) for name, value in QUORATE.items() if type(value) is int and name in os.environ}

QUORATE = (QUORATE | _limits) | {
    "RESPONSE_SIGNING_KEY": _response_key,
    "WAKEUPS": "redis",
    "REDIS_URL": REDIS_URL,
    "METRICS_TOKEN": _metrics_token,
    "WEBHOOK_NETWORKS": networks("WEBHOOK_NETWORKS"),
    "WEBHOOK_PORTS": ports("WEBHOOK_PORTS") or QUORATE["WEBHOOK_PORTS"],
    "SERVICE_SIGNER": os.environ.get("SERVICE_SIGNER", "celery"),
    "SITE_URL": _site_url,
    "LETTERS": bool(EMAIL_HOST),
}
