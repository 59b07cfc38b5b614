"""Who can act if some are gone: the exact table against trying every choice of nodes."""

from itertools import combinations

import pytest
from django.test import Client as Browser

from dashboard import survival
from dashboard.selectors import groups_of
from tests.dashboard.test_pages import read
from tests.tss.nodes import Site
from vaults.models import Group


@pytest.fixture
def groups(keyed: Site, recovery_group: Group) -> list[Group]:
    signing = keyed.new_group(type="SigningGroup", signers=[*keyed.join("Dora"), keyed.signers[0]])
    keyed.succeeded(signing, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    return groups_of(keyed.vault)


def test_the_table_counts_every_choice_of_lost_holders(groups: list[Group]) -> None:
    nodes = sorted({holder.node_id for group in groups for holder in group.holders.all()})
    assert len(nodes) == 6
    rows = survival.table(groups)
    assert rows is not None
    for row in rows:
        verdicts = [survival.outlook(groups, set(gone)).verdict for gone in combinations(nodes, row.lost)]
        assert row.ways == len(verdicts)
        assert (row.safe, row.recoverable, row.stuck, row.gone) == tuple(
            verdicts.count(name) for name in ("safe", "recoverable", "stuck", "lost")
        )
        assert sum(percent for _, percent, _ in row.cells) in range(98, 103)
    assert rows[0].safe == rows[0].ways == 1
    assert rows[-1].gone == rows[-1].ways
    assert any(row.stuck for row in rows)
    assert any(row.recoverable for row in rows)


def test_only_nothing_is_zero_percent() -> None:
    row = survival.Survival(lost=3, ways=1000, safe=999, recoverable=1, stuck=0, gone=0)
    assert {name: percent for name, percent, _ in row.cells} == {
        "safe": 99,
        "recoverable": 1,
        "stuck": 0,
        "lost": 0,
    }


def test_too_many_combinations_are_not_counted(groups: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival, "_MAX_STATES", 10)
    assert survival.table(groups) is None


def test_the_vault_page_answers_what_if(keyed: Site, groups: list[Group], ann: Browser) -> None:
    page = read(ann, "vault", str(keyed.vault.id))
    assert "As it is: \nthe key can be used" in page
    a, b, c = (signer.node_id for signer in keyed.signers)
    query = f"?gone={a}&gone={b}&gone=quoNobody"
    page = read(ann, "vault", str(keyed.vault.id), query=query)
    assert "Without 2 of them: \nnobody can use the key, but the Recovery group can restore it." in page
    assert page.count("taken away here") == 3
    erin = next(each for each in keyed.others if each.name == "Erin").node_id
    page = read(ann, "vault", str(keyed.vault.id), query=f"{query}&gone={c}&gone={erin}")
    assert "the key is lost unless holders come back" in page
