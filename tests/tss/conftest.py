"""Fixtures of the workflow tests."""

import pytest

from audit import rationing
from tests.tss.nodes import Site


@pytest.fixture(autouse=True)
def _no_rationing() -> None:
    """Rationing of audit rows is per process, tests are not."""
    rationing.forget()


@pytest.fixture
def site(db: None) -> Site:
    """Three holders, 2 of 3."""
    return Site.make()
