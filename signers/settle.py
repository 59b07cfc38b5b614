"""What becomes of share sets: adopted, abandoned, retired, erased, or found to be too old (R25, R26, R30)."""

from collections.abc import Iterable

from mpc.certificate import Certificate
from mpc.dealing import FINISHED as OVER
from mpc.errors import MPCError
from mpc.keyshare import KeyShare
from signers import set_rules
from signers.ceremonies import Ceremonies, Ceremony
from signers.checks.chain import Chain, read_certificates
from signers.errors import NodeError, SessionAbort
from signers.identity import Identity
from signers.outcome import expected_keys
from signers.requests import REFUSED, SUCCEEDED
from signers.sealing import DataKey
from signers.sessions import ABORTED, FINISHED, GOES_ON, SessionRecord
from signers.set_rules import FINAL
from signers.shares import Quarantine, ShareRecord, share_place
from signers.store import Store
from wire.intent import Intent
from wire.notes import SetNote
from wire.policy import VaultPolicy
from wire.set_statement import ABANDONED, ERASED, SetStatement

_SCRUB = "scrub_pending"
_INSTRUCTION = (
    "Ask for a Recovery, a change of members or a Refresh in which this node only receives. If others may"
    " have the backup, make a new identity and have this node replaced. To lift it by hand: quarantine lift"
)


class ShareMissing(SessionAbort):
    """A certificate that this node signed, for a set of which it has no share."""


