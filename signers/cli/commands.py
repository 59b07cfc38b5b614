"""The operator's commands. Each error is one line with its code; nothing secret is ever printed."""

from pathlib import Path

import click

from signers import __version__
from signers.cli import audit, card, identity, requests, shares, trust
from signers.cli.context import Commands, Context
from signers.operate import forbid_core_dumps


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
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


for _module in (identity, card, trust, requests, shares, audit):
    for _command in _module.COMMANDS:
        main.add_command(_command)
