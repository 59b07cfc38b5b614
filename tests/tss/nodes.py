"""An organisation whose holders are real identities with real protocol machines; only HTTP is missing."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from mpc.certificate import Certificate
from mpc.dealing import Dealing
from mpc.keyshare import KeyShare
from tests.accounts.authenticator import Authenticator
from tss import cards, certificates, decisions, driver, mailbox, passkey_votes, services, statements
from tss.documents import context_of, source_statement
from tss.models import Ceremony, Job, JobKind, Message, State, TssRequest
from tss.proofs import to_base64
from tss.representation import milliseconds
from vaults import services as vaults
from vaults.actors import Actor
from vaults.models import ApiKey, Group, Member, Node, Organisation, Vault
from vaults.services import HolderChoice
from wire.abort import Abort
from wire.approval import Approval
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope
from wire.identity import HolderCard
from wire.passkey import PasskeyApproval
from wire.set_statement import SetStatement

SYSTEM = Actor.system("test")


@dataclass
class Signer:
    """A holder's node: its identity, its row, the machine of the ceremony that it is in, and its shares.

    index: what it calls itself in messages; 0: its place in the ceremony. passkey, label, method,
    version: what its card says.
    """

    name: str
    signing: SigningKey = field(default_factory=SigningKey.generate, repr=False)
    encryption: PrivateKey = field(default_factory=PrivateKey.generate, repr=False)
    index: int = 0
    passkey: Authenticator | None = None
    label: str = ""
    method: str = "node"
    version: int = 1
    machine: Any = field(default=None, repr=False)
    certificate: Certificate | None = None
    pending: KeyShare | None = field(default=None, repr=False)
    # By the hash of the set's certificate.
    shares: dict[bytes, KeyShare] = field(default_factory=dict, repr=False)

    def sign(self, message: bytes) -> bytes:
        return self.signing.sign(message).signature

    @property
    def card(self) -> HolderCard:
        unsigned = HolderCard(
            signing_key=bytes(self.signing.verify_key),
            encryption_key=bytes(self.encryption.public_key),
            kind="api",
            version=self.version,
            method=self.method,
            signature=bytes(64),
            credentials=(self.passkey.credential(self.label),) if self.passkey else (),
        )
        return replace(unsigned, signature=self.sign(unsigned.signed_bytes()))

    @property
    def node_id(self) -> str:
        return self.card.node_id

    @property
    def row(self) -> Node:
        return Node.objects.get(pk=self.node_id)

    def enrol(self, organisation: Organisation, owner: Member | None = None) -> None:
        code = vaults.create_enrolment_code(
            actor=SYSTEM, organisation=organisation, name=self.name, owner=owner
        )
        vaults.enrol_node(code=code, holder_card=self.card.to_json(), software="0.1.0")

    def decision(self, request: TssRequest, decision: str = "approve", **changes: Any) -> dict[str, Any]:
        """A signed decision; `changes` replace fields before signing."""
        fields: dict[str, Any] = {
            "digest": bytes.fromhex(request.digest),
            "decision": decision,
            "node_id": self.node_id,
            "time": milliseconds(request.created_at) + 1,
            "reason": "",
        } | changes
        return Approval.sign(self.sign, **fields).to_json()

    def decide(self, request: TssRequest, decision: str = "approve", **changes: Any) -> None:
        decisions.decide(node=self.row, value=self.decision(request, decision, **changes))

    def new_card(self, method: str, passkey: Authenticator | None, label: str = "") -> None:
        """Change the card and give it to the coordinator."""
        self.method, self.passkey, self.label, self.version = method, passkey, label, self.version + 1
        cards.publish(node=self.row, value=self.card.to_json())

    def passkey_vote(
        self, request: TssRequest, decision: str = "approve", by: Authenticator | None = None, **changes: Any
    ) -> PasskeyApproval:
        """A vote of its passkey (or of `by`); `changes` replace what is signed."""
        device = by or self.passkey
        assert device is not None
        fields: dict[str, Any] = {
            "digest": bytes.fromhex(request.digest),
            "decision": decision,
            "node_id": self.node_id,
            "time": milliseconds(request.created_at) + 1,
        } | changes
        return device.vote(**fields)

    def hand_in_vote(self, value: dict[str, Any]) -> None:
        """Give the coordinator a vote of a passkey for this holder."""
        passkey_votes.vote(actor=SYSTEM, node=self.row, value=value, then=lambda counter: None)

    def touch(self, request: TssRequest, decision: str = "approve", **changes: Any) -> None:
        """Vote with the passkey."""
        self.hand_in_vote(self.passkey_vote(request, decision, **changes).to_json())

    def place(self, ceremony: Ceremony) -> int:
        """Its index among the participants; the one that it claims where it is none of them."""
        for participant in context_of(ceremony).participants:
            if participant.node_id == self.node_id:
                return self.index or participant.index
        return self.index

    def envelope(self, ceremony: Ceremony, round: int, body: bytes, **changes: Any) -> bytes:
        """A signed envelope of this participant; `changes` replace fields before signing."""
        fields: dict[str, Any] = {
            "type": ROUND_MESSAGE,
            "session_id": bytes.fromhex(ceremony.session_id),
            "protocol": ceremony.protocol,
            "round": round,
            "sender": self.place(ceremony),
            "recipient": 0,
            "body": body,
        } | changes
        return Envelope.seal(self.sign, **fields).encode()

    def send(self, ceremony: Ceremony, round: int, body: bytes, **changes: Any) -> None:
        mailbox.store(node=self.row, data=self.envelope(ceremony, round, body, **changes))

    def abort(self, ceremony: Ceremony, round: int, *, code: str, message: str, blamed: int = 0) -> None:
        body = Abort(code=code, message=message, blamed=blamed).encode()
        self.send(ceremony, round, body, type=ABORT)

    def begin(self, ceremony: Ceremony) -> None:
        """Start the protocol and send round 0."""
        context, place = context_of(ceremony), self.place(ceremony)
        deals = any(dealer.index == place for dealer in context.dealers)
        self.certificate = self.pending = None
        self.machine, step = Dealing.start(
            context,
            place,
            self.sign,
            source=source_statement(ceremony),
            share=self.shares[context.previous_certificate_hash] if deals else None,
        )
        self._carry_out(ceremony, step)

    def receive(self, ceremony: Ceremony) -> None:
        """Take the others' messages of the round that the machine waits for, and answer."""
        rows = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE, round=self.machine.round)
        envelopes = [Envelope.parse(bytes(row.envelope)) for row in rows]
        bodies = {each.sender: each.body for each in envelopes if each.sender != self.place(ceremony)}
        self._carry_out(ceremony, self.machine.receive(bodies))

    def hand_in(self, ceremony: Ceremony) -> None:
        """Give the coordinator the certificate."""
        assert self.certificate is not None
        certificates.accept(
            node=self.row, value=certificate_item(ceremony.session_id, self.certificate.encode())
        )

    def statement(self, ceremony: Ceremony, state: str, **changes: Any) -> dict[str, Any]:
        """A signed statement about the ceremony's set; `changes` replace fields before signing."""
        fields: dict[str, Any] = {
            "state": state,
            "vault_id": str(ceremony.vault_id),
            "group_id": str(ceremony.request.target_group_id),
            "epoch": context_of(ceremony).epoch,
            "session_id": bytes.fromhex(ceremony.session_id),
            "node_id": self.node_id,
            "time": milliseconds(ceremony.started_at),
        } | changes
        return SetStatement.sign(self.sign, **fields).to_json()

    def state(self, ceremony: Ceremony, state: str, **changes: Any) -> None:
        statements.accept(node=self.row, value=self.statement(ceremony, state, **changes))

    def _carry_out(self, ceremony: Ceremony, step: Any) -> None:
        self.pending = step.pending or self.pending
        self.certificate = step.certificate
        if self.certificate is not None and self.pending is not None:
            self.shares[self.certificate.hash()] = self.pending
        for message in step.outgoing:
            self.send(ceremony, message.round, message.body, recipient=message.to)


