"""The operator's commands, through click and as real processes."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from signers.cli import main
from signers.node import open_store
from signers.sealing import KdfCost, Keyring, Secret
from tests.accounts.authenticator import Authenticator
from tests.signers.mailbox import MailboxTransport
from tests.signers.test_transport import EMPTY, reply, server
from tests.signers.world import ASK_POLICY, DEMO_POLICY, World
from wire.identity import HolderCard

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent


def run(folder: Path, *arguments: str, input: str | None = None) -> Result:
    key = ("--key-file", str(folder.with_suffix(".key")))
    return CliRunner().invoke(main, ["--state", str(folder), *key, *arguments], input=input)


def ok(folder: Path, *arguments: str, input: str | None = None) -> str:
    result = run(folder, *arguments, input=input)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ok(tmp_path / "n1", "init")
    return tmp_path / "n1"


def test_init_makes_private_files(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.iterdir() if path.is_file()]
    assert "node.sqlite3" in {path.name for path in files}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert stat.S_IMODE(folder.with_suffix(".key").stat().st_mode) == 0o600


def test_init_twice_keeps_the_first(folder: Path) -> None:
    before = ok(folder, "info")
    result = run(folder, "init")
    assert result.exit_code == 1
    assert "already_initialised" in result.output
    assert ok(folder, "info") == before


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o707])
def test_a_folder_that_others_can_enter_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert "state_not_private" in run(folder, "info").output
    folder.chmod(0o700)


def test_a_database_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / "node.sqlite3").chmod(0o644)
    assert "state_not_private" in run(folder, "info").output


def test_info_shows_id_fingerprint_words_and_qr_without_a_password(folder: Path) -> None:
    result = CliRunner().invoke(main, ["--state", str(folder), "info", "--qr"])
    assert result.exit_code == 0
    card = HolderCard.from_json(json.loads(ok(folder, "info", "--json")))
    assert card.node_id in result.output
    words = result.output.split("words        ")[1].splitlines()[0].split()
    assert len(words) == 12
    assert "█" in result.output


def test_a_card_given_to_another_node_becomes_a_pin(folder: Path, tmp_path: Path) -> None:
    ok(tmp_path / "n2", "init")
    card = tmp_path / "n2.card.json"
    card.write_text(ok(tmp_path / "n2", "info", "--json"))
    output = ok(folder, "pin", str(card), "--checked-how", "telephone, 12 words")
    node_id = HolderCard.from_json(json.loads(card.read_text())).node_id
    assert node_id in output
    listed = ok(folder, "pins")
    assert node_id in listed
    assert "telephone, 12 words" in listed
    assert "n2" in listed


def test_a_bare_id_becomes_a_pin_and_a_cut_one_does_not(folder: Path, tmp_path: Path) -> None:
    ok(tmp_path / "n2", "init")
    node_id = HolderCard.from_json(json.loads(ok(tmp_path / "n2", "info", "--json"))).node_id
    pinned = ok(folder, "pin", node_id, "--label", "n2", "--checked-how", "qr", "--kind", "service")
    assert node_id in pinned
    assert "run by the service" in ok(folder, "pins")
    result = run(folder, "pin", node_id, "--label", "n2", "--checked-how", "qr")
    assert "kind_needed" in result.output  # R1: an id says nothing about who runs the node
    for bad in (node_id[:-5], "quo", "hello", "quo0OIl"):
        result = run(folder, "pin", bad, "--label", "x", "--checked-how", "qr", "--kind", "api")
        assert "bad_node_id" in result.output, bad


def test_a_pin_can_be_taken_back(folder: Path, tmp_path: Path) -> None:
    ok(tmp_path / "n2", "init")
    card = tmp_path / "n2.card"
    card.write_text(ok(tmp_path / "n2", "info", "--json"))
    ok(folder, "pin", str(card), "--checked-how", "in person")
    peer = HolderCard.from_json(json.loads(card.read_text())).node_id
    assert peer in ok(folder, "pins")
    ok(folder, "unpin", peer)
    assert peer not in ok(folder, "pins")
    assert "not_pinned" in run(folder, "unpin", peer).output


@pytest.mark.parametrize("field", ["node_id", "signing_key", "encryption_key", "version"])
def test_r4_a_card_whose_keys_do_not_give_the_id_is_refused(folder: Path, tmp_path: Path, field: str) -> None:
    ok(tmp_path / "n2", "init")
    ok(tmp_path / "n3", "init")
    card = json.loads(ok(tmp_path / "n2", "info", "--json"))
    other = json.loads(ok(tmp_path / "n3", "info", "--json"))
    card["card"][field] = 2 if field == "version" else other["card"][field]
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card))
    result = run(folder, "pin", str(path), "--checked-how", "not at all")
    assert result.exit_code == 1
    assert "bad_card" in result.output
    assert ok(folder, "pins") == ""


def test_pinning_needs_the_operators_secret(folder: Path, tmp_path: Path) -> None:
    ok(tmp_path / "n2", "init")
    card = tmp_path / "card.json"
    card.write_text(ok(tmp_path / "n2", "info", "--json"))
    wrong = ["--state", str(folder), "--key-file", str(tmp_path / "n2.key")]
    result = CliRunner().invoke(main, [*wrong, "pin", str(card), "--checked-how", "x"])
    assert "wrong_key_file" in result.output
    assert ok(folder, "pins") == ""


def test_a_node_does_not_pin_itself(folder: Path) -> None:
    node_id = HolderCard.from_json(json.loads(ok(folder, "info", "--json"))).node_id
    assert (
        "own_node"
        in run(folder, "pin", node_id, "--label", "me", "--checked-how", "x", "--kind", "api").output
    )


def test_an_uninitialised_folder_says_what_to_do(tmp_path: Path) -> None:
    result = run(tmp_path / "none", "info")
    assert result.exit_code == 1
    assert "not_initialised" in result.output
    assert "run init" in result.output


@pytest.mark.parametrize("command", ["info", "keys", "pins", "requests", "run"])
def test_a_mistyped_folder_is_not_made_into_a_node(tmp_path: Path, command: str) -> None:
    assert "not_initialised" in run(tmp_path / "mistyped", command).output
    assert not (tmp_path / "mistyped").exists()


def test_a_password_is_asked_for_twice_and_must_be_long(tmp_path: Path) -> None:
    arguments = ["--state", str(tmp_path / "p"), "init"]
    short = CliRunner().invoke(main, arguments, input="short\nshort\n")
    assert "password_too_short" in short.output
    result = CliRunner().invoke(main, arguments, input="a long password\na long password\n")
    assert result.exit_code == 0, result.output
    assert "a long password" not in result.output


def test_change_password(folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "password"
    new.write_text("correct horse battery\n")
    new.chmod(0o600)
    assert "changed" in ok(folder, "change-password", "--new-password-file", str(new))
    assert "wrong_secret_kind" in run(folder, "keys").output
    by_password = ["--state", str(folder), "--password-file", str(new)]
    assert CliRunner().invoke(main, [*by_password, "keys"]).exit_code == 0
    new.write_text("another long password\n")
    assert "wrong_password" in CliRunner().invoke(main, [*by_password, "keys"]).output


def test_policy_shows_and_checks_the_file(folder: Path) -> None:
    assert ok(folder, "policy") == "Everything else is refused (default deny).\n"
    (folder / "policy.toml").write_text(ASK_POLICY)
    assert "rule 0: ask for KeyGen" in ok(folder, "policy")
    (folder / "policy.toml").write_text(DEMO_POLICY)
    assert "demo_needs_loopback" in run(folder, "policy").output


def test_enrol_sends_the_card_and_remembers_the_coordinator(folder: Path) -> None:
    with server(reply({"organisation_id": "org-1", "name": "n1"})) as (url, seen):
        assert f"enrolled at {url} as n1" in ok(folder, "enrol", url, "one-time-code")
    path, _, body = seen[0]
    assert path == "/node/v1/enrol"
    sent = json.loads(body)
    assert sent["code"] == "one-time-code"
    assert HolderCard.from_json(sent["holder_card"]).kind == "api"
    assert url in ok(folder, "info")


def test_enrol_refused_is_an_error_of_its_own_status(folder: Path) -> None:
    answer = {"error_code": 2025, "error_message": "unknown code", "error_id": "1"}
    with server(reply(answer, 403)) as (url, _):
        result = run(folder, "enrol", url, "used")
    assert result.exit_code == 3
    assert "unknown code" in result.output
    assert "tls_required" in run(folder, "enrol", "http://example.com", "x").output


# requests: the node's folder comes from a world, its coordinator is a real HTTP server over the world's
# mailbox


def as_key_file(world: World, name: str) -> Path:
    """Let the command line unlock node `name` with a key file."""
    folder = world.state(name)
    secret = Secret("key-file", bytes(range(32)))
    key = folder.with_suffix(".key")
    key.write_text(secret.value.hex())
    key.chmod(0o600)
    store = world.store(name)
    old = Secret("password", b"correct horse battery")
    store.save_keyring(store.keyring().reseal(old, secret, KdfCost(1, 8192)))
    return folder


def over_http(world: World, name: str) -> Any:
    """A server that answers node `name` from the world's mailbox."""
    transport = MailboxTransport(world.mailbox, world.node_id(name))

    def handle(request: Any, body: bytes) -> None:
        call = json.loads(body)
        answer = transport.raw(call)
        reply(answer)(request, body)

    return server(handle)


