"""The intent: one text for one meaning, whatever the type, and nothing outside of the digest (R8, P09)."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.wire.builders import EXPECTED, intent, main_group, set_hash
from wire.canonical import CanonicalError, canonical_bytes
from wire.fields import WireError
from wire.intent import CEREMONY_TYPES, TYPES, Intent, intent_digest
from wire.manifest import Manifest

Path = tuple[str | int, ...]
INTENTS = {type: intent(type).to_json() for type in TYPES}
HASH = "ab" * 32


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of every scalar in a JSON value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path


def changed(value: Any) -> Any:
    """Another value of the same kind, so that only its content differs."""
    if isinstance(value, bool):
        return not value
    if value is None:
        return "x"
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return ["x"]
    if value and all(c in "0123456789abcdef" for c in value):
        return ("1" if value[0] != "1" else "2") + value[1:]
    return value + "x"


EVERY_FIELD = [(type, path) for type, value in INTENTS.items() for path in leaves(value)]


@pytest.mark.parametrize("type", TYPES)
def test_round_trips(type: str) -> None:
    assert Intent.parse(intent(type).encode()) == intent(type)


@pytest.mark.parametrize(
    ("type", "path"),
    EVERY_FIELD,
    ids=lambda value: value if type(value) is str else ".".join(map(str, value)),
)
def test_p09_every_field_of_the_intent_is_in_the_digest(type: str, path: Path) -> None:
    value = copy.deepcopy(INTENTS[type])
    holder: Any = value
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = changed(holder[path[-1]])
    assert intent_digest(canonical_bytes(value)) != intent(type).digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"v": 2},
        {"v": "1"},
        {"type": "Sign"},
        {"domain": "wallet"},
        {"curves": ["p256"]},
        {"curves": ["ed25519", "ed25519"]},
        {"policy_hash": "AB" * 32},
        {"nonce": "00"},
        {"not_before": 1.5},
        {"retires": ["x"]},
        {"replaces": [{"old": "x"}]},
        {"operators_needed": 0},
        {"overlap_accepted": 0},
        {"target": INTENTS["KeyGen"]["target"] | {"extra": 1}},
        {"target": INTENTS["KeyGen"]["target"] | {"threshold": 4}},
        {"target": INTENTS["KeyGen"]["target"] | {"certificate_hash": "00"}},
        {"requester": {"kind": "member", "id": "x"}},
    ],
    ids=str,
)
def test_r8_unknown_or_malformed_fields_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((WireError, CanonicalError)):
        Intent.parse(canonical_bytes(INTENTS["KeyGen"] | changes))


@pytest.mark.parametrize("source", [{}, "", 0, False, []], ids=repr)
def test_r8_only_null_says_that_there_is_no_source(source: Any) -> None:
    with pytest.raises(WireError, match=r"intent\.source"):
        Intent.parse(canonical_bytes(INTENTS["KeyGen"] | {"source": source}))


@pytest.mark.parametrize("name", INTENTS["KeyGen"])
def test_r8_a_missing_field_is_named(name: str) -> None:
    value = {field: item for field, item in INTENTS["KeyGen"].items() if field != name}
    with pytest.raises(WireError, match=rf"intent\.{name}"):
        Intent.parse(canonical_bytes(value))


def _misplaced() -> Iterator[tuple[str, str, Any]]:
    """(type, field, value that this type may not have there)."""
    source = INTENTS["Refresh"]["source"]
    yield "KeyGen", "source", source
    yield "KeyGen", "expected", [key.to_json() for key in EXPECTED]
    yield "KeyGen", "eligible", ["x"]
    for type in TYPES:
        if type != "KeyGen":
            yield type, "source", None
            yield type, "source", source | {"certificate_hash": ""}
            yield type, "expected", []
            yield type, "expected", [EXPECTED[1].to_json(), EXPECTED[0].to_json()]
            yield type, "expected", [EXPECTED[0].to_json()]
            yield type, "eligible", []
        yield type, "protocol", "" if type in CEREMONY_TYPES else "reshare/1"
        if type not in ("Recovery", "Reshare"):
            yield type, "replaces", [{"old": "x", "new": "y"}]
        if type not in CEREMONY_TYPES:
            retired = {"group_id": main_group().group_id, "epoch": 1, "certificate_hash": HASH}
            yield type, "retires", [retired]
        yield type, "new_policy_hash", "" if type == "PolicyChange" else HASH
        yield type, "original_main", "" if type == "RoleChange" else "retired"


@pytest.mark.parametrize(("type", "field", "value"), list(_misplaced()))
def test_r8_a_field_that_the_type_does_not_use_is_empty(type: str, field: str, value: Any) -> None:
    with pytest.raises(WireError, match=rf"intent\.{field}"):
        Intent.parse(canonical_bytes(INTENTS[type] | {field: value}))


def test_r26_a_retired_set_is_named_by_its_certificate() -> None:
    (retired,) = intent("Refresh").retires
    assert retired.certificate_hash == set_hash(main_group())
    for changes in ({"epoch": 0}, {"certificate_hash": ""}, {"extra": 1}):
        value = INTENTS["Refresh"] | {"retires": [retired.to_json() | changes]}
        with pytest.raises(WireError, match=r"retires\[0\]"):
            Intent.parse(canonical_bytes(value))


def test_15_an_intent_must_be_canonical_bytes() -> None:
    with pytest.raises(CanonicalError, match="canonical"):
        Intent.parse(json.dumps(INTENTS["KeyGen"]).encode())


@pytest.mark.parametrize("text", ["\x1b[2Jvault", "two\nlines", "a b", "\u202egnp", "\u0430", "\x00"])
@pytest.mark.parametrize("name", ["organisation_id", "vault_id", "request_id", "min_software"])
def test_r10_ids_are_visible_ascii(name: str, text: str) -> None:
    """They are printed where a person decides."""
    with pytest.raises(WireError, match=name):
        Intent.parse(canonical_bytes(INTENTS["KeyGen"] | {name: text}))
    if name in ("organisation_id", "vault_id"):
        with pytest.raises(WireError, match=name):
            Manifest.parse(canonical_bytes(main_group().to_json() | {name: text}))
