"""Worlds of real nodes, closed after each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.signers.lineage import Lineage, standing_vault
from tests.signers.world import World


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(*names: str, **arguments: Any) -> World:
        worlds.append(World(tmp_path / f"world{len(worlds)}", names or ("a", "b", "c"), **arguments))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Three nodes that ask their operators and have pinned each other."""
    return make_world()


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Lineage]:
    """A vault with three groups and two nodes that know it; see `standing_vault`."""
    made = standing_vault(tmp_path / "vault")
    yield made
    made.close()
