"""Encryption at rest: a data key that a password or a key file unlocks, and what is sealed under it.

Everything secret in the node's database is XChaCha20-Poly1305 under the data key. The header of a sealed
record says what it is and where it belongs; it is authenticated, and it is compared first, so that a record
copied to another place is told apart from a damaged one (N15).
"""

import os
import stat
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import nacl.bindings as sodium
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.utils import random

from mpc.encoding import Reader, Writer, tagged_hash
from mpc.errors import EncodingError
from signers.errors import NodeError

MIN_PASSWORD_LENGTH = 12
KEY_SIZE = 32
PASSWORD, KEY_FILE = "password", "key-file"
_NONCE_SIZE = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_MAX_SEALED = 16 << 20
_VERSION = 1


@dataclass(frozen=True)
class KdfCost:
    """Argon2id cost: passes and bytes of memory, stored beside the key so that it can rise later."""

    operations: int = argon2id.OPSLIMIT_MODERATE
    memory: int = argon2id.MEMLIMIT_MODERATE


@dataclass(frozen=True)
class Secret:
    """What the operator unlocks the node with: `kind` PASSWORD or KEY_FILE, and its bytes."""

    kind: str
    value: bytes = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a sealed record belongs; kind: identity, session or share.

    The rest is empty where it has no meaning.
    """

    kind: str
    node_id: str
    domain: str = ""
    vault_id: str = ""
    group_id: str = ""
    epoch: int = 0
    session_id: str = ""

    def encode(self) -> bytes:
        writer = Writer().u8(_VERSION)
        for text in (self.kind, self.domain, self.vault_id, self.group_id, self.node_id, self.session_id):
            writer.text(text, 128)
        return writer.u64(self.epoch).done()

    @classmethod
    def read(cls, reader: Reader) -> "Place":
        if reader.u8("version") != _VERSION:
            raise EncodingError("version", "is not known")
        kind, domain, vault_id, group_id, node_id, session_id = (reader.text(128) for _ in range(6))
        return cls(kind, node_id, domain, vault_id, group_id, reader.u64("epoch"), session_id)


class DataKey:
    """The unlocked data key. Never printed; Python cannot wipe it, so it lives as long as the process."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError("a data key has 32 bytes")
        self._key = key

    def __repr__(self) -> str:
        return "DataKey(...)"

    def seal(self, place: Place, plaintext: bytes) -> bytes:
        """Encrypt for `place`; a fresh random nonce of 192 bits each time."""
        header = place.encode()
        nonce = random(_NONCE_SIZE)
        sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, header, nonce, self._key)
        return Writer().variable(header, 1024).fixed(nonce, _NONCE_SIZE).variable(sealed, _MAX_SEALED).done()

    def open(self, place: Place, record: bytes) -> bytes:
        """Decrypt what was sealed for `place`.

        Raises NodeError: sealed_malformed, sealed_for_another_<part> (kind, domain, vault_id, group_id,
        epoch, node_id, session_id) or sealed_corrupt.
        """
        try:
            reader = Reader(record, _MAX_SEALED + 2048)
            header = reader.variable(1024)
            nonce = reader.fixed(_NONCE_SIZE)
            sealed = reader.variable(_MAX_SEALED)
            reader.end()
            header_reader = Reader(header, 1024)
            found = Place.read(header_reader)
            header_reader.end()
        except EncodingError:
            raise NodeError("sealed_malformed", f"the stored {place.kind} is not a sealed record") from None
        for part in ("kind", "domain", "vault_id", "group_id", "epoch", "node_id", "session_id"):
            if getattr(found, part) != getattr(place, part):
                raise NodeError(
                    f"sealed_for_another_{part}",
                    f"the stored {place.kind} was sealed for another {part}: it was copied here",
                )
        try:
            return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, header, nonce, self._key)
        except CryptoError:
            raise NodeError(
                "sealed_corrupt", f"the stored {place.kind} is damaged: it does not authenticate"
            ) from None

    def mac(self, tag: str, *fields: bytes) -> bytes:
        """A keyed hash (32 bytes) of public rows that only the node's operator may write."""
        return blake2b(tagged_hash(tag, *fields), key=self._key, digest_size=32).digest()