def test_show_and_approve_print_the_intent_in_words(world: World) -> None:
    request = world.open_request(description="For the \x1b[31mtreasury")
    world.sync("a")
    folder = as_key_file(world, "a")
    listed = ok(folder, "requests")
    assert request.intent.request_id in listed
    assert "waits for you" in listed
    shown = ok(folder, "show", request.digest[:10])
    for text in (
        "Any 2 of its 3 holders",
        "Holders needed beside the service: 2",
        request.digest,
        "treasury",
    ):
        assert text in shown
    assert "\x1b" not in shown
    assert "this node" in shown
    assert len(shown.split("words        ")[1].splitlines()[0].split()) == 12
    for name in ("b", "c"):
        assert world.node_id(name) in shown

    with over_http(world, "a") as (url, _):
        world.store("a").set_setting("coordinator", url)
        refused = run(folder, "approve", request.intent.request_id, input="n\n")
        assert refused.exit_code == 1
        assert not request.decisions
        assert "Approve this?" in refused.output
        assert "approved" in ok(folder, "approve", request.intent.request_id, "--yes")
    assert request.decisions[world.node_id("a")].decision == "approve"
    assert "you said approve" in ok(folder, "requests")


def test_reject_is_delivered_at_once_and_ends_the_request(world: World) -> None:
    request = world.open_request()
    world.sync("a")
    folder = as_key_file(world, "a")
    with over_http(world, "a") as (url, _):
        world.store("a").set_setting("coordinator", url)
        assert "rejected" in ok(folder, "reject", request.digest, "--reason", "not agreed")
    assert request.state == "rejected"
    assert request.decisions[world.node_id("a")].reason == "not agreed"
    assert "rejected" in run(folder, "approve", request.digest, "--yes").output


