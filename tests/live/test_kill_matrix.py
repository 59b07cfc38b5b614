"""A few cells of the kill matrix (bin/kill-matrix has all): one of each kind of process, each phase once."""

from collections.abc import Iterator

import pytest

from tests.campaigns.kill_matrix import SETTINGS, Cell, KillMatrix, Outcome, all_cells
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CELLS = (
    Cell("Refresh", "site", "deal"),
    Cell("Refresh", "postgres", "activated"),
    Cell("Refresh", "carol", "prepared"),
    Cell("Recovery", "worker", "approval"),
    Cell("Recovery", "redis", "hello"),
    Cell("Recovery", "dave", "activated"),
    Cell("Recovery", "erin", "end"),
)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillMatrix]:
    stack = Stack(tmp_path_factory.mktemp("stack"), own_postgres=True, **SETTINGS)
    try:
        stack.start()
        yield KillMatrix(stack)
    finally:
        stack.stop()


def test_the_whole_matrix_has_at_least_sixty_cells() -> None:
    assert len(set(all_cells())) >= 60
    assert set(CELLS) <= set(all_cells())


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_n13_t01_one_epoch_stays_usable(matrix: KillMatrix, cell: Cell) -> None:
    assert isinstance(matrix.run(cell), Outcome)