@dataclass(frozen=True)
class Keyring:
    """The sealed data key as stored. salt: 16 bytes; check: tells a wrong secret from a damaged row."""

    kind: str
    cost: KdfCost
    salt: bytes
    check: bytes
    nonce: bytes
    sealed_key: bytes

    @classmethod
    def create(cls, secret: Secret, data_key: bytes | None = None, cost: KdfCost | None = None) -> "Keyring":
        """Seal `data_key` (32 bytes, fresh when None) under `secret`. Raises NodeError password_too_short."""
        cost = cost or KdfCost()
        salt = random(argon2id.SALTBYTES)
        key = _derive(secret, salt, cost)
        nonce = random(_NONCE_SIZE)
        sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            data_key or random(KEY_SIZE), _keyring_header(secret.kind, cost, salt), nonce, key
        )
        return cls(secret.kind, cost, salt, _check_value(key), nonce, sealed)

    def unlock(self, secret: Secret) -> DataKey:
        """The data key. Raises NodeError wrong_secret_kind, wrong_password, wrong_key_file or
        keyring_corrupt."""
        return DataKey(self._open(secret))

    def reseal(self, old: Secret, new: Secret, cost: KdfCost | None = None) -> "Keyring":
        """The same data key under another secret; nothing else needs to be encrypted again."""
        return Keyring.create(new, self._open(old), cost)

    def _open(self, secret: Secret) -> bytes:
        if secret.kind != self.kind:
            raise NodeError(
                "wrong_secret_kind", f"this node is unlocked with a {self.kind}, not a {secret.kind}"
            )
        key = _derive(secret, self.salt, self.cost)
        if not sodium.sodium_memcmp(_check_value(key), self.check):
            code = "wrong_password" if self.kind == PASSWORD else "wrong_key_file"
            raise NodeError(code, f"the {self.kind} does not unlock this node")
        try:
            return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                self.sealed_key, _keyring_header(self.kind, self.cost, self.salt), self.nonce, key
            )
        except CryptoError:
            raise NodeError(
                "keyring_corrupt", "the stored data key is damaged: restore the node's backup"
            ) from None


def password(text: str) -> Secret:
    """A password. Raises NodeError password_too_short below 12 characters."""
    if len(text) < MIN_PASSWORD_LENGTH:
        raise NodeError("password_too_short", f"a password has at least {MIN_PASSWORD_LENGTH} characters")
    return Secret(PASSWORD, text.encode())


def read_password_file(path: Path) -> Secret:
    """The first line of a file that only its owner can read."""
    lines = _read_private(path).decode("utf-8", errors="replace").splitlines()
    return password(lines[0] if lines else "")


def read_key_file(path: Path) -> Secret:
    """The 32 bytes (hex) of a key file. Raises NodeError key_file_missing, file_not_private or
    bad_key_file."""
    try:
        value = bytes.fromhex(_read_private(path).decode("ascii").strip())
    except ValueError:
        value = b""
    if len(value) != KEY_SIZE:
        raise NodeError("bad_key_file", f"{path.name} does not hold 32 bytes in hex")
    return Secret(KEY_FILE, value)


def make_key_file(path: Path) -> Secret:
    """Write a new key file, mode 600; an existing file is read instead, never overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_key_file(path)
    except OSError as error:
        raise NodeError("file_unwritable", f"cannot write {path.name}: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(random(KEY_SIZE).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return read_key_file(path)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # The mode of the open file, not of the path: nobody can swap it in between.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise NodeError("file_not_private", f"{path.name} can be read by others: chmod 600 it")
            return file.read(4096)
    except OSError as error:
        raise NodeError("file_unreadable", f"cannot read {path.name}: {error.strerror}") from None


def _derive(secret: Secret, salt: bytes, cost: KdfCost) -> bytes:
    if secret.kind == KEY_FILE:
        return blake2b(secret.value, key=salt, person=b"quorate/keyfile", digest_size=KEY_SIZE).digest()
    return argon2id.kdf(KEY_SIZE, secret.value, salt, opslimit=cost.operations, memlimit=cost.memory)


def _check_value(key: bytes) -> bytes:
    # An attacker who has the row can test a guess on the sealed key anyway; this tells him nothing more.
    return tagged_hash("quorate/keyring-check/v1", key)[:8]


def _keyring_header(kind: str, cost: KdfCost, salt: bytes) -> bytes:
    writer = Writer().text("quorate/keyring/v1", 32).text(kind, 16)
    return writer.u64(cost.operations).u64(cost.memory).fixed(salt, argon2id.SALTBYTES).done()
