"""The verifier as a program: one file, alone on another machine, that says what is wrong (R3)."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mpc.xpub import ExtendedPublicKey, parse_path
from tests.verifier.story import vault
from verifier import quorate_verify
from verifier.quorate_verify import addresses
from wire.anchor import Anchor

SOURCE = Path(quorate_verify.__file__)
Run = subprocess.CompletedProcess[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Another machine: the program, a real request, the anchor, and nothing else."""
    shutil.copy(SOURCE, tmp_path / "quorate_verify.py")
    (tmp_path / "request.json").write_text(json.dumps(vault().documents["Recovery"], indent=1))
    # With the newline that a shell's redirection of the export leaves.
    (tmp_path / "anchor.json").write_text(vault().anchor().encode().decode() + "\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> Run:
    """-I and -S: no environment, no site-packages, not even the script's own folder."""
    command = [sys.executable, "-I", "-S", "quorate_verify.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env={})


def verified(folder: Path, *arguments: str) -> Run:
    return run(folder, "request.json", "--anchor", "anchor.json", *arguments)


def child_of(anchor: Anchor, path: str) -> ExtendedPublicKey:
    (key,) = (each for each in anchor.root_keys if each.curve == "secp256k1")
    return ExtendedPublicKey("secp256k1", key.root_key, key.chain_code).derive(parse_path(path))


def test_it_imports_the_standard_library_only() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not imported & {"os", "socket", "subprocess", "urllib", "http"}


def test_r3_it_needs_nothing_but_its_file(folder: Path) -> None:
    done = verified(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Everything that was checked holds" in done.stdout
    assert vault().documents["Recovery"]["digest"] in done.stdout
    for key in vault().anchor().root_keys:
        assert ExtendedPublicKey(key.curve, key.root_key, key.chain_code).encode() in done.stdout


def test_a_fault_is_named_and_the_exit_status_tells(folder: Path) -> None:
    document = json.loads((folder / "request.json").read_text())
    document["approvals"][1]["time"] += 1
    (folder / "request.json").write_text(json.dumps(document))
    done = verified(folder)
    assert done.returncode == 1
    assert "FAILED  approvals[1].signature: is not that of quo" in done.stdout
    assert "holds" not in done.stdout


def test_the_report_can_be_read_by_a_program(folder: Path) -> None:
    good = verified(folder, "--json")
    report: dict[str, Any] = json.loads(good.stdout)
    assert (good.returncode, report["valid"], report["fault"]) == (0, True, None)
    assert "share set" in {each["thing"] for each in report["holds"]}
    bad = verified(folder, "--json", "--path", "m/0'")
    report = json.loads(bad.stdout)
    assert (bad.returncode, report["valid"], report["fault"]["what"]) == (1, False, "path")


def test_r3_the_path_from_anchor_to_address(folder: Path) -> None:
    child = child_of(vault().anchor(), "m/44/60/0/0/7")
    own = addresses(child.key)["Bitcoin P2WPKH"]
    options = ("--path", "m/44/60/0/0/7", "--xpub", child.encode())
    good = verified(folder, *options, "--address", own)
    assert good.returncode == 0
    assert f"ok      address: {own} is the key at m/44/60/0/0/7 (Bitcoin P2WPKH)" in good.stdout
    assert f"ok      Bitcoin P2WPKH address at m/44/60/0/0/7: {own}" in verified(folder, *options).stdout
    bad = verified(folder, *options, "--address", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH")
    assert (bad.returncode, "FAILED  address" in bad.stdout) == (1, True)


def test_what_the_site_sends_cannot_drive_the_terminal(folder: Path) -> None:
    document = json.loads((folder / "request.json").read_text())
    document["approvals"][0]["\x1b[2J\u202eall is well"] = 1
    (folder / "request.json").write_text(json.dumps(document))
    done = verified(folder)
    assert done.returncode == 1
    assert "\\x1b[2J\\u202eall is well" in done.stdout
    assert "\x1b" not in done.stdout


def test_help_says_what_is_proved_and_what_is_not(folder: Path) -> None:
    text = run(folder, "--help").stdout
    assert "Exit status 0 proves" in text
    assert "It does not prove" in text


def test_a_file_that_is_not_there_is_an_error_of_use(folder: Path) -> None:
    done = run(folder, "other.json")
    assert (done.returncode, "other.json" in done.stderr) == (2, True)
