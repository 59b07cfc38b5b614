"""pytest plugin: DATABASE_URL and REDIS_URL are set before the Django settings are read.

What the environment names is used; what it leaves out is started for this run and ends with it. Workers of
pytest-xdist inherit the environment, so all use one server, and a database of their own (pytest-django).
"""

import contextlib
import os
from collections.abc import Generator

import pytest

from tests.services import provide_postgres, provide_redis

SETTINGS = "config.settings.test"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Runs around pytest-django's own hook, which reads the settings."""
    options = early_config.known_args_namespace
    chosen = getattr(options, "ds", None) or os.environ.get("DJANGO_SETTINGS_MODULE", SETTINGS)
    if chosen == SETTINGS and not options.help and not options.version:
        early_config.add_cleanup(_services().close)
    return (yield)


def _services() -> contextlib.ExitStack:
    with contextlib.ExitStack() as stack:
        if not os.environ.get("DATABASE_URL"):
            os.environ["DATABASE_URL"] = stack.enter_context(provide_postgres()).url
            stack.callback(os.environ.pop, "DATABASE_URL", None)
        if not os.environ.get("REDIS_URL"):
            os.environ["REDIS_URL"] = stack.enter_context(provide_redis()).url
            stack.callback(os.environ.pop, "REDIS_URL", None)
        return stack.pop_all()
    raise AssertionError
