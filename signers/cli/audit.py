"""What this node knows of the coordinator's audit log. None of it needs the password."""

import json

import click

from signers.cli.context import Context, pass_context
from signers.errors import NodeError


@click.group()
def audit() -> None:
    """The coordinator's audit log, as far as this node has countersigned it."""


@audit.command()
@pass_context
def show(context: Context) -> None:
    """Print the newest countersigned checkpoint, for `manage.py audit verify --checkpoint`."""
    with context.store() as store:
        newest = store.audit_words.newest()
        if newest is None:
            raise NodeError("no_checkpoint", "this node has been shown no checkpoint yet")
        click.echo(json.dumps(newest.to_json(), indent=2))


@audit.command()
@pass_context
def alarms(context: Context) -> None:
    """Print the two signed checkpoints of each contradiction: a log that was cut, forked or put back."""
    with context.store() as store:
        for alarm in store.audit_words.alarms():
            click.echo(json.dumps(alarm.to_json(), indent=2))


@audit.command()
@pass_context
def forget(context: Context) -> None:
    """Begin anew with the next checkpoint, where you know why the log went back (a restored backup)."""
    with context.store() as store:
        store.audit_words.forget()


COMMANDS = (audit,)
