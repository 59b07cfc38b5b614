"""What the verifier makes of holders whose votes need a passkey."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.wire.builders import NOW, approval, card, intent, main_group, policy, reference
from tests.wire.test_passkeys import authenticator, with_passkeys
from verifier.quorate_verify import Fault, Report, check_request
from wire.credential import ALGORITHMS, EDDSA, ES256


def report(algorithm: str, **changes: Any) -> Report:
    """Of a KeyGen of alice, bob and carol, who all approve; alice by `algorithm` as well."""
    device = authenticator(algorithm=algorithm)
    alice = with_passkeys("alice", device.credential(), method="both")
    roster = replace(main_group(), holders=(alice, card("bob"), card("carol")))
    asked = intent(target=reference(roster))
    said: dict[str, Any] = {"digest": asked.digest(), "node_id": alice.node_id, "time": NOW + 1}
    vote = device.vote(**said, **{name: changes.pop(name) for name in ("origin", "flags") if name in changes})
    approvals = [approval(name, asked.digest()).to_json() for name in ("alice", "bob", "carol")]
    if changes.pop("voted", True):
        approvals.append({**vote.to_json(), **changes})
    document = {
        "intent": asked.to_json(),
        "canonical": asked.encode().decode(),
        "digest": asked.digest().hex(),
        "manifest": roster.encode().decode(),
        "source_manifest": "",
        "policy": policy().encode().decode(),
        "new_policy": "",
        "approvals": approvals,
        "certificate": "",
        "certificates": [],
    }
    made = Report()
    check_request(json.loads(json.dumps(document)), None, True, made)
    return made


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_vote_with_its_passkey_counts(algorithm: str) -> None:
    made = report(algorithm)
    assert any("3 of 3 holders approve" in words for _, words in made.passed)
    assert any("NOT CHECKED" in note for note in made.notes) == (algorithm == ES256)


def test_p10_a_vote_without_its_passkey_does_not() -> None:
    assert any("2 of 3 holders approve, 3 are needed" in note for note in report(ES256, voted=False).notes)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("digest", {"digest": "00" * 32}),
        ("client_data", {"time": NOW + 2}),
        ("client_data", {"reason": "changed"}),
        ("client_data.origin", {"origin": "https://evil.example"}),
        ("authenticator_data", {"flags": 1}),
        ("credential_id", {"credential_id": "00"}),
        ("node_id", {"node_id": "quo-nobody"}),
        ("signature", {"signature": "00" * 64}),
    ],
)
def test_p09_p11_a_bad_passkey_vote_is_named(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Fault, match=field):
        report(EDDSA, **changes)
