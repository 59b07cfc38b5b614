"""Round 0: what the participants tell each other before anything is dealt (R13, R26, R30)."""

from collections.abc import Iterable

from mpc.dealing import Dealing
from signers import set_rules
from signers.ceremonies import Ceremonies, Ceremony
from signers.checks import Checks
from signers.errors import SessionAbort
from signers.set_rules import ACTIVATED, FINAL
from signers.settle import Settlement
from signers.store import Store
from wire.approval import APPROVE
from wire.canonical import CanonicalError
from wire.fields import WireError
from wire.intent import KEY_GEN, Intent
from wire.notes import Notes, SetNote
from wire.set_statement import ABANDONED, SetStatement

# So that the notes keep within 64 KiB in the largest group too.
_MAX_DECISIONS, _MAX_SETS, _MAX_STATEMENTS = 100, 16, 16


class Hello:
    """What this node says in round 0, and what it makes of the others' words."""

    def __init__(self, store: Store, checks: Checks, ceremonies: Ceremonies, settlement: Settlement) -> None:
        self._store = store
        self._checks = checks
        self._ceremonies = ceremonies
        self._settlement = settlement

    def notes(self, ceremony: Ceremony) -> bytes:
        """The decisions, share sets and statements that this node knows of."""
        decisions = self._store.requests.decisions(ceremony.context.digest.hex())
        # What takes something back first: approvals are shown with the start as well.
        decisions.sort(key=lambda each: each.decision == APPROVE)
        groups = _groups(ceremony.intent)
        held = [each for group_id in groups for each in self._store.shares.of_group(group_id)]
        held.sort(key=lambda each: -each.number)
        sets = tuple(
            SetNote(
                each.group_id,
                each.epoch,
                each.attempt,
                bytes.fromhex(each.session_id),
                each.base,
                each.state,
            )
            for each in held[:_MAX_SETS]
        )
        abandoned = self._store.statements.abandoned_in(ceremony.intent.target.group_id)
        return Notes(tuple(decisions[:_MAX_DECISIONS]), sets, tuple(abandoned[:_MAX_STATEMENTS])).encode()

    def check(self, ceremony: Ceremony, machine: Dealing) -> None:
        """Judge everybody's notes before anything secret is sent. Raises SessionAbort, Refusal."""
        for index, data in machine.notes.items():
            if index == ceremony.index:
                continue
            try:
                notes = Notes.parse(data)
            except (CanonicalError, WireError) as error:
                raise SessionAbort("bad_notes", str(error), index) from None
            news = self._checks.keep_rejections(
                ceremony.manifest, ceremony.source_manifest, ceremony.context.digest, notes.decisions
            )
            if news:
                # R13: the votes were counted without it.
                raise SessionAbort("withdrawn", "a holder has taken its approval back")
            self._keep_statements(notes.abandoned)
            self._check_sets(ceremony, index, notes.sets)
        void = self.void(ceremony)
        for session_id in self._ceremonies.to_be_void(ceremony):
            if session_id not in void:
                raise SessionAbort(
                    "set_undecided",
                    f"this node activated another set of the group in session {session_id[:16]}; it takes"
                    " part in another attempt when a member of that one shows that it abandoned it",
                )

    def void(self, ceremony: Ceremony) -> set[str]:
        """Session ids of the sets that this node activated and need not wait for (R26)."""
        joining = ceremony.roster().participants
        void = set()
        for session_id in self._ceremonies.to_be_void(ceremony):
            record = self._store.sessions.get(session_id)
            abandoned_by = self._store.statements.abandoned_by(session_id)
            if record is None or not abandoned_by:
                continue
            if set_rules.is_void(self._ceremonies.of(record).roster(), joining, abandoned_by):
                void.add(session_id)
        return void

    def _keep_statements(self, statements: Iterable[SetStatement]) -> None:
        for each in statements:
            record = self._store.sessions.get(each.session_id.hex())
            if record is None or each.state != ABANDONED:
                continue
            of = self._ceremonies.of(record)
            key = of.verify_key(each.node_id)
            named = (each.vault_id, each.group_id, each.epoch)
            if named != (of.intent.vault_id, of.intent.target.group_id, of.context.epoch):
                continue
            if key is not None and each.verify(key):
                self._store.statements.add(each, own=False)

    def _check_sets(self, ceremony: Ceremony, index: int, notes: Iterable[SetNote]) -> None:
        intent = ceremony.intent
        for note in notes:
            if intent.type == KEY_GEN and note.group_id == intent.target.group_id:
                if note.state in (ACTIVATED, FINAL):  # R26
                    raise SessionAbort(
                        "group_has_key", f"participant {index} already activated shares of this group"
                    )
            elif note.state == FINAL and note.epoch > _groups(intent).get(note.group_id, note.epoch):
                self._settlement.behind_peer(intent, note, index)
                raise SessionAbort(
                    "behind_peers",
                    f"participant {index} holds a final set of epoch {note.epoch} of group {note.group_id}",
                )


def _groups(intent: Intent) -> dict[str, int]:
    """Source and target group, and the epoch of the set that each holds before this request."""
    groups = {intent.target.group_id: intent.target.epoch - 1}
    if intent.source is not None:
        groups[intent.source.group_id] = intent.source.epoch
    return groups
