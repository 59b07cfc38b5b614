"""Tests on real Postgres and Redis, whose addresses `bin/test` puts into the environment."""

import os

from config.database import postgres
from config.settings.base import *  # noqa: F403
from config.settings.base import QUORATE, REDIS_TRANSPORT_OPTIONS

DEBUG = False
SECRET_KEY = "tests only " * 5
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
DATABASES = {"default": postgres(os.environ["DATABASE_URL"])}
REDIS_URL = os.environ["REDIS_URL"]
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = REDIS_TRANSPORT_OPTIONS
# Fast hashing of admin passwords; nothing here is kept.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

QUORATE = QUORATE | {
    "RESPONSE_SIGNING_KEY": bytes(range(32)),
    "WAKEUPS": "redis",
    # Tests of the limit set one.
    "API_RATE": 0,
    "REDIS_URL": REDIS_URL,
    "WEBHOOK_NETWORKS": ("127.0.0.0/8",),
}
