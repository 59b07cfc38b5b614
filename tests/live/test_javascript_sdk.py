"""The vendor's JavaScript SDK makes a key on a live service and shares it; only its base path is set.

Node.js and the SDK come from the environment that bin/test makes, not from the machine.
"""

import json
import os
import subprocess
from typing import Any

import pytest

from quickstart.processes import ROOT
from tests.live.sdk import FIELDS, assert_keys, root_keys
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

NODE = ROOT / ".venv-node"
TYPES = {
    "vault": "MPCVault",
    "group": "KeyShareHolderGroup",
    "key_gen": "TSSRequest",
    "key_gen_end": "TSSRequest",
    "vault_with_key": "MPCVault",
    "groups": "ListKeyShareHolderGroups200Response",
    "requests": "ListTssRequests200Response",
}


def drive(stack: Stack, part: str, **parameters: str) -> dict[str, Any]:
    """Run tests/sdk/javascript/flow.js; what every call gave, by step."""
    common = {
        "host": f"{stack.site_url}/v2",
        "secret": stack.setup["api_secret"],
        "nodes": stack.node_ids,
    }
    done = subprocess.run(
        [str(NODE / "bin" / "node"), str(ROOT / "tests" / "sdk" / "javascript" / "flow.js"), part],
        input=json.dumps(common | parameters),
        env=os.environ | {"NODE_PATH": str(NODE / "javascript" / "node_modules")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def results(stack: Stack) -> dict[str, Any]:
    return drive(stack, "create")


@pytest.fixture(scope="module")
def shared(stack: Stack, results: dict[str, Any]) -> dict[str, Any]:
    vault_id = results["vault"]["vault_id"]
    stack.pin_anchor(vault_id, ["dave"])
    return drive(stack, "share", vault_id=vault_id, main_id=results["group"]["key_share_holder_group_id"])


def test_every_answer_has_the_documented_fields(results: dict[str, Any]) -> None:
    assert set(results) == set(TYPES)
    for step, answer in results.items():
        missing = FIELDS[TYPES[step]] - set(answer)
        assert not missing, f"{step}: {missing} are missing"


def test_key_gen(stack: Stack, results: dict[str, Any]) -> None:
    assert results["key_gen"]["status"] == "PendingKeyHolderConfirmation"
    assert results["key_gen_end"]["status"] == "Success", results["key_gen_end"]
    assert_keys(stack, results["vault_with_key"], ("alice", "bob", "carol"))


def test_lists(results: dict[str, Any]) -> None:
    (group,) = results["groups"]["data"]
    assert group["key_share_holder_group_id"] == results["group"]["key_share_holder_group_id"]
    assert group["status"] == "Valid"
    assert results["requests"]["data"] == [results["key_gen_end"]]
    assert results["groups"]["pagination"] == {"before": "", "after": "", "total_count": 1}


def test_key_gen_from_key_group(stack: Stack, results: dict[str, Any], shared: dict[str, Any]) -> None:
    assert shared["signing_key_end"]["status"] == "Success", shared["signing_key_end"]
    (group,) = shared["signing_groups"]["data"]
    assert (group["type"], group["status"]) == ("SigningGroup", "Valid")
    assert shared["signing_requests"]["data"] == [shared["signing_key_end"]]
    assert root_keys(shared["vault"]) == root_keys(results["vault_with_key"])
    assert_keys(stack, shared["vault"], ("alice", "dave"))