def test_a_decision_is_kept_when_the_coordinator_is_away(world: World) -> None:
    request = world.open_request()
    world.sync("a")
    folder = as_key_file(world, "a")
    with over_http(world, "a") as (url, _):
        world.store("a").set_setting("coordinator", url)
    output = ok(folder, "approve", request.digest, "--yes")
    assert "not delivered yet" in output
    assert not request.decisions
    world.sync("a")
    assert request.decisions[world.node_id("a")].decision == "approve"


def test_a_refused_request_cannot_be_approved(world: World) -> None:
    (world.state("a") / "policy.toml").unlink()
    request = world.open_request()
    world.sync("a")
    folder = as_key_file(world, "a")
    assert "refused: no_rule" in ok(folder, "requests")
    result = run(folder, "approve", request.digest, "--yes")
    assert result.exit_code == 1
    assert "no_rule" in result.output
    assert "unknown_request" in run(folder, "show", "ffffffffff").output
    # The node remembers what it refused, and says so to its operator.
    line = next(line for line in ok(folder, "log").splitlines() if "no_rule" in line)
    assert request.digest in line
    assert line.startswith("20")


def test_keys_come_from_the_nodes_own_store(world: World) -> None:
    world.keygen()
    held = world.nodes["a"].keys()[0]
    folder = as_key_file(world, "a")
    output = ok(folder, "keys")
    for root in held.root_keys:
        assert root.xpub in output
    assert "any 2 of 3" in output
    listed = json.loads(ok(folder, "keys", "--json"))
    assert [root["xpub"] for root in listed[0]["root_keys"]] == [root.xpub for root in held.root_keys]