class Settlement:
    """The ends of ceremonies and of share sets on one unlocked node."""

    def __init__(self, store: Store, identity: Identity, data_key: DataKey, ceremonies: Ceremonies) -> None:
        self._store = store
        self._identity = identity
        self._data_key = data_key
        self._ceremonies = ceremonies
        # By certificate hash: what was dealt with, and what proved nothing, since this process began.
        self._examined: set[bytes] = set()
        self._unproved: set[bytes] = set()

    # adoption

    def conclude(self, record: SessionRecord, certificate: Certificate) -> None:
        """Adopt the certificate that somebody shows for a session, and end that. Raises as `adopt` does."""
        try:
            with self._store.database.transaction():
                self.adopt(record, self._ceremonies.of(record), certificate)
                self._store.sessions.finish(record.session_id, OVER)
        except ShareMissing:
            self._quarantine_restored(record.vault_id, certificate)
            raise
        self._ceremonies.forget(record.session_id)

    def adopt(self, record: SessionRecord, ceremony: Ceremony, certificate: Certificate) -> None:
        """Make the set of a final certificate usable, in the caller's transaction (R25, R26).

        Raises SessionAbort and InvalidCertificate when it is not this session's, or comes too late.
        """
        certificate.verify()
        if certificate.statement.context != ceremony.context:
            raise SessionAbort("foreign_certificate", "the certificate is of another session")
        if ceremony.receives:
            self._adopt_share(record, ceremony, certificate)
        self._close_others(record, ceremony)
        self._succeeded(ceremony.intent, certificate)

    def _adopt_share(self, record: SessionRecord, ceremony: Ceremony, certificate: Certificate) -> None:
        held = self._store.shares.of_session(record.session_id)
        if held is None:
            # It carries this node's own `activated` signature: the share was here once (N07).
            raise ShareMissing(
                "certificate_without_share", "there is a certificate, but this node has no share of the set"
            )
        share = KeyShare.parse(self._data_key.open(share_place(held, self._identity.node_id), held.sealed))
        if certificate.statement != share.statement:
            raise SessionAbort(
                "foreign_certificate", "the certificate is not for the share that this node prepared"
            )
        group = self._store.shares.of_group(held.group_id)
        if not set_rules.may_adopt(group, held.session_id):
            raise SessionAbort("set_superseded", "this node has gone on to another set of the group")
        for other in set_rules.to_abandon(group, held.group_id, held.epoch):
            if other.session_id != held.session_id:
                self.abandon(other.session_id)
        self._store.shares.set_final(held.session_id, certificate.encode())
        self._store.shares.outgrow_quarantine(held.vault_id, held.role, held.epoch)

    def _close_others(self, record: SessionRecord, ceremony: Ceremony) -> None:
        """Nobody waits any more for sets that the certificate of this session makes impossible."""
        group_id, epoch = ceremony.intent.target.group_id, ceremony.context.epoch
        for other in self._store.sessions.listed():
            if other.session_id == record.session_id or other.state == FINISHED:
                continue
            made = self._ceremonies.of(other)
            if made.intent.target.group_id == group_id and made.context.epoch <= epoch:
                self._store.sessions.close(other.session_id, "superseded", "another set is final")

    def _succeeded(self, intent: Intent, certificate: Certificate) -> None:
        """Note what follows from a verified final certificate and its intent."""
        digest = certificate.statement.context.digest.hex()
        now = self._store.now()
        self._store.anchors.adopted(intent, certificate, self._data_key, now)
        self._store.requests.set_result(digest, SUCCEEDED)
        request = self._store.requests.get(digest)
        if request is None:
            return
        policy = VaultPolicy.parse(request.policy.encode())
        context = certificate.statement.context
        worthless = set_rules.to_erase(
            self._store.shares.of_vault(intent.vault_id),
            intent.target.group_id,
            context.epoch,
            context.session_id().hex(),
            intent.retires,
        )
        self._store.shares.retire(worthless, now + policy.erase_grace)

    # abandoning

    def abandon(self, session_id: str) -> None:
        """Give a set up before `activated`: durable and signed, so that others need not wait (R26).

        Part of the caller's transaction.
        """
        record = self._store.sessions.get(session_id)
        if record is None:
            return
        ceremony = self._ceremonies.of(record)
        self._store.shares.set_abandoned(session_id)
        self._store.sessions.leave(session_id, ABORTED, "abandoned", "this node gave the set up")
        # `prepared` may still lie here: nobody needs it any more.
        self._store.sessions.withdraw(session_id)
        intent = ceremony.intent
        self._sign(ABANDONED, intent.vault_id, intent.target.group_id, ceremony.context.epoch, session_id)
        self._ceremonies.forget(session_id)

    def _sign(self, state: str, vault_id: str, group_id: str, epoch: int, session_id: str) -> None:
        statement = SetStatement.sign(
            self._identity.sign,
            state=state,
            vault_id=vault_id,
            group_id=group_id,
            epoch=epoch,
            session_id=bytes.fromhex(session_id),
            node_id=self._identity.node_id,
            time=self._store.now(),
        )
        self._store.statements.add(statement, own=True)

    # erasure

    def erase_due(self) -> bool:
        """Wipe the shares whose grace is over, and say so (R26, R28). True when something was erased."""
        due = self._store.shares.due(self._store.now())
        for record in due:
            # One transaction: a crash leaves a share and no statement, or a statement and no share.
            with self._store.database.transaction():
                self._store.shares.erase(record.session_id)
                self._sign(ERASED, record.vault_id, record.group_id, record.epoch, record.session_id)
                self._store.set_setting(_SCRUB, "1")
                self._store.log(
                    "share_erased", f"group {record.group_id} epoch {record.epoch}: retired, erased"
                )
        if self._store.setting(_SCRUB) and self._store.database.scrub():
            self._store.set_setting(_SCRUB, "")
        return bool(due)

    # certificates that somebody shows

    def known_certificates(self, offered: Iterable[bytes]) -> bool:
        """Final certificates of groups in which this node is or was a member (R26, R30).

        Each is believed when it is for a set that this node prepared, or when the chain leads from it to the
        anchor. True when something came of it.
        """
        readable = read_certificates(offered)
        chains: dict[str, Chain] = {}
        moved = False
        for certificate in readable:
            if certificate.hash() in self._examined:
                continue
            try:
                moved = self._examine(certificate, readable, chains) or moved
                self._examined.add(certificate.hash())
            except (MPCError, NodeError) as error:
                if certificate.hash() not in self._unproved:
                    self._store.log(
                        "bad_certificate", f"a certificate that proves nothing was shown: {error}"
                    )
                self._unproved.add(certificate.hash())
        return moved

    def _examine(
        self, certificate: Certificate, offered: list[Certificate], chains: dict[str, Chain]
    ) -> bool:
        session_id = certificate.statement.context.session_id().hex()
        record = self._store.sessions.get(session_id)
        if record is not None and record.state in GOES_ON:
            self.conclude(record, certificate)
            return True
        vault_id = self._prove(certificate, offered, chains)
        if vault_id is None or self._holds(session_id):
            return False
        context = certificate.statement.context
        receivers = {each.node_id for each in context.participants[: context.receivers]}
        if self._identity.node_id in receivers:
            return self._quarantine_restored(vault_id, certificate)
        return self._left_out(vault_id, certificate)

    def _prove(
        self, certificate: Certificate, offered: list[Certificate], chains: dict[str, Chain]
    ) -> str | None:
        """The vault whose anchor the certificate leads to; it is trusted then.

        chains: by vault id, each made once for all that is offered.
        """
        for known in self._store.anchors.all():
            record = self._store.anchors.get(known.anchor.vault_id, self._data_key)
            if record is not None and record.anchor.root_keys == expected_keys(certificate.statement):
                vault_id = record.anchor.vault_id
                if vault_id not in chains:
                    chains[vault_id] = Chain(self._store.anchors, self._data_key, record.anchor, offered)
                with self._store.database.transaction():
                    chains[vault_id].certified(certificate.hash(), "unproved_certificate")
                return vault_id
        return None

    def _holds(self, session_id: str) -> bool:
        """Whether the set is, or was, here. One that this node abandoned it did not activate, as far as it
        remembers."""
        held = self._store.shares.of_session(session_id)
        return held is not None and held.state != set_rules.ABANDONED

    def _left_out(self, vault_id: str, certificate: Certificate) -> bool:
        """A later set was made without this node (N24); what its intent retires is erased here too."""
        context = certificate.statement.context
        mine = [each for each in self._store.shares.active() if each.vault_id == vault_id]
        older = [each for each in mine if each.role == context.role and each.epoch < context.epoch]
        intent = self._accepted_intent(certificate)
        with self._store.database.transaction():
            if intent is not None:
                self._succeeded(intent, certificate)
            if older:
                self._store.log(
                    "left_out",
                    f"vault {vault_id}: a {context.role} set of epoch {context.epoch} was made without"
                    f" this node, which has epoch {older[-1].epoch}: to hold a share again it needs a"
                    " Recovery or a change of members that names it",
                )
        return bool(older) or intent is not None

    def _accepted_intent(self, certificate: Certificate) -> Intent | None:
        """The intent of a set that was made without this node, if the node's own checks passed it.

        What those refused erases nothing here: t holders of any group could have run it (R26).
        """
        context = certificate.statement.context
        request = self._store.requests.get(context.digest.hex())
        if request is None or request.verdict == REFUSED:
            return None
        intent = Intent.parse(request.intent.encode())
        target = intent.target
        made = (context.role, context.epoch, context.threshold, context.receivers, context.manifest_hash)
        named = (target.role, target.epoch, target.threshold, target.participants, target.manifest_hash)
        source = intent.source.certificate_hash if intent.source else b""
        return intent if (made, context.previous_certificate_hash) == (named, source) else None

    # rollback

    def _quarantine_restored(self, vault_id: str, certificate: Certificate) -> bool:
        """This node signed for a set of which it has no share: its store went back (N07, N08)."""
        context = certificate.statement.context
        return self._quarantine(
            vault_id,
            context.role,
            context.epoch,
            "rolled_back",
            f"this node took part in the {context.role} set of epoch {context.epoch} and has no share of it:"
            " its store was restored from an older copy",
        )

    def behind_peer(self, intent: Intent, note: SetNote, index: int) -> None:
        """A peer signed that it holds a later set of a group than this node, which holds one too (R30)."""
        newest = set_rules.newest(self._store.shares.of_group(note.group_id), note.group_id)
        source = intent.source
        role = source.role if source and source.group_id == note.group_id else intent.target.role
        if newest is not None and newest.epoch < note.epoch:
            self._quarantine(
                intent.vault_id,
                role,
                # The word of one peer, which may lie: any newer set that comes here ends it. If the peer is
                # right, none can come before the one that is missing.
                newest.epoch,
                "behind_peers",
                f"participant {index} of request {intent.request_id} holds epoch {note.epoch} of group"
                f" {note.group_id}, this node epoch {newest.epoch}",
            )

    def _quarantine(self, vault_id: str, role: str, epoch: int, code: str, reason: str) -> bool:
        message = f"{reason}. {_INSTRUCTION} {vault_id}"
        record = Quarantine(vault_id, role, epoch, code, message, self._store.now())
        news = self._store.shares.set_quarantine(record)
        if news:
            self._store.log(code, f"vault {vault_id}: {message}")
        return news


def usable_share(store: Store, group_id: str, certificate_hash: bytes) -> ShareRecord | None:
    """This node's share of a certified set."""
    for record in store.shares.of_group(group_id):
        if record.state == FINAL and Certificate.parse(record.certificate).hash() == certificate_hash:
            return record
    return None
