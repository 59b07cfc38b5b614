"""Whom the node believes: pinned peers, and the anchors of vaults (R5, R6)."""

from getpass import getuser
from pathlib import Path

import click

from signers.anchors import AnchorRecord
from signers.cli.context import Context, pass_context
from signers.errors import NodeError, plain
from signers.identity import Fingerprint, check_node_id
from signers.pins import Pin
from wire.anchor import Anchor
from wire.canonical import CanonicalError, parse_json
from wire.fields import WireError
from wire.identity import KINDS, HolderCard

_MAX_FILE_BYTES = 1 << 16
_RUN_BY = {"api": "run by its holder", "service": "run by the service"}  # R1


@click.command()
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--label", default="", help="What you call the peer; default: the card file's name.")
@click.option(
    "--checked-how", required=True, help="How you compared the fingerprint, e.g. 'telephone, 12 words'."
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="Who runs it, for a bare id: service is the coordinator's operator.",
)
@pass_context
def pin(context: Context, targets: tuple[str, ...], label: str, checked_how: str, kind: str | None) -> None:
    """Trust each node TARGET: a node id, or the file with a card (info --json of that node)."""
    if label and len(targets) > 1:
        raise click.UsageError("one label is for one target")
    peers = [(_read_target(target, kind), label or Path(target).name.split(".")[0]) for target in targets]
    with context.node() as node:
        if any(peer[0] == node.identity.node_id for peer, _ in peers):
            raise NodeError("own_node", "this is the node itself")
        with node.store.database.transaction():
            for peer, name in peers:
                made = Pin(*peer, name, checked_how, getuser(), node.store.now())
                node.store.pins.add(made, node.data_key)
    for (node_id, signing_key, encryption_key, known_kind), name in peers:
        click.echo(f"pinned {node_id} as {name}, {_RUN_BY[known_kind]}")
        if signing_key:
            click.echo(Fingerprint.of(signing_key, encryption_key).lines())


@click.command()
@click.argument("node_id")
@pass_context
def unpin(context: Context, node_id: str) -> None:
    """Trust the node NODE_ID no longer: requests that name it are refused."""
    with context.node() as node:
        if not node.store.pins.remove(node_id):
            raise NodeError("not_pinned", f"{node_id} is not pinned here")
        node.store.log("unpinned", node_id)
    click.echo(f"unpinned {node_id}")


@click.command()
@pass_context
def pins(context: Context) -> None:
    """List the pinned peers. Needs no password."""
    with context.store() as store:
        for each in store.pins.all():
            how = f"{_RUN_BY[each.kind]}; checked: {each.checked_how}; by {each.pinned_by}"
            click.echo(f"{each.node_id}  {each.label}  ({how})")


@click.group()
def anchor() -> None:
    """The keys of vaults that this node knows, and those that it is to join."""


@anchor.command("export")
@click.argument("vault")
@pass_context
def export_anchor(context: Context, vault: str) -> None:
    """Print the anchor of VAULT for a node that is to join its key; the words to compare go to stderr."""
    with context.node() as node:
        known = node.anchor(vault)
    click.echo(known.encode().decode())
    click.echo(f"words        {known.words()}", err=True)


@anchor.command("pin")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--checked-how", required=True, help="How you compared the words with the holder who exported it."
)
@pass_context
def pin_anchor(context: Context, file: Path, checked_how: str) -> None:
    """Trust the anchor in FILE (anchor export of a holder): the key that this node is to join."""
    try:
        anchor = Anchor.parse(read_file(file).strip())
    except (CanonicalError, WireError) as error:
        raise NodeError("bad_anchor", f"{file.name}: {error}") from None
    with context.node() as node:
        node.pin_anchor(anchor, checked_how=checked_how, pinned_by=getuser())
    click.echo(f"pinned the anchor of vault {anchor.vault_id}")
    _print_anchor(anchor)


@anchor.command("list")
@pass_context
def list_anchors(context: Context) -> None:
    """List the known vaults. Needs no password."""
    with context.store() as store:
        for record in store.anchors.all():
            click.echo(f"vault {record.anchor.vault_id}  {_origin(record)}")
            _print_anchor(record.anchor)


def _origin(record: AnchorRecord) -> str:
    return plain(f"({record.checked_how}{f'; by {record.pinned_by}' if record.pinned_by else ''})")


def _print_anchor(anchor: Anchor) -> None:
    click.echo(f"  organisation {anchor.organisation_id}")
    click.echo(f"  Main group   {anchor.main_group_id}")
    for key in anchor.root_keys:
        click.echo(f"  {key.curve:<12} {key.root_key.hex()}  chain code {key.chain_code.hex()}")
    click.echo(f"  certificate  {anchor.certificate_hash.hex()}")
    click.echo(f"  policy       {anchor.policy_hash.hex()}")
    click.echo(f"  words        {anchor.words()}")


def _read_target(target: str, kind: str | None) -> tuple[str, bytes, bytes, str]:
    """Node id, keys and kind; the keys are empty for a bare id, which commits to them (R4) but not to the
    kind."""
    path = Path(target)
    if not path.is_file():
        check_node_id(target)
        if kind is None:
            raise NodeError("kind_needed", "an id does not tell who runs the node: add --kind api or service")
        return target, b"", b"", kind
    try:
        card = HolderCard.from_json(parse_json(read_file(path), max_bytes=_MAX_FILE_BYTES))
    except (CanonicalError, WireError) as error:
        raise NodeError("bad_card", f"{path.name}: {error}") from None
    return card.node_id, card.signing_key, card.encryption_key, kind or card.kind


def read_file(path: Path) -> bytes:
    """A small file that an operator was given. Raises NodeError unreadable."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise NodeError("unreadable", f"{path.name}: {error.strerror}") from None


COMMANDS: tuple[click.Command, ...] = (
    pin,
    unpin,
    pins,
    anchor,
)
