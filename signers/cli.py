"""The operator's commands. Each error is one line with its code; nothing secret is ever printed."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import NoReturn

import click

from signers import __version__, sealing
from signers.database import DATABASE_FILE
from signers.describe import describe
from signers.errors import NodeError, plain
from signers.identity import Fingerprint, check_node_id
from signers.node import Node, create_node, open_store
from signers.operate import forbid_core_dumps, run_node
from signers.pins import Pin
from signers.policy import load_policy
from signers.requests import ASK, REFUSED, RequestRecord
from signers.sealing import Secret
from signers.store import Store
from signers.transport import TransportError, check_url
from wire.canonical import CanonicalError, parse_json
from wire.fields import WireError
from wire.identity import KINDS, HolderCard
from wire.intent import KeyGenIntent
from wire.manifest import Manifest

_MAX_CARD_BYTES = 1 << 16
_RUN_BY = {"api": "run by its holder", "service": "run by the service"}  # R1


@dataclass
class Context:
    """The options that every command shares."""

    state: Path
    password_file: Path | None
    key_file: Path | None
    database: str

    def secret(self, *, new: bool = False) -> Secret:
        """What unlocks the node: from a file, or asked for."""
        if self.key_file is not None:
            return sealing.make_key_file(self.key_file) if new else sealing.read_key_file(self.key_file)
        if self.password_file is not None:
            return sealing.read_password_file(self.password_file)
        text: str = click.prompt("Password", hide_input=True, confirmation_prompt=new, err=True)
        return sealing.password(text)

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Store]:
        """The node's store. Raises NodeError not_initialised where only `init` may make one."""
        if not (create or self.database or (self.state / DATABASE_FILE).exists()):
            raise NodeError("not_initialised", f"{self.state} holds no node: run init first")
        store = open_store(self.state, self.database)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def node(self) -> Iterator[Node]:
        with self.store() as store:
            store.card()
            yield Node.unlock(store, self.secret(), self.state)


pass_context = click.make_pass_decorator(Context)


