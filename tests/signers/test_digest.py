"""P09: a change of any field of any request leaves not one approval of it valid."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signers.checks.intent import parse_intent
from signers.errors import Refusal
from tests.signers.lineage import Lineage, Proposal
from tests.signers.test_change_refusals import EVERY, asked
from wire.canonical import canonical_bytes, parse_json
from wire.intent import intent_digest

Path = tuple[str | int, ...]


def approved(vault: Lineage, kind: str) -> Proposal:
    if kind == "KeyGen":
        vault.sets.clear()
        return vault.decide(vault.key_gen("abc"), *"abc")
    return vault.decide(asked(vault, kind)[1], *"abcdefghxy")


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of the intent that is no object or list, and every empty list."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path, value


def flipped(value: Any) -> Any:
    """Another value of the same type, as like the old one as can be."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("1" if value.endswith("0") else "0") if value else "0"
    return ["quo0"] if value == [] else {}


def put(value: Any, path: Path, new: Any) -> Any:
    first, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[first] = put(copy[first], tuple(rest), new) if rest else new
    return copy


def still_valid(vault: Lineage, proposal: Proposal, text: bytes) -> int:
    """How many of the approvals are valid for an intent with this text."""
    keys = {member.node_id: member.card.signing_key for member in vault.members.values()}
    digest = intent_digest(text)
    return sum(each.digest == digest and each.verify(keys[each.node_id]) for each in proposal.decisions)


@pytest.mark.parametrize("kind", ["KeyGen", *EVERY])
def test_p09_every_field_flipped_one_by_one(vault: Lineage, kind: str) -> None:
    proposal = approved(vault, kind)
    text = proposal.intent.encode()
    assert still_valid(vault, proposal, text) == len(proposal.decisions) > 0
    fields = list(leaves(parse_json(text)))
    assert len(fields) > 25
    for path, value in fields:
        changed = canonical_bytes(put(parse_json(text), path, flipped(value)))
        assert changed != text, path
        assert still_valid(vault, proposal, changed) == 0, path


@pytest.mark.parametrize("kind", ["KeyGen", *EVERY])
def test_p09_every_field_left_out(vault: Lineage, kind: str) -> None:
    proposal = approved(vault, kind)
    document = parse_json(proposal.intent.encode())
    for name in document:
        less = canonical_bytes({each: value for each, value in document.items() if each != name})
        assert still_valid(vault, proposal, less) == 0
        with pytest.raises(Refusal):
            parse_intent(less.decode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_p09_any_other_value(vault: Lineage, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(EVERY))
    proposal = approved(vault, kind)
    text = proposal.intent.encode()
    path, value = data.draw(st.sampled_from(list(leaves(parse_json(text)))))
    scalars = st.one_of(st.text("0123456789abcdefxyz", max_size=64), st.integers(0, 2**53 - 1), st.booleans())
    new = data.draw(scalars.filter(lambda each: (type(each), each) != (type(value), value)))
    changed = canonical_bytes(put(parse_json(text), path, new))
    assert still_valid(vault, proposal, changed) == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_p09_a_changed_decision(vault: Lineage, data: st.DataObject) -> None:
    """The decision, its holder, its time and its reason are signed as well."""
    approval = vault.decide(vault.refresh(), "a").decisions[0]
    key = vault.members["a"].card.signing_key
    assert approval.verify(key)
    body = approval.to_json()
    name = data.draw(st.sampled_from(["digest", "decision", "node_id", "time", "reason", "signature"]))
    other = {
        "digest": "00" * 32,
        "decision": data.draw(st.sampled_from(["reject", "withdraw"])),
        "node_id": vault.id("b"),
        "time": data.draw(st.integers(0, 2**53 - 1).filter(lambda each: each != approval.time)),
        "reason": "x",
        "signature": "00" * 64,
    }
    changed = type(approval).from_json({**body, name: other[name]})
    assert not changed.verify(key)
