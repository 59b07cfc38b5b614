"""Fixtures that the workflow tests have too."""

from tests.tss.conftest import site

__all__ = ["site"]
