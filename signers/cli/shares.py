"""What the node holds, and what it has seen of others' faults."""

import json
from base64 import b64encode

import click

from mpc.certificate import Certificate
from signers.cli.context import Context, pass_context
from signers.describe import utc
from signers.errors import NodeError


@click.command()
@click.option("--json", "as_json", is_flag=True)
@pass_context
def keys(context: Context, as_json: bool) -> None:
    """Print the root keys of which this node holds certified shares, from its own store."""
    with context.node() as node:
        held = node.keys()
    if as_json:
        rows = [{**vars(key), "root_keys": [vars(root) for root in key.root_keys]} for key in held]
        click.echo(json.dumps(rows))
        return
    for key in held:
        click.echo(f"vault {key.vault_id}  {key.role} group {key.group_id}")
        click.echo(
            f"  any {key.threshold} of {key.participants}, epoch {key.epoch}, this node is number {key.index}"
        )
        for root in key.root_keys:
            click.echo(f"  {root.curve:<10} {root.xpub}")
        click.echo(f"  certificate {key.certificate_hash}")


@click.command()
@click.option("--json", "as_json", is_flag=True)
@pass_context
def shares(context: Context, as_json: bool) -> None:
    """List every share set that this node has had, erased ones too. Needs no password."""
    with context.store() as store:
        records = store.shares.all()
    rows = [
        {
            "vault_id": each.vault_id,
            "group_id": each.group_id,
            "role": each.role,
            "epoch": each.epoch,
            "state": each.state,
            "certificate_hash": Certificate.parse(each.certificate).hash().hex() if each.certificate else "",
            "erase_at": each.erase_at,
        }
        for each in records
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row, each in zip(rows, records, strict=True):
        erased_at = f", to be erased {utc(each.erase_at)}" if each.erase_at and each.sealed else ""
        click.echo(f"vault {each.vault_id}  {each.role} group {each.group_id}  epoch {each.epoch}")
        click.echo(f"  {each.state}{erased_at}")
        click.echo(f"  certificate {row['certificate_hash'] or '(none)'}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="With the signed messages, to show to others.")
@pass_context
def evidence(context: Context, as_json: bool) -> None:
    """List pairs of signed messages that cannot both be honest (R22). Needs no password."""
    with context.store() as store:
        pairs = store.evidence.all()
    if as_json:
        rows = [
            {**vars(each), "first": b64encode(each.first).decode(), "second": b64encode(each.second).decode()}
            for each in pairs
        ]
        click.echo(json.dumps(rows))
        return
    for each in pairs:
        click.echo(f"session {each.session_id}  {each.kind}: round {each.round}, participant {each.sender}")


@click.group()
def quarantine() -> None:
    """Vaults in which this node lacks a set that its peers hold (R30): there it does not deal."""


@quarantine.command("list")
@pass_context
def list_quarantines(context: Context) -> None:
    """List them and what to do. Needs no password."""
    with context.store() as store:
        for each in store.shares.quarantines():
            click.echo(f"vault {each.vault_id}  {each.role}, epoch {each.epoch}, since {utc(each.since)}")
            click.echo(f"  {each.code}: {each.message}")


@quarantine.command("lift")
@click.argument("vault")
@pass_context
def lift_quarantine(context: Context, vault: str) -> None:
    """End the quarantine of VAULT, knowing what became of the set that this node lacks."""
    with context.node() as node:
        if not node.store.shares.lift_quarantine(vault):
            raise NodeError("not_quarantined", f"vault {vault} is not in quarantine")
        node.store.log("quarantine_lifted", f"the operator ended the quarantine of vault {vault}")
    click.echo(f"lifted {vault}")


COMMANDS: tuple[click.Command, ...] = (keys, shares, evidence, quarantine)
