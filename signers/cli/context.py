"""What every command shares: where the node is, what unlocks it, and how errors are told."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from signers import sealing
from signers.database import DATABASE_FILE
from signers.errors import NodeError
from signers.node import Node, open_store
from signers.sealing import Secret
from signers.store import Store
from signers.transport import TransportError


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


class Commands(click.Group):
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
