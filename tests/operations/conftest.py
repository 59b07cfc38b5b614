"""Fixtures of the operations tests."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from config import readiness
from tests.tss.conftest import site

__all__ = ["site"]


@pytest.fixture(autouse=True)
def _look_each_time(settings: Settings) -> Iterator[None]:
    """No answer of /readyz is kept: tests share a process."""
    settings.QUORATE = settings.QUORATE | {"READINESS_S": -1}
    yield
    readiness.forget()
