"""The one schedule, which beat and the embedded worker both read, has every task that nobody rings for."""

import inspect

from config.celery import app

# Celery's own, and those of the service signer, which is another program.
OTHERS = ("celery.", "signers.")


def test_the_schedule_names_every_task_without_an_id() -> None:
    app.loader.import_default_modules()
    periodic = {
        name
        for name, task in app.tasks.items()
        if not name.startswith(OTHERS) and not inspect.signature(task.run).parameters
    }
    assert {"tss.tasks.sweep", "webhooks.tasks.sweep", "audit.tasks.checkpoint"} <= periodic
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == periodic
