"""docker/ without an engine: what the files promise, checked by reading them and by a linter."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.settings import base
from tests.operations.containers import DOCKER, ROOT, compose, copied, instructions, start_order

FILE = compose()
SERVICES: dict[str, Any] = FILE["services"]
OURS = [name for name, each in SERVICES.items() if each.get("image", "").startswith("quorate:")]
EXACT_TAG = re.compile(r"[a-z]+:\d+\.\d+(\.\d+)?(-\w+)*")


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert EXACT_TAG.fullmatch(service["image"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_is_a_file_that_is_mounted(name: str) -> None:
    service = SERVICES[name]
    values = map(str, service.get("environment", {}).values())
    used = {value.removeprefix("/run/secrets/") for value in values if value.startswith("/run/secrets/")}
    assert used <= set(service.get("secrets", []))
    assert set(service.get("secrets", [])) <= set(FILE["secrets"])
    # Nothing that looks like a secret stands in the file itself.
    named = re.compile("(?i)(password|secret|token|_url)$")
    assert not any(named.search(key) for key in service.get("environment", {}))


def test_every_secret_is_made_once_and_for_its_reader_only(tmp_path: Path) -> None:
    command = [sys.executable, str(DOCKER / "make_secrets.py"), str(tmp_path)]
    subprocess.run(command, check=True)
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o400}
    assert {name: f"./secrets/{name}" for name in first} == {
        name: secret["file"] for name, secret in FILE["secrets"].items()
    }
    (tmp_path / "database_url").unlink()
    subprocess.run(command, check=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == first


def test_who_waits_for_whom() -> None:
    start_order(SERVICES, list(SERVICES))
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            condition, target = wait["condition"], SERVICES[other]
            if condition == "service_healthy":
                assert "test" in target.get("healthcheck", {}), f"{name} waits for {other}'s health"
            else:
                assert condition == "service_completed_successfully"
                assert target["restart"] == "no"
        if service.get("network_mode"):
            # Another's network is there only once the other is.
            assert service["network_mode"].removeprefix("service:") in service["depends_on"]
    for name in ("site", "worker", "sweeper"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert "profiles" not in SERVICES[name]


def test_the_demo_and_the_service_signer_are_asked_for() -> None:
    profiles = {name: each["profiles"] for name, each in SERVICES.items() if "profiles" in each}
    demo = {name: ["demo"] for name in ("demo-setup", "demo-alice", "demo-bob", "demo-carol")}
    assert profiles == {"service-signer": ["service-signer"], **demo}


def test_volumes_are_declared_and_files_are_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DOCKER / source).is_file() if source.startswith("./") else source in FILE["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_ours(name: str) -> None:
    command = SERVICES[name]["command"]
    assert command[0] == "python"
    if command[1] == "manage.py":
        assert (ROOT / "manage.py").is_file()
        return
    assert command[1] == "-m"
    module = command[2].split(".")
    if module[0] in ("uvicorn", "celery"):
        # tests/operations/test_boot.py runs these as they stand.
        return
    assert (ROOT.joinpath(*module).with_suffix(".py")).is_file()
    assert module[0] in copied()


def test_the_workers_take_the_queues_that_are_filled() -> None:
    def queue(name: str) -> str:
        command: list[str] = SERVICES[name]["command"]
        return command[command.index("--queues") + 1]

    assert queue("worker") == base.CELERY_TASK_DEFAULT_QUEUE
    assert queue("service-signer") == "service_signer"


def test_the_image_is_built_in_two_stages_from_an_exact_tag_and_runs_as_nobody() -> None:
    found = instructions()
    bases = [text for word, text in found if word == "FROM"]
    assert [base.split()[0] for base in bases] == ["${PYTHON_IMAGE}"] * 2
    (argument,) = [text for word, text in found if word == "ARG"]
    image = argument.removeprefix("PYTHON_IMAGE=")
    assert EXACT_TAG.fullmatch(image)
    assert SERVICES["migrate"]["build"]["args"]["PYTHON_IMAGE"] == image
    last = found[[word for word, _ in found].index("FROM", 2) :]
    users = [text for word, text in last if word == "USER"]
    assert users == [SERVICES["site"]["user"]]
    assert "HEALTHCHECK" in [word for word, _ in last]
    text = (DOCKER / "Dockerfile").read_text() + (DOCKER / "compose.yaml").read_text()
    assert "latest" not in text


def test_the_image_gets_every_package_and_nothing_else() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bin"}
    assert packages <= {*copied(), "benchmarks"}
    for source in copied():
        assert (ROOT / source).exists()
    allowed = {
        line.removeprefix("!")
        for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert allowed == {*copied(), "bin", "requirements"}


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_a_circle_is_found() -> None:
    circle: dict[str, Any] = {"a": {"depends_on": {"b": {}}}, "b": {"depends_on": {"a": {}}}}
    with pytest.raises(ValueError, match="waits for itself"):
        start_order(circle, ["a"])
