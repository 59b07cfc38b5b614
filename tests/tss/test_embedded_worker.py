"""The worker in a thread of the web process does the whole work of a first run, and stops with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import threading, time
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from config import embedded_worker
from tests.tss.nodes import Site, fresh
from tss.models import Job

def until(probe, what):
    end = time.monotonic() + 20
    while not probe():
        assert time.monotonic() < end, what
        time.sleep(0.01)

site = Site.make()
request = site.approved()  # rung before anybody works, as before a crash
Job.objects.update(leased_until="2999-01-01T00:00:00Z")  # held by a process that is gone
embedded_worker.start()
embedded_worker.start()
until(lambda: fresh(request).state == "Running", "the first sweep starts what was left")
site.signers[0].abort(request.ceremonies.get(), 0, code="operator", message="next")

began = time.monotonic()
second = site.approved()
until(lambda: fresh(second).state == "Running", "the last approval rings the worker")
print("started after", round(time.monotonic() - began, 3))
ceremony = second.ceremonies.get()
site.run(ceremony)
site.signers[0].hand_in(ceremony)
until(lambda: fresh(second).state == "Succeeded", "the certificate rings the worker")

began = time.monotonic()
embedded_worker.stop()
embedded_worker.stop()
names = {thread.name for thread in threading.enumerate()}
assert not names & {"embedded-worker", "Beat"}, names
assert time.monotonic() - began < 8
print("stopped")
"""


def test_work_is_done_in_the_process_and_ends_with_it(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.embedded",
        "QUORATE_STATE": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "stopped"
