"""Requests: what waits for the operator, and what the operator says."""

from contextlib import suppress

import click

from signers import confirm, standing
from signers.cli.context import Context, pass_context
from signers.errors import NodeError, plain
from signers.node import Node
from signers.operate import Stopped, stopping
from signers.requests import RequestRecord
from signers.store import Store
from signers.transport import TransportError


@click.command()
@click.option("--all", "show_all", is_flag=True, help="Also those that are over.")
@pass_context
def requests(context: Context, show_all: bool) -> None:
    """List requests, those that wait for you first. Needs no password."""
    with context.store() as store:
        records = store.requests.all(open_only=not show_all)
        for record in sorted(records, key=lambda each: not standing.waits(store, each)):
            line = f"{record.request_id or '-':<32}  {record.digest[:16]}  {standing.status(store, record)}"
            click.echo(plain(line))


@click.command()
@click.argument("request")
@pass_context
def show(context: Context, request: str) -> None:
    """Print what REQUEST (its id, or its digest's beginning) would do. Needs no password."""
    with context.store() as store:
        record = _find(store, request)
        click.echo(standing.in_words(store, record))
        click.echo(plain(f"{'status':<13}{standing.status(store, record)}"))


@click.command()
@click.argument("request")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@pass_context
def approve(context: Context, request: str, yes: bool) -> None:
    """Check REQUEST, show it, and approve it in the name of this holder."""
    with context.node() as node:
        record = _find(node.store, request)
        click.echo(standing.in_words(node.store, record))
        node.check(record)
        if not yes:
            click.confirm("Approve this?", abort=True)
        node.approve(record)
        _deliver(node, "approved")


@click.command()
@click.argument("request")
@click.option("--reason", required=True, help="What the others are told.")
@pass_context
def withdraw(context: Context, request: str, reason: str) -> None:
    """Take back the approval of REQUEST before it runs; without this holder others may still go on."""
    with context.node() as node:
        node.withdraw(_find(node.store, request), reason)
        _deliver(node, "withdrawn")


@click.command()
@click.argument("request")
@click.option("--reason", required=True, help="What the others are told.")
@pass_context
def reject(context: Context, request: str, reason: str) -> None:
    """Reject REQUEST: this node will never take part in it, even if it approved before."""
    with context.node() as node:
        node.reject(_find(node.store, request), reason)
        _deliver(node, "rejected")


@click.command("confirm-page")
@click.option("--port", default=0, help="On 127.0.0.1; default: a free one.")
@pass_context
def confirm_page(context: Context, port: int) -> None:
    """Show what waits on a page in a browser on this machine, until interrupted; approve or reject there."""
    with context.node() as node, suppress(Stopped), stopping():
        confirm.serve(node, port, _announce)


def _announce(address: str, code: str) -> None:
    click.echo(f"open   {address}\ncode   {code}")


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


COMMANDS: tuple[click.Command, ...] = (
    requests,
    show,
    approve,
    withdraw,
    reject,
    confirm_page,
)
