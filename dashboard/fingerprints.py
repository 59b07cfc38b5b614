"""Digests and node ids as people compare them: in groups of four, in words, as a QR code."""

import io
from functools import lru_cache

import segno
from mnemonic import Mnemonic

from mpc.base58 import b58decode
from mpc.errors import EncodingError
from wire.identity import NODE_ID_PREFIX

_GROUP = 4


def groups(digest: str) -> tuple[str, ...]:
    """Hex in groups of four digits."""
    return tuple(digest[start : start + _GROUP] for start in range(0, len(digest), _GROUP))


@lru_cache(maxsize=2048)
def words(data: bytes) -> str:
    """Twelve words of BIP 39's English list for the first 128 bits, as nodes print them."""
    return str(Mnemonic("english").to_mnemonic(data[:16]))


def node_words(node_id: str) -> str:
    """The fingerprint of a node (R4), from its id alone, which is the hash of its keys; "" for no id."""
    try:
        return words(b58decode(node_id.removeprefix(NODE_ID_PREFIX)).rjust(32, b"\0"))
    except EncodingError:
        return ""


@lru_cache(maxsize=256)
def qr(text: str, title: str) -> str:
    """An SVG element, without styles, that shows `text` to a camera."""
    out = io.BytesIO()
    segno.make(text, error="m").save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=False,
        scale=4,
        border=3,
        dark="#000",
        light="#fff",
        title=title,
        svgclass="qr",
        lineclass=None,
    )
    return out.getvalue().decode().replace("<svg ", '<svg role="img" ', 1)
