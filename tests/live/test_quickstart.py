"""bin/quickstart, as a person runs it: first run, second run, stopping it, and what goes wrong."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import psutil
import pytest
from embit.bip32 import HDKey

from quickstart.nodes import DemoNode
from quickstart.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

COMMAND = str(ROOT / "bin" / "quickstart")


def environment() -> dict[str, str]:
    """A plain user's environment: the demo must not see the test run's databases."""
    return {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}


def run(state: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [COMMAND, "--exit", "--state", str(state), *arguments]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=200, check=False
    )


def record(state: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((state / "quickstart.json").read_text())
    return content


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    state = tmp_path_factory.mktemp("quickstart") / "state"
    done = run(state, "--port", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    return state, done.stdout


def test_first_run_tells_the_whole_story(finished: tuple[Path, str]) -> None:
    state, output = finished
    data = record(state)
    assert data["done"] is True
    assert data["demo_seconds"] > 0
    assert data["base_url"].endswith("/v2")
    assert data["admin_url"].startswith("http://localhost:")
    assert len(data["nodes"]) == 5
    for entry in data["nodes"]:
        assert entry["tss_node_id"].startswith("quo")
        # The lost node's state is gone for good.
        assert Path(entry["state_dir"]).is_dir() == (entry["name"] != data["lost_node"])
    assert len(bytes.fromhex(data["api_secret"])) == 32
    assert [(result["type"], result["status"]) for result in data["results"]] == [
        ("KeyGen", "Success"),
        ("KeyGenFromKeyGroup", "Success"),
        ("KeyGenFromKeyGroup", "Success"),
        ("Recovery", "Success"),
        ("Refresh", "Success"),
    ]
    keys = {entry["curve"]: entry["root_pubkey"] for entry in data["results"][0]["root_pubkeys"]}
    assert set(keys) == {"SECP256K1", "ED25519"}
    for result in data["results"]:
        assert {entry["curve"]: entry["root_pubkey"] for entry in result["root_pubkeys"]} == keys
    assert all(key in output for key in keys.values())
    # Readable by an independent BIP32 library, which derives a child of it.
    parsed = HDKey.from_string(keys["SECP256K1"])
    assert (parsed.depth, parsed.child_number, parsed.fingerprint) == (0, 0, b"\x00" * 4)
    assert parsed.derive("m/0/1").to_base58().startswith("xpub")


def test_nodes_hold_what_the_story_says(finished: tuple[Path, str]) -> None:
    state, _ = finished
    data = record(state)
    epochs = {}
    for entry in data["nodes"]:
        if entry["name"] != data["lost_node"]:
            node = DemoNode(entry["name"], Path(entry["state_dir"]))
            epochs[entry["name"]] = {key["group_id"]: key["epoch"] for key in node.held_keys()}
    main, signing, recovery = (data[f"{name}_group_id"] for name in ("main", "signing", "recovery"))
    assert epochs == {
        "alice": {main: 3, signing: 1},
        "carol": {main: 3, recovery: 1},
        "dave": {main: 3},
        "erin": {recovery: 1},
    }


def test_record_is_private(finished: tuple[Path, str]) -> None:
    state, _ = finished
    assert stat.S_IMODE((state / "quickstart.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_demo_policy_is_announced(finished: tuple[Path, str]) -> None:
    assert "DEMO POLICY" in finished[1]


def test_second_run_adds_nothing(finished: tuple[Path, str]) -> None:
    state, _ = finished
    before = record(state)
    done = run(state)
    assert done.returncode == 0, done.stdout + done.stderr
    after = record(state)
    for name in ("results", "vault_id", "main_group_id", "service_node_id", "api_secret", "demo_seconds"):
        assert after[name] == before[name]
    assert [entry["tss_node_id"] for entry in after["nodes"]] == [
        entry["tss_node_id"] for entry in before["nodes"]
    ]
    assert "nothing is added" in done.stdout


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path / "state", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "--port 0" in done.stderr


@contextmanager
def staying_up(
    state: Path, *arguments: str, ignore_interrupts: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    def prepare() -> None:
        if ignore_interrupts:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = subprocess.Popen(
        [COMMAND, "--state", str(state), *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=prepare,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def read_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize(
    ("number", "ignore_interrupts"), [(signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGINT, True)]
)
def test_signals_stop_every_child(
    finished: tuple[Path, str], number: signal.Signals, ignore_interrupts: bool
) -> None:
    with staying_up(finished[0], ignore_interrupts=ignore_interrupts) as process:
        read_until(process, "Running until Ctrl-C")
        children = family(process)
        assert len(children) >= 6
        process.send_signal(number)
        assert process.wait(30) == 0
        _gone, alive = psutil.wait_procs(children, timeout=5)
        assert not alive


def test_the_printed_way_into_the_admin_works(finished: tuple[Path, str]) -> None:
    with staying_up(finished[0]) as process:
        code = re.search(r"with the code (\S+)", read_until(process, "with the code")[-1])
        read_until(process, "Running until Ctrl-C")
        assert code is not None
        data = record(finished[0])
        origin = data["admin_url"].removesuffix("/admin/")
        browser = build_opener(HTTPCookieProcessor())
        page = browser.open(data["recover_url"], timeout=10).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token is not None
        form = {"csrfmiddlewaretoken": token[1], "code": code[1], "password": "a long and new password"}
        browser.open(Request(data["recover_url"], urlencode(form).encode(), {"Origin": origin}), timeout=10)
        home = browser.open(data["admin_url"], timeout=10).read()
        assert b"Waiting for you" in home
        requests = browser.open(f"{data['admin_url']}tss/tssrequest/", timeout=10).read().decode()
        assert data["results"][0]["tss_request_id"] in requests
        process.terminate()
        process.wait(30)


def test_kill_9_leaves_no_child(finished: tuple[Path, str]) -> None:
    with staying_up(finished[0]) as process:
        read_until(process, "Running until Ctrl-C")
        children = family(process)
        process.kill()
        _gone, alive = psutil.wait_procs(children, timeout=10)
        assert not alive


def test_manual_approval_prints_commands_that_work(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with staying_up(state, "--port", "0", "--approve", "manual") as process:
        for asked in (3, 2, 3, 3, 3):  # beside the service signer, which approves by itself
            read_until(process, "Approve it with each")
            lines = read_until(process, "AwaitingApproval")
            assert record(state)["done"] is False
            commands = [line.split("]", 1)[1].strip() for line in lines if " approve 2" in line]
            assert len(commands) == asked
            for command in commands:
                done = subprocess.run(
                    [*command.split(), "--yes"],
                    cwd=ROOT,
                    env=environment(),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
        read_until(process, "Running until Ctrl-C")
        assert record(state)["done"] is True
        process.terminate()
        process.wait(30)


def test_a_failed_process_is_reported_with_its_log(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with staying_up(state, "--port", "0", "--approve", "manual") as process:
        read_until(process, "AwaitingApproval")
        site = psutil.Process(record(state)["site_pid"])
        site.kill()
        begun = time.monotonic()
        assert process.wait(30) == 1
        assert time.monotonic() - begun < 30
        assert process.stdout is not None
        assert "site ended" in process.stdout.read()
