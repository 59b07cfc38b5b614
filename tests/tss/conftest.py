"""Fixtures of the workflow tests."""

import pytest

from tests.tss.nodes import Site


@pytest.fixture
def site(db: None) -> Site:
    """Three holders, 2 of 3."""
    return Site.make()
