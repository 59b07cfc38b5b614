"""The stand-alone verifier accepts every real request, and finds every single thing that is changed (R3)."""

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.verifier.story import NAMES, Document, node_id, vault
from tests.wire.builders import NOW, approval
from tests.wire.test_intent import changed, leaves
from verifier.quorate_verify import Fault, Report, verify
from wire.canonical import canonical_bytes
from wire.intent import TYPES, intent_digest

pytestmark = pytest.mark.slow

DOCUMENTS = vault().documents
ANCHOR = vault().anchor().to_json()
Path = tuple[str | int, ...]


def check(document: Document, anchor: Any = ANCHOR, **options: Any) -> tuple[Report, Fault | None]:
    return verify(json.dumps(document), canonical_bytes(anchor).decode(), **options)


def fault_of(document: Document, anchor: Any = ANCHOR, **options: Any) -> Fault:
    _, fault = check(document, anchor, **options)
    assert fault is not None, "the change was not found"
    return fault


def notes_of(document: Document, anchor: Any = ANCHOR) -> list[str]:
    report, fault = check(document, anchor)
    assert fault is None, fault
    return report.notes


def real(name: str) -> Document:
    """A copy that a test may spoil."""
    return copy.deepcopy(DOCUMENTS[name])


def put(value: Any, path: Path, change: Callable[[Any], Any] = changed) -> Any:
    """A copy of a JSON value in which one leaf differs."""
    value = copy.deepcopy(value)
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = change(holder[path[-1]])
    return value


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else ".".join(map(str, value))


def every_leaf(field: str) -> list[tuple[str, Path]]:
    """(request, path) of each scalar in a field that holds a canonical text, or JSON itself."""
    found = []
    for type in TYPES:
        value = DOCUMENTS[type][field]
        if value:
            parsed = json.loads(value) if isinstance(value, str) else value
            found += [(type, path) for path in leaves(parsed)]
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_r3_every_real_request_is_accepted(name: str) -> None:
    assert notes_of(real(name)) == []


@pytest.mark.parametrize(("type", "path"), every_leaf("intent"), ids=name_of)
def test_p09_a_changed_field_of_the_intent_is_found(type: str, path: Path) -> None:
    document = real(type)
    shown = put(document["intent"], path)
    assert fault_of(document | {"intent": shown}).what == "intent"
    # Whoever changes the canonical text too must change the digest, and with it what was approved.
    text = canonical_bytes(shown)
    forged = document | {"intent": shown, "canonical": text.decode()}
    fault_of(forged)
    digest = intent_digest(text).hex()
    for decision in forged["approvals"]:
        decision["digest"] = digest
    fault_of(forged | {"digest": digest})


@pytest.mark.parametrize("field", ["manifest", "source_manifest", "policy", "new_policy"])
def test_every_changed_field_of_rosters_and_policies_is_found(field: str) -> None:
    leaf = every_leaf(field)
    assert leaf
    for type, path in leaf:
        document = real(type)
        text = canonical_bytes(put(json.loads(document[field]), path)).decode()
        assert fault_of(document | {field: text}).what.startswith(field), (type, path)


@pytest.mark.parametrize("field", ["canonical", "manifest", "source_manifest", "policy"])
def test_r8_a_text_that_is_not_canonical_is_found(field: str) -> None:
    document = real("Recovery")
    loose = json.dumps(json.loads(document[field]))
    fault = fault_of(document | {field: loose})
    assert (fault.what, fault.message[:19]) == (field, "is not in canonical")


@pytest.mark.parametrize("name", DOCUMENTS["Recovery"])
def test_a_missing_part_is_named(name: str) -> None:
    document = real("Recovery")
    del document[name]
    assert fault_of(document).what == name


def test_what_does_not_belong_to_a_type_is_found() -> None:
    roster, rules = DOCUMENTS["KeyGen"]["manifest"], DOCUMENTS["KeyGen"]["policy"]
    assert fault_of(real("KeyGen") | {"source_manifest": roster}).what == "source_manifest"
    assert fault_of(real("Refresh") | {"new_policy": rules}).what == "new_policy"
    own = DOCUMENTS["Reshare"]["certificate"]
    assert fault_of(real("PolicyChange") | {"certificate": own}).what == "certificate"


