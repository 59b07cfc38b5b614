"""The demo of docker/compose.yaml, step by step in containers that share the folder /demo.

`setup FOLDER` makes the organisation; `node FOLDER NAME` makes a node on first use, waits for the others'
cards, pins them and runs.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from quickstart.nodes import DemoNode
from quickstart.processes import ROOT, python

NAMES = ("alice", "bob", "carol")
_PATIENCE_S = 120.0


def setup(folder: Path) -> None:
    """Write setup.json with the demo's secrets, once."""
    target = folder / "setup.json"
    if target.exists():
        return
    done = subprocess.run(python("-m", "quickstart.site_setup"), cwd=ROOT, check=True, stdout=subprocess.PIPE)
    partial = target.with_suffix(".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(done.stdout)
    partial.rename(target)


def run_node(folder: Path, name: str, coordinator: str) -> None:
    """Become the node; does not return."""
    (folder / "nodes").mkdir(mode=0o700, exist_ok=True)
    nodes = {each: DemoNode(each, folder / "nodes" / each) for each in NAMES}
    node = nodes[name]
    if not _card(node):
        codes = json.loads((folder / "setup.json").read_text())["codes"]
        node.create(coordinator=coordinator, code=codes[name], service=False, action="auto")
    deadline = time.monotonic() + _PATIENCE_S
    while not all(map(_card, nodes.values())):
        if time.monotonic() > deadline:
            raise SystemExit("the other demo nodes did not come up")
        time.sleep(0.2)
    node.pin(list(nodes.values()))
    command = node.command("run", "--coordinator", coordinator)
    os.chdir(ROOT)
    os.execv(command[0], command)  # noqa: S606


def _card(node: DemoNode) -> bool:
    """Whether the node has written its card whole, which it does last."""
    try:
        return bool(json.loads(node.card().read_text()))
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    act, place, *names = sys.argv[1:]
    if act == "setup":
        setup(Path(place))
    else:
        run_node(Path(place), names[0], os.environ.get("COORDINATOR", "http://127.0.0.1:8000"))
