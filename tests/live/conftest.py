"""Live stacks, shared by the tests of a module because a start takes seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Site, worker, service signer and five nodes that approve by demo policy."""
    yield from _running(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def impatient_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The same with short leases and round time-outs, for faults that are found out by time."""
    yield from _running(tmp_path_factory.mktemp("stack"), ROUND_TIMEOUT_S="20", JOB_LEASE_S="3")


@pytest.fixture(scope="module")
def asking_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Nodes that approve nothing without their operator."""
    yield from _running(tmp_path_factory.mktemp("stack"), action="ask")


def _running(folder: Path, action: str = "auto", **settings: Any) -> Iterator[Stack]:
    stack = Stack(folder, **settings)
    try:
        stack.start(action=action)
        yield stack
    finally:
        stack.stop()