@pytest.mark.parametrize(("type", "path"), every_leaf("approvals"), ids=name_of)
def test_p08_every_changed_field_of_an_approval_is_found(type: str, path: Path) -> None:
    document = real(type)
    fault = fault_of(document | {"approvals": put(document["approvals"], path)})
    assert fault.what.startswith(f"approvals[{path[0]}]")


@pytest.mark.parametrize("type", TYPES)
def test_every_missing_approval_is_found(type: str) -> None:
    document = real(type)
    for position in range(len(document["approvals"])):
        fewer = [each for i, each in enumerate(document["approvals"]) if i != position]
        # A dealer of a Reshare can be missing where the votes are won without it.
        what = fault_of(document | {"approvals": fewer}).what
        assert what in ("source vote", "target vote", "certificate.dealers")


def test_p03_an_approval_does_not_count_twice() -> None:
    document = real("KeyGenFromKeyGroup")
    document["approvals"][1] = document["approvals"][0]
    assert fault_of(document).message == "has decided twice"


@pytest.mark.parametrize("decision", ["reject", "withdraw"])
def test_p15_a_holder_that_took_its_consent_back_does_not_count(decision: str) -> None:
    document = real("KeyGenFromKeyGroup")
    name = NAMES[document["approvals"][0]["node_id"]]
    signed = approval(name, bytes.fromhex(document["digest"]), decision)
    document["approvals"][0] = signed.to_json()
    assert fault_of(document).what == ("approvals" if decision == "reject" else "source vote")


def test_p08_an_approval_of_a_stranger_or_another_request_or_another_time_is_found() -> None:
    document = real("KeyGenFromKeyGroup")
    digest = bytes.fromhex(document["digest"])
    for signed, part in (
        (approval("heidi", digest), "node_id"),
        (approval("alice", bytes(32)), "digest"),
        (approval("alice", digest, time=NOW - 1), "time"),
    ):
        spoiled = document | {"approvals": [signed.to_json(), *document["approvals"][1:]]}
        assert fault_of(spoiled).what == f"approvals[0].{part}"


def test_p18_a_malleated_signature_is_found() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    document = real("KeyGen")
    signature = bytes.fromhex(document["approvals"][0]["signature"])
    s = int.from_bytes(signature[32:], "little") + order
    document["approvals"][0]["signature"] = (signature[:32] + s.to_bytes(32, "little")).hex()
    assert fault_of(document).what == "approvals[0].signature"


def spoiled_certificates(text: str) -> list[str]:
    """One changed byte each, all over the certificate: prime steps meet every field, at changing places."""
    data = base64.b64decode(text)
    found = []
    for at in range(0, len(data), 13):
        spoiled = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        found.append(base64.b64encode(spoiled).decode())
    return found


def test_r25_one_changed_byte_of_the_final_certificate_is_found() -> None:
    document = real("KeyGenFromKeyGroup")
    for text in spoiled_certificates(document["certificate"]):
        fault_of(document | {"certificate": text})


def test_r6_one_changed_byte_of_a_certificate_on_the_way_is_found() -> None:
    document = real("KeyGenFromKeyGroup")
    (key_gen,) = document["certificates"]
    for text in spoiled_certificates(key_gen):
        fault_of(document | {"certificates": [text]})


@pytest.mark.parametrize("cut", [1, 64, 700])
def test_a_truncated_or_extended_certificate_is_found(cut: int) -> None:
    document = real("KeyGen")
    data = base64.b64decode(document["certificate"])
    for spoiled in (data[:-cut], data + bytes(cut)):
        text = base64.b64encode(spoiled).decode()
        assert fault_of(document | {"certificate": text}).what == "certificate"


@pytest.mark.parametrize("text", ["", None, 1, "%%%", "AA", ["x"]], ids=repr)
def test_what_is_no_certificate_is_found(text: Any) -> None:
    fault_of(real("KeyGen") | {"certificate": text})
    fault_of(real("Refresh") | {"certificates": [text]})


