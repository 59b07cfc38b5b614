"""Production settings: complete and strict, or the site does not start."""

import os
import subprocess
import sys

import pytest

GOOD = {
    "DJANGO_SETTINGS_MODULE": "config.settings.production",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz" * 2,
    "DATABASE_URL": "postgresql://quorate@db.example/quorate",
    "REDIS_URL": "rediss://redis.example",
    "ALLOWED_HOSTS": "quorate.example",
    "RESPONSE_SIGNING_KEY": "ab" * 32,
}


def check(**changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env={**os.environ, **GOOD, **changes},
        capture_output=True,
        text=True,
        check=False,
    )


def test_deployment_check_has_nothing_to_say() -> None:
    result = check()
    assert result.returncode == 0, result.stderr


def test_letters_need_a_server_and_a_sender() -> None:
    assert check(EMAIL_HOST="mail.example", EMAIL_FROM="quorate@example.com").returncode == 0
    without = check(EMAIL_HOST="mail.example")
    assert without.returncode != 0
    assert "EMAIL_FROM" in without.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "quorate.example,.example"),
        ("ALLOWED_HOSTS", " , "),
        ("RESPONSE_SIGNING_KEY", "zz" * 32),
        ("RESPONSE_SIGNING_KEY", "ab" * 31),
        ("REDIS_URL", "memory://"),
        ("DATABASE_URL", "sqlite:///x"),
        ("WEBAUTHN_RP_ID", "elsewhere.example"),
        ("WEBAUTHN_ORIGINS", "https://notquorate.example"),
        ("EMAIL_SECURITY", "perhaps"),
        ("SITE_URL", "https://quorate.example/admin"),
    ],
)
def test_unsafe_value_is_refused_by_name(name: str, value: str) -> None:
    result = check(**{name: value})
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured")
    assert name in last
    if len(value) > 5:
        assert value not in last
