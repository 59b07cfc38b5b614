"""What every way of running the coordinator has in common."""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VERSION = "0.1.0"

INSTALLED_APPS = [
    # Before the framework's admin, whose frame it gives another look.
    "dashboard.apps.DashboardConfig",
    "dashboard.apps.QuorateAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "audit",
    "webhooks",
    "vaults",
    "tss",
    "accounts",
]

# Only what the async node views tolerate: every entry is async-capable, so long polls hold no thread.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.csp.content_security_policy",
    "config.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.sessions.EndWithRole",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
# The compatible API has no trailing slashes and never redirects.
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
# Files are served from the apps themselves, so a first run needs no collectstatic.
WHITENOISE_USE_FINDERS = True

# A body above this answers 400 before it is read whole (config/asgi.py); one envelope has at most 1 MiB and
# 512 bytes, and base64 makes 4 bytes of 3.
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_API_BODY_BYTES = 256 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# A first run has no mail server: letters to approvers go to the site's log.
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = "quorate@localhost"

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_SAMESITE = "Strict"
LOGIN_URL = "/account/login"
LOGIN_REDIRECT_URL = "/account/"

# The host name that passkeys belong to, and the exact origins of the pages on which they may be used.
WEBAUTHN_RP_ID = "localhost"
WEBAUTHN_ORIGINS = ["http://localhost"]

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["vaults.api.authentication.SignedRequestAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["vaults.api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["vaults.api.parsers.StrictJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "vaults.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "COMPACT_JSON": True,
    "UNICODE_JSON": True,
}

# Celery carries row ids only; the database says what is to be done (docs/architecture.md).
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "coordinator"
# The schedule is code; nothing about it needs a file of its own.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
# Steps are short and wait for the database: threads share its pool, each forked child would connect anew.
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 4
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A web process that rings a dead broker gives up soon: the sweeper rings again.
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY = False
# For the Redis broker: bounded sockets, and a message whose worker was killed comes back after a minute.
REDIS_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 10, "visibility_timeout": 60}
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "tss.tasks.sweep", "schedule": 2.0},
    "prune": {"task": "tss.tasks.prune", "schedule": 600.0},
    "checkpoint": {"task": "audit.tasks.checkpoint", "schedule": 60.0},
    "prune_audit": {"task": "audit.tasks.prune", "schedule": 3600.0},
    "webhooks": {"task": "webhooks.tasks.sweep", "schedule": 2.0},
    "letters": {"task": "dashboard.tasks.write_letters", "schedule": 10.0},
}


def log_format(default: str) -> str:
    """LOG_FORMAT of the environment: "line" for people, "json" for machines."""
    chosen = os.environ.get("LOG_FORMAT", default)
    if chosen not in ("line", "json"):
        raise ImproperlyConfigured("LOG_FORMAT is line or json")
    return chosen


QUORATE: dict[str, Any] = {
    # |clock - nonce| of a signed API request, milliseconds (docs/api.md).
    "API_CLOCK_SKEW_MS": 120_000,
    # How many calls a second an API key may make for long, and how many at once; API_RATE 0: any number.
    "API_RATE": 50,
    "API_BURST": 500,
    # Event streams (GET /v2/events/stream) that one API key, and one web process, may have open at once; and
    # how long one lasts at most, seconds: its reader comes back with Last-Event-ID.
    "STREAMS_PER_KEY": 4,
    "STREAMS": 200,
    "STREAM_S": 600,
    "STREAM_HEARTBEAT_S": 15,
    # How long an Idempotency-Key stands for the request that it came with, seconds.
    "IDEMPOTENCY_S": 24 * 3600,
    # Hard deadline of a ceremony (R15) and how long one round may wait for a participant, seconds.
    "CEREMONY_DEADLINE_S": 600,
    "ROUND_TIMEOUT_S": 60,
    # A claimed job that shows no heartbeat for this long is taken over, seconds.
    "JOB_LEASE_S": 15,
    # Default life of a request awaiting approval, milliseconds.
    "REQUEST_LIFETIME_MS": 24 * 3600 * 1000,
    # For the first policy of a new vault: how long a retired share is kept after its successor's certificate
    # (R26), milliseconds; and how many source holders must approve where the protocol needs fewer (R12).
    "ERASE_GRACE_MS": 24 * 3600 * 1000,
    "REQUIRED_APPROVALS": 2,
    # Longest long poll, seconds; and how long after its last call a node still counts as online.
    "LONG_POLL_S": 25,
    "NODE_ONLINE_S": 60,
    # Mailbox messages are deleted this long after their ceremony ended, seconds.
    "MAILBOX_RETENTION_S": 7 * 24 * 3600,
    # Webhooks: a whole POST, seconds; how many endpoints a worker process serves at once; after how long
    # without a delivery an endpoint that fails is disabled, seconds; how long events are kept, seconds.
    "WEBHOOK_TIMEOUT_S": 15,
    "WEBHOOK_COURIERS": 32,
    "WEBHOOK_DISABLE_AFTER_S": 3 * 24 * 3600,
    "WEBHOOK_RETENTION_S": 30 * 24 * 3600,
    # Ports of public addresses that webhooks may go to, and networks (CIDR) that are not public and allowed.
    "WEBHOOK_PORTS": (443, 8443),
    "WEBHOOK_NETWORKS": (),
    # Letters to approvers: where their links lead, without a slash at the end; whether any are sent; and how
    # long before a request's expiry its approvers are reminded, seconds.
    "SITE_URL": "http://localhost:8700",
    "LETTERS": True,
    "REMIND_BEFORE_S": 4 * 3600,
    "MIN_SOFTWARE": "0.1.0",
    # "memory" wakes long polls inside one process, "redis" across processes.
    "WAKEUPS": "memory",
    # "poll": the service signer long-polls like any node; "celery": its queue is rung as well.
    "SERVICE_SIGNER": "poll",
    # How long an answer of /readyz stands, seconds; and from when on a due job that nobody works on is late.
    "READINESS_S": 1,
    "LATE_JOB_S": 60,
    # What /metrics asks for as a bearer token; without one it answers this machine only.
    "METRICS_TOKEN": "",
    # Ed25519 seed (32 bytes) that signs API responses; every deployment sets it.
    "RESPONSE_SIGNING_KEY": None,
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "config.json_log.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format("line")}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # One line a task would bury everything else: the sweeper alone is one every two seconds.
        **{
            name: {"level": "WARNING"}
            for name in ("celery.app.trace", "celery.worker.strategy", "celery.beat")
        },
        # The web server configures itself before the site is loaded; its lines shall look like all others.
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": True},
    },
}
