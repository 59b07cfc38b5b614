"""The node itself: making, enrolling and running it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from signers import __version__
from signers.cli.context import Context, pass_context
from signers.errors import NodeError, plain
from signers.identity import Fingerprint
from signers.node import create_node
from signers.operate import run_node
from signers.policy import load_policy
from signers.store import Store
from signers.transport import check_url


@click.command()
@click.option(
    "--kind", type=click.Choice(["api", "service"]), default="api", help="service: run by the coordinator."
)
@pass_context
def init(context: Context, kind: str) -> None:
    """Make a new identity; its keys never leave this node."""
    with context.store(create=True) as store:
        if store.initialised:
            raise NodeError("already_initialised", "this folder already holds a node")
        create_node(store, context.secret(new=True), kind)
        _print_identity(store)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The holder card, to give to other operators.")
@click.option("--qr", is_flag=True, help="The node id as a QR code.")
@pass_context
def info(context: Context, as_json: bool, qr: bool) -> None:
    """Show this node's id and fingerprint. Needs no password."""
    with context.store() as store:
        if as_json:
            click.echo(json.dumps(store.card().to_json(), sort_keys=True))
            return
        _print_identity(store)
        if qr:
            card = store.card()
            click.echo(Fingerprint.of(card.signing_key, card.encryption_key).qr())


@click.command()
@click.argument("url")
@click.argument("code")
@pass_context
def enrol(context: Context, url: str, code: str) -> None:
    """Introduce this node to the coordinator at URL with the one-time CODE."""
    with context.node() as node:
        name = node.enrol(url, code)
        click.echo(plain(f"enrolled at {url} as {name}"))


@click.command()
@click.option(
    "--coordinator", default="", help="Where the coordinator is now, if it has moved since enrolment."
)
@pass_context
def run(context: Context, coordinator: str) -> None:
    """Serve requests until stopped."""
    with context.store() as store:
        store.card()
        if coordinator:
            store.set_setting("coordinator", check_url(coordinator))
        run_node(store, context.secret(), context.state)


@click.command()
@pass_context
def log(context: Context) -> None:
    """Print what this node has refused, ended or noticed. Needs no password."""
    with context.store() as store:
        for entry in store.log_entries():
            moment = datetime.fromtimestamp(entry.time / 1000, UTC).isoformat(timespec="seconds")
            click.echo(f"{moment}  {entry.code}  {entry.message}")


@click.command()
@pass_context
def policy(context: Context) -> None:
    """Check DIR/policy.toml and show what it allows. Needs no password."""
    with context.store() as store:
        rules = load_policy(context.state / "policy.toml", store.setting("coordinator"))
    if rules.demo:
        click.echo("DEMO POLICY: this node approves by itself what a person should approve (R11).")
    for position, rule in enumerate(rules.rules):
        where = f"vaults {', '.join(rule.vaults)}; organisations {', '.join(rule.organisations)}"
        click.echo(f"rule {position}: {rule.action} for {', '.join(rule.types)}; {where}; ", nl=False)
        click.echo(f"at least {rule.minimum_threshold} holders needed")
    if rules.passkey_alone:
        click.echo(f"A passkey of this holder is enough for: {', '.join(rules.passkey_alone)} (R10).")
    click.echo("Everything else is refused (default deny).")


@click.command("change-password")
@click.option("--new-password-file", type=click.Path(path_type=Path))
@click.option("--new-key-file", type=click.Path(path_type=Path), help="Made if it is not there.")
@pass_context
def change_password(context: Context, new_password_file: Path | None, new_key_file: Path | None) -> None:
    """Seal the node's data key under another password or key file."""
    with context.store() as store:
        old = context.secret()
        store.keyring().unlock(old)
        fresh = Context(context.state, new_password_file, new_key_file, context.database)
        if new_password_file is None and new_key_file is None:
            click.echo("The new one:", err=True)
        store.save_keyring(store.keyring().reseal(old, fresh.secret(new=True)))
        store.log("password_changed", "the node's data key was sealed under another password or key file")
    click.echo("changed")


def _print_identity(store: Store) -> None:
    card = store.card()
    click.echo(Fingerprint.of(card.signing_key, card.encryption_key).lines())
    click.echo(f"{'kind':<13}{card.kind}, software {__version__}")
    click.echo(f"{'coordinator':<13}{store.setting('coordinator') or '(not enrolled)'}")


COMMANDS: tuple[click.Command, ...] = (
    init,
    info,
    enrol,
    run,
    log,
    policy,
    change_password,
)
