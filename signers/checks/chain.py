"""The chain of certificates from the anchor to the sets that a request rests on (R3, R6, R25)."""

from collections.abc import Iterable

from mpc.certificate import Certificate
from mpc.errors import MPCError
from mpc.succession import verify_path
from signers.anchors import AnchorRecord, Anchors, NewestSet
from signers.errors import Refusal
from signers.outcome import expected_keys
from signers.sealing import DataKey
from wire.anchor import Anchor
from wire.intent import GroupReference, Intent
from wire.manifest import Manifest


def known_anchor(anchors: Anchors, intent: Intent, data_key: DataKey) -> AnchorRecord:
    """What the node knows of the vault. Raises Refusal: no_anchor, organisation_mismatch, key_mismatch."""
    record = anchors.get(intent.vault_id, data_key)
    if record is None:
        raise Refusal(
            "no_anchor",
            f"this node does not know the key of vault {intent.vault_id}: ask a holder for `anchor export"
            f" {intent.vault_id}`, compare the twelve words with them, and run `anchor pin` (R6)",
        )
    anchor = record.anchor
    if intent.organisation_id != anchor.organisation_id:
        raise Refusal("organisation_mismatch", "the anchor of this vault is of another organisation")
    if intent.expected != anchor.root_keys:
        raise Refusal("key_mismatch", "the request is for other root keys or chain codes than the anchor's")
    return record


def read_certificates(offered: Iterable[bytes]) -> list[Certificate]:
    """Those that parse; what does not proves nothing."""
    found = []
    for data in offered:
        try:
            found.append(Certificate.parse(data))
        except MPCError:
            continue
    return found


class Chain:
    """What can be proved with the certificates that the node has and those that somebody offers."""

    def __init__(
        self, anchors: Anchors, data_key: DataKey, anchor: Anchor, offered: Iterable[Certificate] = ()
    ) -> None:
        self._anchors = anchors
        self._data_key = data_key
        self._anchor = anchor
        self._offered = {certificate.hash(): certificate for certificate in offered}

    def offer(self, certificate: Certificate) -> None:
        """Add a certificate that proves nothing by itself."""
        self._offered[certificate.hash()] = certificate

    def certified(self, certificate_hash: bytes, code: str) -> Certificate:
        """The certificate of this hash, verified back to the anchor and trusted from now on.

        Raises Refusal with the given code.
        """
        known = self._anchors.certificate(certificate_hash, self._data_key)
        if known is not None:
            self._check_keys(known, code)  # it could be another vault's
            return known
        try:
            path = verify_path(*self._path(certificate_hash))
        except MPCError as error:
            raise Refusal(
                code, f"no proof leads from {certificate_hash.hex()} to this node's anchor: {error}"
            ) from None
        self._check_keys(path[0], code)
        for certificate in path:
            self._anchors.trust(certificate, self._anchor.vault_id, self._data_key)
        return path[0]

    def _check_keys(self, certificate: Certificate, code: str) -> None:
        if expected_keys(certificate.statement) != self._anchor.root_keys:
            raise Refusal(code, "the certificate is for other root keys or chain codes than the anchor's")

    def _path(self, tip: bytes) -> tuple[dict[bytes, Certificate], bytes, frozenset[bytes]]:
        """What `verify_path` needs: only the certificates from `tip` to the first trusted one."""
        found: dict[bytes, Certificate] = {}
        wanted = tip
        while wanted not in found:
            trusted = self._anchors.certificate(wanted, self._data_key)
            certificate = trusted or self._offered.get(wanted)
            if certificate is None:
                break
            found[wanted] = certificate
            if trusted is not None or wanted == self._anchor.certificate_hash:
                return found, tip, frozenset({wanted})
            wanted = certificate.statement.context.previous_certificate_hash
        return found, tip, frozenset()


def check_source(source: GroupReference, manifest: Manifest, certificate: Certificate) -> None:
    """Is this the certificate of the set that the intent names, held by the roster that was shown?

    Source holders need no pin of their own (R5): the certificate, proved back to the anchor, fixes their
    keys. Raises Refusal source_mismatch.
    """
    context = certificate.statement.context
    pairs = (
        ("role", source.role, context.role),
        ("threshold", source.threshold, context.threshold),
        ("participants", source.participants, context.receivers),
        ("epoch", source.epoch, context.epoch),
        ("manifest", source.manifest_hash.hex(), context.manifest_hash.hex()),
    )
    for name, named, certified in pairs:
        if named != certified:
            raise Refusal("source_mismatch", f"{name}: the intent says {named}, the certificate {certified}")
    if roster(certificate) != {card.node_id: card.signing_key for card in manifest.holders}:
        raise Refusal("source_mismatch", "the roster that was shown is not the certified one")


def roster(certificate: Certificate) -> dict[str, bytes]:
    """Node id -> signing key of the holders of a set, in index order."""
    context = certificate.statement.context
    return {each.node_id: each.verify_key for each in context.participants[: context.receivers]}


def check_newest(anchors: Anchors, vault_id: str, reference: GroupReference, epoch: int, side: str) -> None:
    """Test 47: a set that a later one took the place of, or that was retired, neither deals nor decides.

    epoch: of the set that the reference names, 0 for none; side: source or target. Raises Refusal:
    SIDE_superseded, SIDE_retired.
    """
    group_id, named = reference.group_id, NewestSet(epoch, reference.certificate_hash)
    newest = anchors.newest(group_id)
    if newest is not None and newest != named and newest.epoch >= epoch:
        raise Refusal(
            f"{side}_superseded",
            f"this node knows a certified set of group {group_id} of epoch {newest.epoch}",
        )
    if epoch and anchors.is_retired(vault_id, group_id, epoch):
        raise Refusal(f"{side}_retired", f"the set of group {group_id} was retired, to be erased (R28)")
