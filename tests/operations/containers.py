"""docker/compose.yaml and the Dockerfile as an engine would read them, since none runs where the tests do."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
_VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")


def compose(**variables: str) -> dict[str, Any]:
    """The compose file with YAML's merges done and variables put in; a `:?` variable must be given."""
    values = {"QUORATE_HOST": "quorate.example.com", **variables}

    def put(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        return values.get(name, default)

    loaded: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(put, (DOCKER / "compose.yaml").read_text()))
    return loaded


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, its text) of the Dockerfile, continued lines joined, without comments."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def copied() -> list[str]:
    """What the image's last stage copies from the checkout."""
    texts = [text for word, text in instructions() if word == "COPY" and not text.startswith("--from")]
    # bin/ and requirements/ stay in the first stage.
    return [text.split()[0].rstrip("/") for text in texts if not text.startswith(("bin/", "requirements/"))]


def start_order(services: dict[str, Any], chosen: list[str]) -> list[str]:
    """The chosen services and what they wait for, in order. Raises ValueError on a circle."""
    order: list[str] = []

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"{name} waits for itself")
        for other in services[name].get("depends_on", {}):
            add(other, (*path, name))
        if name not in order:
            order.append(name)

    for name in chosen:
        add(name, ())
    return order
