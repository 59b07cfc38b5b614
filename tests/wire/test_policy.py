"""The vault's policy: strict, linked to the one before it, never one approval alone (R8, R12)."""

from typing import Any

import pytest

from tests.wire.builders import DAY, policy
from wire.canonical import canonical_bytes
from wire.fields import WireError
from wire.policy import MAX_GRACE_MS, VaultPolicy


def test_round_trips() -> None:
    second = policy(predecessor=policy().hash(), creators={"Refresh": ("robot",)}, shared_nodes=False)
    assert VaultPolicy.parse(policy().encode()) == policy()
    assert VaultPolicy.parse(second.encode()) == second
    assert second.request_types == ("Refresh",)


@pytest.mark.parametrize(
    "changes",
    [
        {"vault_id": "another"},
        {"creators": {"Refresh": ("robot",)}},
        {"creators": {**policy().creators, "KeyGen": ("admin",)}},
        {"request_lifetime": DAY + 1},
        {"required_approvals": 3},
        {"erase_grace": 0},
        {"shared_nodes": False},
        {"predecessor": bytes(32)},
    ],
    ids=str,
)
def test_r12_every_field_is_in_the_hash(changes: dict[str, Any]) -> None:
    assert policy(**changes).hash() != policy().hash()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("extra", 1),
        ("vault_id", "two words"),
        ("creators", []),
        ("creators", {"Sign": ["admin"]}),
        ("creators", {"KeyGen": ["owner"]}),
        ("creators", {"KeyGen": ["admin", "admin"]}),
        ("creators", {"KeyGen": "admin"}),
        ("request_lifetime", 59_999),
        ("request_lifetime", 7 * DAY + 1),
        ("request_lifetime", True),
        ("erase_grace", -1),
        ("erase_grace", MAX_GRACE_MS + 1),
        ("shared_nodes", 1),
        ("predecessor", "00"),
        ("predecessor", None),
    ],
    ids=str,
)
def test_r8_unknown_or_malformed_fields_are_refused(field: str, value: Any) -> None:
    with pytest.raises(WireError, match=rf"policy\.{field}"):
        VaultPolicy.parse(canonical_bytes(policy().to_json() | {field: value}))


@pytest.mark.parametrize("approvals", [0, 1, 101, -2, True])
def test_r12_one_approval_alone_never_decides(approvals: Any) -> None:
    with pytest.raises(WireError, match="required_approvals"):
        VaultPolicy.parse(canonical_bytes(policy().to_json() | {"required_approvals": approvals}))


def test_equal_policies_have_one_text_whatever_order_their_creators_were_written_in() -> None:
    backwards = dict(reversed(list(policy().creators.items())))
    assert policy(creators=backwards).encode() == policy().encode()
