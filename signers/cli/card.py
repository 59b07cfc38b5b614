"""The holder's card: the passkeys that may vote for it, and what a vote needs (R7, R10)."""

from pathlib import Path

import click

from signers.cli.context import Context, pass_context
from signers.cli.trust import read_file
from signers.errors import NodeError, plain
from signers.node import Node
from signers.transport import TransportError
from wire.canonical import CanonicalError, parse_json
from wire.credential import Credential
from wire.fields import WireError
from wire.identity import METHODS, HolderCard


@click.group()
def card() -> None:
    """What this holder says of itself: its passkeys, and how its votes are given."""


@card.command()
@pass_context
def show(context: Context) -> None:
    """Print the card's version, method and passkeys. Needs no password."""
    with context.store() as store:
        own = store.card()
    click.echo(f"version {own.version}, votes by {own.method}")
    for each in own.credentials:
        _print_credential(each)


@card.command("add-passkey")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="The words were compared already.")
@pass_context
def add_passkey(context: Context, file: Path, yes: bool) -> None:
    """Let the passkey in FILE, which the account page gives, vote for this holder."""
    try:
        credential = Credential.from_json(parse_json(read_file(file)))
    except (CanonicalError, WireError) as error:
        raise NodeError("bad_passkey", f"{file.name}: {error}") from None
    _print_credential(credential)
    with context.node() as node:
        if not yes:
            click.confirm("Does the account page, on another device, show these words?", abort=True)
        _give(node, node.add_passkey(credential))


@card.command("remove-passkey")
@click.argument("fingerprint")
@pass_context
def remove_passkey(context: Context, fingerprint: str) -> None:
    """Let the passkey whose FINGERPRINT (hex, or its beginning) this is vote no longer."""
    with context.node() as node:
        _give(node, node.remove_passkey("".join(fingerprint.split()).lower()))


@card.command()
@click.argument("method", type=click.Choice(METHODS))
@pass_context
def method(context: Context, method: str) -> None:
    """Say what a vote of this holder needs: its node, a passkey as well, or both and a confirmation here."""
    with context.node() as node:
        _give(node, node.set_method(method))


def _give(node: Node, own: HolderCard) -> None:
    done = f"card version {own.version}, votes by {own.method}"
    try:
        node.deliver()
    except TransportError as error:
        click.echo(f"{done}; not delivered yet ({error.message}): the running node will try again", err=True)
        return
    except NodeError as error:
        click.echo(f"{done}; {error.message}", err=True)
        return
    click.echo(done)


def _print_credential(credential: Credential) -> None:
    text = credential.fingerprint().hex()
    click.echo(plain(f"passkey      {credential.label or '(no name)'}, {credential.algorithm}"))
    click.echo(f"  site         {credential.rp_id}, on {', '.join(credential.origins)}")
    click.echo(f"  fingerprint  {' '.join(text[at : at + 4] for at in range(0, len(text), 4))}")
    click.echo(f"  words        {credential.words()}")


COMMANDS: tuple[click.Command, ...] = (card,)