def certificate_item(session_id: str, encoded: bytes) -> dict[str, str]:
    return {"session_id": session_id, "certificate": to_base64(encoded)}


@dataclass
class Site:
    """An organisation with a vault, signers and a MainGroup of them; others join with `join`."""

    organisation: Organisation
    actor: Actor
    vault: Vault
    signers: list[Signer]
    group: Group
    others: list[Signer] = field(default_factory=list)

    @classmethod
    def make(cls, participants: int = 3, threshold: int = 2) -> "Site":
        organisation = vaults.create_organisation(actor=SYSTEM, name="Acme")
        key = ApiKey.objects.create(
            organisation=organisation, name="robot", curve="ED25519", public_key=secrets.token_hex(32)
        )
        actor = Actor.of_api_key(key)
        vault = vaults.create_vault(
            actor=actor, organisation=organisation, name="Treasury", type="Org-Controlled"
        )
        names = [f"Holder {chr(ord('A') + position)}" for position in range(participants)]
        signers = [Signer(name) for name in names]
        for signer in signers:
            signer.enrol(organisation)
        site = cls(organisation, actor, vault, signers, None)  # type: ignore[arg-type]
        site.group = site.new_group(threshold)
        return site

    def join(self, *names: str) -> list[Signer]:
        """More nodes, members of no group yet."""
        signers = [Signer(name) for name in names]
        for signer in signers:
            signer.enrol(self.organisation)
        self.others += signers
        return signers

    def new_group(
        self,
        threshold: int = 2,
        type: str = "MainGroup",
        vault: Vault | None = None,
        signers: Iterable[Signer] = (),
    ) -> Group:
        """A group of `signers`, or of the site's first ones."""
        members = list(signers) or self.signers
        return vaults.create_group(
            actor=self.actor,
            vault=vault or self.vault,
            type=type,
            participants=len(members),
            threshold=threshold,
            holders=[HolderChoice(tss_node_id=signer.node_id) for signer in members],
        )

    def request(self, group: Group | None = None, **changes: Any) -> TssRequest:
        """A KeyGen of the group, or what `changes` make of it (services.create_request)."""
        target = group or self.group
        fields: dict[str, Any] = {
            "actor": self.actor,
            "vault": Vault.objects.get(pk=target.vault_id),
            "type": "KeyGen",
            "target_group_id": str(target.id),
        } | changes
        return services.create_request(**fields)

    def signer(self, node_id: str) -> Signer:
        return next(each for each in (*self.signers, *self.others) if each.node_id == node_id)

    def voters(self, request: TssRequest) -> list[Signer]:
        """Who has a vote: who is only a source holder first."""
        rows = request.voters.exclude(source=False, target=False).order_by("target", "pk")
        return [self.signer(row.node_id) for row in rows]

    def approve(self, request: TssRequest) -> TssRequest:
        """Everybody approves who is asked, until that is enough."""
        for signer in self.voters(request):
            if fresh(request).state == State.AWAITING_APPROVAL:
                signer.decide(request)
                if signer.method != "node":
                    signer.touch(request)
        return fresh(request)

    def approved(self, group: Group | None = None, **changes: Any) -> TssRequest:
        return self.approve(self.request(group, **changes))

    def started(self, group: Group | None = None, **changes: Any) -> Ceremony:
        """A request that all have approved and whose ceremony is open."""
        return self.start(self.approved(group, **changes))

    def start_job(self, request: TssRequest) -> None:
        """Let a worker look at an approved request now."""
        job = Job.objects.filter(kind=JobKind.START_CEREMONY, reference=request.id, done_at__isnull=True)
        job.update(due_at=request.created_at)
        run_job(JobKind.START_CEREMONY, request.id)

    def start(self, request: TssRequest) -> Ceremony:
        """Run the start job of an approved request; the ceremony of its newest attempt."""
        self.start_job(request)
        ceremonies = Ceremony.objects.select_related("request__target_group").filter(request=request)
        return ceremonies.latest("attempt")

    def participants(self, ceremony: Ceremony) -> list[Signer]:
        return [self.signer(each.node_id) for each in context_of(ceremony).participants]

    def run(self, ceremony: Ceremony) -> None:
        """Run the whole protocol honestly; every participant then holds the certificate."""
        self.play(ceremony, rounds=4)
        assert all(signer.certificate is not None for signer in self.participants(ceremony))

    def play(self, ceremony: Ceremony, *, rounds: int) -> None:
        """Run `rounds` complete rounds: all have sent the next one's message then, if there is one."""
        participants = self.participants(ceremony)
        for signer in participants:
            signer.begin(ceremony)
        for _ in range(rounds):
            for signer in participants:
                signer.receive(ceremony)

    def finish(self, ceremony: Ceremony) -> TssRequest:
        """Run it, hand the certificate in and let the driver see it."""
        self.run(ceremony)
        self.participants(ceremony)[0].hand_in(ceremony)
        drive(ceremony)
        return fresh(ceremony.request)

    def succeeded(self, group: Group | None = None, **changes: Any) -> TssRequest:
        """A request from its making to its success."""
        request = self.finish(self.started(group, **changes))
        assert request.state == State.SUCCEEDED, request.state_reason
        return request


def fresh(request: TssRequest) -> TssRequest:
    return TssRequest.objects.select_related("target_group").get(pk=request.pk)


def and_close(act: Callable[[], object]) -> Callable[[], None]:
    """`act` for another thread, which then gives its database connection back."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    return run


def run_job(kind: JobKind, reference: str) -> bool:
    """What the worker does when it is rung for the open job."""
    return driver.run(Job.objects.get(kind=kind, reference=reference, done_at__isnull=True).pk)


def drive(ceremony: Ceremony) -> bool:
    """Let the driver look at the ceremony now."""
    jobs = Job.objects.filter(
        kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id, done_at__isnull=True
    )
    jobs.update(due_at=ceremony.started_at)
    return run_job(JobKind.DRIVE_CEREMONY, ceremony.session_id)