@pytest.mark.parametrize("type", [name for name in DOCUMENTS if DOCUMENTS[name]["certificates"]])
def test_r6_every_certificate_on_the_way_is_needed(type: str) -> None:
    document = real(type)
    for position in range(len(document["certificates"])):
        fewer = [text for i, text in enumerate(document["certificates"]) if i != position]
        fault_of(document | {"certificates": fewer})


@pytest.mark.parametrize("path", list(leaves(ANCHOR)), ids=name_of)
def test_r3_a_changed_field_of_the_anchor_is_found(path: Path) -> None:
    anchor = put(ANCHOR, path)
    if path[0] == "policy_hash":
        assert "another policy" in notes_of(real("KeyGenFromKeyGroup"), anchor)[0]
    elif path[0] == "main_group_id":
        assert "another Main group" in notes_of(real("KeyGenFromKeyGroup"), anchor)[0]
    elif path[0] == "main_since":
        # It only orders the changes of Main that a node is shown.
        assert notes_of(real("KeyGenFromKeyGroup"), anchor) == notes_of(real("KeyGenFromKeyGroup"), ANCHOR)
    else:
        fault_of(real("KeyGen"), anchor)
        fault_of(real("KeyGenFromKeyGroup"), anchor)


@pytest.mark.parametrize(
    "change",
    [{"extra": 1}, {"root_keys": ANCHOR["root_keys"][:1]}, {"v": True}],
    ids=["extra", "one_root_key", "version"],
)
def test_an_anchor_of_another_shape_is_found(change: dict[str, Any]) -> None:
    assert fault_of(real("KeyGen"), ANCHOR | change).what.startswith("anchor")


def test_r6_the_anchor_of_another_request_of_the_vault_is_no_anchor() -> None:
    """Only the KeyGen is: a later set's hash in its place would leave what came before unproved."""
    signing = vault().groups[json.loads(DOCUMENTS["KeyGenFromKeyGroup"]["manifest"])["group_id"]]
    anchor = ANCHOR | {"certificate_hash": signing.certificate.hash().hex()}
    assert "not the one that the anchor names" in str(fault_of(real("KeyGenFromKeyGroup"), anchor))


def test_without_an_anchor_nothing_is_proved() -> None:
    _, fault = verify(json.dumps(real("Refresh")), None)
    assert fault is not None
    assert fault.what == "anchor"
    _, fault = verify(json.dumps(real("Refresh")), None, is_open=True)
    assert fault is not None
    assert fault.what == "anchor"


def test_an_open_request_may_miss_approvals_and_certificate_and_nothing_else() -> None:
    for type, anchor in (("KeyGen", None), ("Recovery", canonical_bytes(ANCHOR).decode())):
        document = real(type) | {"certificate": ""}
        document["approvals"] = document["approvals"][:1]
        report, fault = verify(json.dumps(document), anchor, is_open=True)
        assert fault is None, fault
        assert [note for note in report.notes if note.startswith("OPEN")]
        assert not [thing for thing, _ in report.passed if thing.endswith("vote") or thing == "share set"]
        document["approvals"][0]["signature"] = "00" * 64
        _, fault = verify(json.dumps(document), anchor, is_open=True)
        assert fault is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"intent":1,"intent":1}',
        '{"intent":1.5}',
        '{"intent":NaN}',
        "[" * 100_000,
        '{"canonical":"\\ud800"}',
        json.dumps(DOCUMENTS["KeyGen"] | {"intent": "\ud800", "canonical": '"\ud800"'}),
        json.dumps(DOCUMENTS["KeyGen"] | {"canonical": "[" * 900 + "]" * 900}),
    ],
    ids=range(10),
)
def test_r8_any_text_ends_in_a_fault_and_never_in_a_crash(text: str) -> None:
    _, fault = verify(text, canonical_bytes(ANCHOR).decode())
    assert fault is not None


def test_the_words_of_a_fault_name_the_holder() -> None:
    document = real("KeyGen")
    document["approvals"][2]["time"] += 1
    assert node_id("carol") in str(fault_of(document))
