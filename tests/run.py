"""bin/test: lint, types, migrations, then every test on real Postgres and Redis, then the embedded lane.

`bin/test [--quick] [pytest arguments]`. --quick leaves out what is marked slow and the embedded lane. With
pytest arguments the tests are those that the arguments choose, and the embedded lane is left out too.
All stages run, whatever failed before; the exit code is 0 when all passed.
"""

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time

from bin._bootstrap import ROOT
from tests.services import ServiceError, provide_postgres, provide_redis

# Loaded here, as a child between fork and exec must not.
LIBC = ctypes.CDLL(None)
TEST_SETTINGS, EMBEDDED_SETTINGS = "config.settings.test", "config.settings.embedded"
# Whole files stay together: a file's tests may share live processes.
PYTEST = ["-m", "pytest", "--numprocesses=auto", "--dist=loadfile"]


def main(arguments: list[str]) -> int:
    """Run the stages; 0 when all passed, 1 when one failed, 2 when the services could not be had."""
    parser = argparse.ArgumentParser(prog="bin/test", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="lint, types and the tests not marked slow")
    options, chosen = parser.parse_known_args(arguments)
    # A clean end on SIGTERM too: the services below end with this block.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # A shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    results: dict[str, tuple[bool, float]] = {}
    try:
        with contextlib.ExitStack() as services:
            env = os.environ | {"DJANGO_SETTINGS_MODULE": TEST_SETTINGS}
            if not env.get("DATABASE_URL"):
                env["DATABASE_URL"] = services.enter_context(provide_postgres()).url
            if not env.get("REDIS_URL"):
                env["REDIS_URL"] = services.enter_context(provide_redis()).url
            env["QUORATE_STATE"] = services.enter_context(tempfile.TemporaryDirectory(prefix="quorate-"))
            for name, command, variables in _stages(env, quick=options.quick, chosen=chosen):
                results[name] = _run(name, command, variables)
    except ServiceError as error:
        print(f"bin/test: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bin/test: interrupted", file=sys.stderr)
        return 130
    return _report(results, time.monotonic() - began)


def _stages(
    env: dict[str, str], *, quick: bool, chosen: list[str]
) -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, arguments of Python, environment."""
    embedded = env | {"DJANGO_SETTINGS_MODULE": EMBEDDED_SETTINGS}
    # What the embedded lane needs it must find by itself.
    del embedded["DATABASE_URL"], embedded["REDIS_URL"]
    stages = [
        ("ruff check", ["-m", "ruff", "check", "."], env),
        ("ruff format", ["-m", "ruff", "format", "--check", "."], env),
        ("mypy", ["-m", "mypy"], env),
        ("migrations", ["manage.py", "makemigrations", "--check", "--dry-run"], env),
    ]
    if quick:
        return [*stages, ("pytest", [*PYTEST, "-m", "not slow and not campaign", *chosen], env)]
    stages.append(("pytest", [*PYTEST, *chosen], env))
    if not chosen:
        embedded_tests = [*PYTEST, "-m", "embedded and not campaign"]
        stages.append(("pytest, embedded settings", embedded_tests, embedded))
    return stages


def _run(name: str, arguments: list[str], env: dict[str, str]) -> tuple[bool, float]:
    print(f"\n=== {name}", flush=True)
    began = time.monotonic()
    # pytest's exit code 5, no test at all, is a failure like any other.
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,  # safe: there are no threads here
    )
    try:
        passed = process.wait() == 0
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
    return passed, time.monotonic() - began


def _end_with_parent() -> None:
    """In the child: SIGTERM when bin/test dies, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG = 1)."""
    LIBC.prctl(1, signal.SIGTERM)


def _report(results: dict[str, tuple[bool, float]], seconds: float) -> int:
    print()
    for name, (passed, duration) in results.items():
        print(f"{'ok    ' if passed else 'FAILED'} {duration:7.1f} s  {name}")
    failed = [name for name, (passed, _) in results.items() if not passed]
    verdict = f"failed: {', '.join(failed)}" if failed else "every stage passed"
    print(f"bin/test: {verdict} ({seconds:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