class _Commands(click.Group):
    """Turns a NodeError into one line on stderr and exit status 1 (3: the coordinator could not be
    reached)."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except NodeError as error:
            _fail(error)


def _fail(error: NodeError) -> NoReturn:
    click.echo(f"error: {error.code}: {error.message}", err=True)
    sys.exit(3 if isinstance(error, TransportError) else 1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="signers")
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), required=True, help="The node's folder."
)
@click.option(
    "--password-file", type=click.Path(path_type=Path), help="Its first line is the password; mode 600."
)
@click.option("--key-file", type=click.Path(path_type=Path), help="32 bytes in hex; mode 600. init makes it.")
@click.option(
    "--database",
    envvar="QUORATE_NODE_DATABASE",
    default="",
    help="postgresql://...; default: DIR/node.sqlite3.",
)
@click.pass_context
def main(
    ctx: click.Context, state: Path, password_file: Path | None, key_file: Path | None, database: str
) -> None:
    """A signer node: holds key shares, checks every request for itself, talks outbound only."""
    if password_file and key_file:
        raise click.UsageError("give --password-file or --key-file, not both")
    forbid_core_dumps()
    ctx.obj = Context(state, password_file, key_file, database)


@main.command()
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


@main.command()
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


@main.command()
@click.argument("url")
@click.argument("code")
@pass_context
def enrol(context: Context, url: str, code: str) -> None:
    """Introduce this node to the coordinator at URL with the one-time CODE."""
    with context.node() as node:
        name = node.enrol(url, code)
        click.echo(plain(f"enrolled at {url} as {name}"))


@main.command()
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


@main.command()
@click.argument("node_id")
@pass_context
def unpin(context: Context, node_id: str) -> None:
    """Trust the node NODE_ID no longer: requests that name it are refused."""
    with context.node() as node:
        if not node.store.pins.remove(node_id):
            raise NodeError("not_pinned", f"{node_id} is not pinned here")
        node.store.log("unpinned", node_id)
    click.echo(f"unpinned {node_id}")


@main.command()
@pass_context
def pins(context: Context) -> None:
    """List the pinned peers. Needs no password."""
    with context.store() as store:
        for each in store.pins.all():
            how = f"{_RUN_BY[each.kind]}; checked: {each.checked_how}; by {each.pinned_by}"
            click.echo(f"{each.node_id}  {each.label}  ({how})")


@main.command()
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


@main.command()
@click.option("--all", "show_all", is_flag=True, help="Also those that are over.")
@pass_context
def requests(context: Context, show_all: bool) -> None:
    """List requests, those that wait for you first. Needs no password."""
    with context.store() as store:
        own_id = store.card().node_id
        records = store.requests.all(open_only=not show_all)
        for record in sorted(records, key=lambda each: not _waits(store, each, own_id)):
            click.echo(
                plain(
                    f"{record.request_id or '-':<32}  {record.digest[:16]}  {_status(store, record, own_id)}"
                )
            )


@main.command()
@click.argument("request")
@pass_context
def show(context: Context, request: str) -> None:
    """Print what REQUEST (its id, or its digest's beginning) would do. Needs no password."""
    with context.store() as store:
        record = _find(store, request)
        click.echo(_in_words(store, record))
        click.echo(plain(f"{'status':<13}{_status(store, record, store.card().node_id)}"))


@main.command()
@click.argument("request")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@pass_context
def approve(context: Context, request: str, yes: bool) -> None:
    """Check REQUEST, show it, and approve it in the name of this holder."""
    with context.node() as node:
        record = _find(node.store, request)
        click.echo(_in_words(node.store, record))
        node.check(record)
        if not yes:
            click.confirm("Approve this?", abort=True)
        node.approve(record)
        _deliver(node, "approved")


@main.command()
@click.argument("request")
@click.option("--reason", required=True, help="What the others are told.")
@pass_context
def reject(context: Context, request: str, reason: str) -> None:
    """Reject REQUEST: this node will never take part in it, even if it approved before."""
    with context.node() as node:
        node.reject(_find(node.store, request), reason)
        _deliver(node, "rejected")


@main.command()
@pass_context
def log(context: Context) -> None:
    """Print what this node has refused, ended or noticed. Needs no password."""
    with context.store() as store:
        for entry in store.log_entries():
            moment = datetime.fromtimestamp(entry.time / 1000, UTC).isoformat(timespec="seconds")
            click.echo(f"{moment}  {entry.code}  {entry.message}")


@main.command()
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


@main.command()
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
    click.echo("Everything else is refused (default deny).")


@main.command("change-password")
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
        with path.open("rb") as file:
            card = HolderCard.from_json(parse_json(file.read(_MAX_CARD_BYTES + 1), max_bytes=_MAX_CARD_BYTES))
    except (CanonicalError, WireError, OSError) as error:
        raise NodeError("bad_card", f"{path.name}: {error}") from None
    return card.node_id, card.signing_key, card.encryption_key, kind or card.kind


def _find(store: Store, text: str) -> RequestRecord:
    """The one request that the operator means. Raises NodeError unknown_request or ambiguous_request."""
    found = store.requests.find(text)
    if not found:
        raise NodeError("unknown_request", f"this node knows no request {text}")
    if len(found) > 1:
        raise NodeError(
            "ambiguous_request", f"{len(found)} requests begin with {text}: give the whole digest"
        )
    return found[0]


def _in_words(store: Store, record: RequestRecord) -> str:
    try:
        intent = KeyGenIntent.parse(record.intent.encode())
        manifest = Manifest.parse(record.manifest.encode())
    except (CanonicalError, WireError):
        return plain(f"This request cannot be read: {record.code}: {record.message}")
    return describe(intent, manifest, {each.node_id: each for each in store.pins.all()}, store.card().node_id)


def _waits(store: Store, record: RequestRecord, own_id: str) -> bool:
    return record.verdict == ASK and store.requests.own_decision(record.digest, own_id) is None


def _status(store: Store, record: RequestRecord, own_id: str) -> str:
    if record.result:
        return record.result
    own = store.requests.own_decision(record.digest, own_id)
    if record.verdict == REFUSED:
        return f"refused: {record.code}: {record.message}"
    if own is not None:
        return f"you said {own.decision}; {record.state}"
    return "waits for you" if _waits(store, record, own_id) else record.state


def _deliver(node: Node, done: str) -> None:
    try:
        node.deliver()
    except TransportError as error:
        click.echo(
            f"{done} and stored; not delivered yet ({error.message}): the running node will try again",
            err=True,
        )
        return
    click.echo(done)
