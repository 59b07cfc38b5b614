"""The arrows of docs/architecture.md: who may import whom, and what the pure parts may not touch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "mpc",
    "wire",
    "signers",
    "audit",
    "leasing",
    "webhooks",
    "vaults",
    "tss",
    "accounts",
    "dashboard",
    "config",
    "quickstart",
)

# Package -> the project's packages that it may import. Celery's task module of the service signer is the one
# part of `signers` that runs inside a process of the site's software, hence its own line.
ALLOWED = {
    "mpc": set(),
    "wire": {"mpc"},
    "signers": {"mpc", "wire"},
    "audit": {"mpc", "wire"},
    "leasing": set(),
    "webhooks": {"mpc", "wire", "audit", "leasing", "vaults"},
    "vaults": {"mpc", "wire", "audit", "webhooks"},
    "tss": {"mpc", "wire", "audit", "leasing", "webhooks", "vaults"},
    "accounts": {"mpc", "wire", "audit", "vaults", "tss"},
    "dashboard": {"mpc", "wire", "audit", "leasing", "webhooks", "vaults", "tss"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def modules(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]


@pytest.mark.parametrize("package", ALLOWED)
def test_arrows_point_down_only(package: str) -> None:
    allowed = ALLOWED[package] | {package}
    for path in modules(package):
        for name in imports(path):
            top = name.split(".")[0]
            assert top not in PACKAGES or top in allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_the_outbox_lies_below_those_who_write_it() -> None:
    """The lower part of webhooks/ knows nobody; the apps that emit know nothing of the upper part."""
    lower = {"outbox", "models", "catalogue"}
    for name in lower:
        for used in imports(ROOT / "webhooks" / f"{name}.py"):
            top, *rest = used.split(".")
            assert top not in PACKAGES or top == "leasing" or rest[0] in lower, f"{name} imports {used}"
    for package in ("vaults", "tss"):
        for path in modules(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "webhooks":
                    _, *rest = (node.module or "").split(".")
                    used_names = set(rest) or {alias.name for alias in node.names}
                    assert used_names <= lower, f"{path.relative_to(ROOT)} imports {used_names} of webhooks"


@pytest.mark.parametrize("package", ["mpc", "wire"])
def test_pure_packages_do_no_io(package: str) -> None:
    forbidden = {
        "django",
        "os",
        "io",
        "socket",
        "time",
        "datetime",
        "threading",
        "asyncio",
        "random",
        "logging",
        "pathlib",
    }
    for path in modules(package):
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & forbidden, f"{path.relative_to(ROOT)} imports {used & forbidden}"


def test_the_node_program_needs_no_django() -> None:
    for path in modules("signers"):
        if path.name == "tasks.py":
            continue
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"django", "celery", "rest_framework"}, path.relative_to(ROOT)


@pytest.mark.parametrize(
    "package", ["audit", "leasing", "webhooks", "vaults", "tss", "accounts", "dashboard", "config"]
)
def test_the_coordinator_cannot_open_a_share(package: str) -> None:
    for path in modules(package):
        for name in imports(path):
            assert name.split(".")[0] != "signers", f"{path.relative_to(ROOT)} imports {name}"
