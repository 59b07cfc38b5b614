"""manage.py audit (verify | export | checkpoint)"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import selectors, services
from audit.chain import BrokenChain, Entry, walk
from wire.canonical import CanonicalError, parse_json
from wire.checkpoint import Checkpoint, parse_checkpoint
from wire.fields import WireError

_MAX_LINE_BYTES = 1 << 20


class Command(BaseCommand):
    help = "Check the audit log, write it out, or sign a checkpoint of it to be kept elsewhere."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        verify = acts.add_parser(
            "verify", help="name the first row that is not what it was; exit status 1 if any"
        )
        verify.add_argument(
            "--checkpoint", action="append", default=[], metavar="FILE", help="from another place"
        )
        verify.add_argument("--file", metavar="FILE", help="read an export and not the database")
        verify.add_argument(
            "--key", action="append", default=[], metavar="HEX", help="another key that signed checkpoints"
        )
        acts.add_parser("export", help="the rows as JSON lines")
        acts.add_parser("checkpoint", help="sign the newest row and print the checkpoint")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['act']}")(options)

    def _verify(self, options: dict[str, Any]) -> None:
        keys = {_key(text) for text in options["key"]}
        if options["file"] is None:
            keys.add(bytes(services.signing_key().verify_key))
        checkpoints = [_read_checkpoint(name) for name in options["checkpoint"]]
        for name, checkpoint in zip(options["checkpoint"], checkpoints, strict=True):
            if keys and checkpoint.key not in keys:
                raise CommandError(
                    f"{name} is signed by a key that is not this site's: {checkpoint.key.hex()}"
                )
        try:
            if options["file"] is None:
                sequence, digest = selectors.checked(checkpoints, keys=keys)
            else:
                sequence, digest = walk(
                    _exported(options["file"]), sorted(checkpoints, key=lambda each: each.sequence)
                )
        except BrokenChain as broken:
            raise CommandError(f"the log is broken at {broken}") from None
        self.stdout.write(json.dumps({"rows": sequence, "head": digest}, indent=2))

    def _export(self, options: dict[str, Any]) -> None:
        try:
            for entry in selectors.entries():
                self.stdout.write(json.dumps(asdict(entry), ensure_ascii=False, separators=(",", ":")))
        except BrokenPipeError:
            # The reader went away; Python would complain again when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _checkpoint(self, options: dict[str, Any]) -> None:
        try:
            checkpoint = services.checkpoint()
        except BrokenChain as broken:
            raise CommandError(f"nothing was signed, the log is broken at {broken}") from None
        if checkpoint is None:
            raise CommandError("the log is empty")
        self.stdout.write(json.dumps(checkpoint.to_json(), indent=2))


def _key(text: str) -> bytes:
    with suppress(ValueError):
        if len(key := bytes.fromhex(text)) == 32:
            return key
    raise CommandError("--key is 64 hex digits, an Ed25519 public key")


def _read_checkpoint(name: str) -> Checkpoint:
    try:
        return parse_checkpoint(Path(name).read_bytes())
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None
    except (CanonicalError, WireError) as error:
        raise CommandError(f"{name} is no checkpoint: {error}") from None


def _exported(name: str) -> Iterator[Entry]:
    try:
        with Path(name).open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_MAX_LINE_BYTES + 1), b""), start=1):
                yield _entry(name, number, line)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None


def _entry(name: str, number: int, line: bytes) -> Entry:
    try:
        return Entry.from_json(parse_json(line, max_bytes=_MAX_LINE_BYTES), f"line {number}")
    except (CanonicalError, WireError) as error:
        raise CommandError(f"{name}, line {number}: {error}") from None