# processes


def command(folder: Path, *arguments: str) -> list[str]:
    key = str(folder.with_suffix(".key"))
    return [sys.executable, "-m", "signers", "--state", str(folder), "--key-file", key, *arguments]


def wait_for(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_serves_until_stopped_and_only_once_per_folder(folder: Path, number: signal.Signals) -> None:
    with server(reply({"organisation_id": None, "name": "n1"})) as (url, _):
        ok(folder, "enrol", url, "code")

    def long_poll(request: Any, body: bytes) -> None:
        time.sleep(json.loads(body)["wait_ms"] / 1000)
        reply(EMPTY)(request, body)

    with server(long_poll) as (url, seen):
        store = open_store(folder)
        store.set_setting("coordinator", url)
        store.close()
        process = subprocess.Popen(command(folder, "run"), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: bool(seen))
            assert int((folder / "node.pid").read_text()) == process.pid
            second = subprocess.run(
                command(folder, "run"), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
            )
            assert second.returncode == 1
            assert "already_running" in second.stderr
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            assert any(line.split()[4:6] == ["0", "0"] for line in limits.splitlines() if "core file" in line)
        finally:
            os.kill(process.pid, number)
            _, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "event=stopped_by_signal" in log
    assert not (folder / "node.pid").exists()
    for _, _, body in seen:
        assert body.decode() not in log


def test_run_without_enrolment_says_so(folder: Path) -> None:
    process = subprocess.run(
        command(folder, "run"), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert process.returncode == 1
    assert "not_enrolled" in process.stderr


def test_default_cost_is_used_by_init(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")
    password.chmod(0o600)
    arguments = ["--state", str(tmp_path / "n"), "--password-file", str(password), "init"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    store = open_store(tmp_path / "n")
    keyring: Keyring = store.keyring()
    store.close()
    assert keyring.cost == KdfCost()


def test_r7_a_passkey_goes_onto_the_card_and_off_again(folder: Path, tmp_path: Path) -> None:
    credential = Authenticator().credential("blue key")
    file = tmp_path / "passkey.json"
    file.write_text(json.dumps(credential.to_json()))
    assert "method" not in run(folder, "card", "add-passkey", str(file), input="n\n").output
    shown = ok(folder, "card", "add-passkey", str(file), input="y\n")
    assert credential.words() in shown
    assert "not_enrolled" not in shown
    ok(folder, "card", "method", "both")
    assert "version 3, votes by both" in ok(folder, "card", "show")
    assert run(folder, "card", "remove-passkey", "0000").exit_code == 1
    ok(folder, "card", "method", "node")
    grouped = " ".join(credential.fingerprint().hex()[at : at + 4] for at in range(0, 16, 4))
    ok(folder, "card", "remove-passkey", grouped)
    assert ok(folder, "card", "show") == "version 5, votes by node\n"
    file.write_text(json.dumps({**credential.to_json(), "origins": ["http://evil.example"]}))
    bad = run(folder, "card", "add-passkey", str(file), "--yes")
    assert (bad.exit_code, "bad_passkey: passkey.json: credential.origins[0]" in bad.output) == (1, True)
