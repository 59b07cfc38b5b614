"""Everything about a run that can be checked from its broadcast bodies alone.

Participants run these checks on what they receive; the coordinator runs `find_culprit` on its mailbox to
choose whom a retry leaves out (R21). All of them are functions of public data and reach the same answer
everywhere.
"""

from collections.abc import Mapping, Sequence

from mpc.certificate import (
    Certificate,
    CurveResult,
    PairSetupKind,
    Statement,
    activated_message,
    is_signed,
    prepared_message,
)
from mpc.curves import SCALAR_SIZE, Curve, Point, curve_named
from mpc.dealing_messages import (
    ROUND_ACTIVATED,
    ROUND_DEAL,
    ROUND_HELLO,
    ROUND_PREPARED,
    Activated,
    Complaint,
    Deal,
    Hello,
    Prepared,
    parse_activated,
    parse_deal,
    parse_hello,
    parse_prepared,
    sealed_share_for,
    session_key_for,
)
from mpc.dealing_rules import Rules, rules_of
from mpc.encoding import encode_fields, tagged_hash
from mpc.errors import (
    DecryptionFailed,
    EncodingError,
    FaultyParticipant,
    FaultyParticipantOrCoordinator,
    PointAtInfinity,
    ProtocolAbort,
    UnknownFault,
)
from mpc.polynomial import evaluate_commitment, public_shares
from mpc.sealing import is_usable, public_key, unseal
from mpc.session import SessionContext

Bodies = Mapping[int, bytes]


def next_transcript(context: SessionContext, transcript: bytes, number: int, bodies: Bodies) -> bytes:
    """T_(r+1) from T_r and the n bodies of round r in index order.

    T_1 is the ssid, for it covers the nonce of every participant (R20).
    """
    ordered = (bodies[index] for index in context.indices)
    return tagged_hash("quorate/transcript/v1", transcript, bytes([number]), *ordered)


def check_echo(sender: int, echo: bytes, transcript: bytes) -> None:
    """Raises FaultyParticipantOrCoordinator: one of them showed two people two things (test 13)."""
    if echo != transcript:
        raise FaultyParticipantOrCoordinator(sender, "echo_mismatch", "has seen another transcript")


def deal_commitment(
    session_id: bytes, index: int, commitments: Sequence[Sequence[Point]], entropy: bytes, salt: bytes
) -> bytes:
    """What round 0 commits to, 32 bytes: nobody chooses its part of the key after seeing the others'."""
    fields = [b"".join(point.encoded for point in commitment) for commitment in commitments]
    return tagged_hash(
        "quorate/deal-commitment/v1", session_id, index.to_bytes(2, "big"), entropy, salt, *fields
    )


def check_deals(
    context: SessionContext,
    rules: Rules,
    ssid: bytes,
    hellos: Mapping[int, Hello],
    deals: Mapping[int, Deal],
) -> None:
    """Do these dealers open their commitments, and may they deal what they deal? Raises FaultyParticipant."""
    session_id = context.session_id()
    for index, deal in deals.items():
        commitments = [each.commitment for each in deal.curves]
        opened = deal_commitment(session_id, index, commitments, deal.entropy, deal.salt)
        if opened != hellos[index].commitment:
            raise FaultyParticipant(index, "commitment_opening", "the deal is not what round 0 committed to")
        rules.check_deal(ssid, index, deal)


def check_distinct(context: SessionContext, deals: Mapping[int, Deal]) -> None:
    """Raises FaultyParticipant if two dealers have the same constant term (test 21).

    In KeyGen both proved possession, so both know the other's secret; the later index is named.
    """
    for position, name in enumerate(context.curves):
        seen: set[Point] = set()
        for index in sorted(deals):
            constant = deals[index].curves[position].commitment[0]
            if constant in seen:
                raise FaultyParticipant(
                    index, "duplicate_commitment", f"{name}: constant term of another dealer"
                )
            seen.add(constant)


def derive_statement(
    context: SessionContext, rules: Rules, ssid: bytes, bodies: Mapping[int, Deal]
) -> Statement:
    """The public result of everybody's checked round 1.

    Raises UnknownFault where it is unusable (tests 28, 29, 35, 45).
    """
    deals = {index: bodies[index] for index in context.dealer_indices}
    curves = tuple(
        _curve_result(context, rules, ssid, curve_named(name), at, deals)
        for at, name in enumerate(context.curves)
    )
    slots = (bodies[index].pair_setup.data for index in context.indices)
    return Statement(context, ssid, curves, PairSetupKind.NONE, tagged_hash("quorate/pair-setup/v1", *slots))


def _curve_result(
    context: SessionContext, rules: Rules, ssid: bytes, curve: Curve, at: int, deals: Mapping[int, Deal]
) -> CurveResult:
    try:
        total = [
            rules.combine_points(curve, {i: deal.curves[at].commitment[k] for i, deal in deals.items()})
            for k in range(context.threshold)
        ]
    except PointAtInfinity:
        # A neutral constant term is no key; a neutral leading one lowers the threshold (tests 28, 29).
        raise UnknownFault("degenerate_sum", f"{curve.name}: a coefficient of the sum is neutral") from None
    chain_code = rules.chain_code(curve, total[0], ssid, deals)
    try:
        shares = public_shares(curve, total, context.receivers)
    except PointAtInfinity:
        raise UnknownFault("degenerate_sum", f"{curve.name}: a public share is neutral") from None
    return CurveResult(curve.name, total[0].encoded, tuple(share.encoded for share in shares), chain_code)


def sealing_context(ssid: bytes, dealer: int, recipient: int) -> bytes:
    """What a sealed share is bound to: session, dealer and recipient."""
    return encode_fields(
        "quorate/sealed-share/v1", ssid, dealer.to_bytes(2, "big"), recipient.to_bytes(2, "big")
    )


def open_shares(
    context: SessionContext, ssid: bytes, dealer: int, recipient: int, deal: Deal, private_key: bytes
) -> tuple[bytes, ...]:
    """The shares that `dealer` sealed for `recipient`, one scalar a curve.

    Raises DecryptionFailed, InvalidScalar.
    """
    sealed = sealed_share_for(context, deal, dealer, recipient)
    plaintext = unseal(sealed, private_key, sealing_context(ssid, dealer, recipient))
    # Zero, the order and anything above it are refused here (test 25).
    return tuple(
        curve_named(name).parse_scalar(plaintext[at * SCALAR_SIZE : (at + 1) * SCALAR_SIZE])
        for at, name in enumerate(context.curves)
    )


def shares_fit(context: SessionContext, deal: Deal, recipient: int, shares: Sequence[bytes]) -> bool:
    """Are these the values at `recipient` of the polynomials that the deal commits to (Feldman's check)?"""
    for name, each, share in zip(context.curves, deal.curves, shares, strict=True):
        curve = curve_named(name)
        try:
            expected = evaluate_commitment(curve, each.commitment, recipient)
        except PointAtInfinity:
            return False
        if curve.base_multiply(share) != expected:
            return False
    return True


def adjudicate(
    context: SessionContext, round0: Bodies, round1: Bodies, accuser: int, accused: int, revealed_key: bytes
) -> int:
    """Who lied: the index of `accused` if its sealed share is bad, else of `accuser` (R22, tests 23, 24).

    round0, round1: the bodies of all n participants. Raises ProtocolAbort if those bodies are not messages.
    """
    ssid = next_transcript(context, context.session_id(), ROUND_HELLO, round0)
    hello = parse_hello(context, accuser, round0[accuser])
    if public_key(revealed_key) != session_key_for(context, hello, accuser, accused):
        return accuser
    deal = parse_deal(context, accused, round1[accused])
    try:
        shares = open_shares(context, ssid, accused, accuser, deal, revealed_key)
    except (DecryptionFailed, EncodingError):
        return accused
    return accuser if shares_fit(context, deal, accuser, shares) else accused


def judge_complaint(
    context: SessionContext, round0: Bodies, round1: Bodies, accuser: int, complaint: Complaint
) -> FaultyParticipant:
    """The error that a complaint ends the run with."""
    guilty = adjudicate(context, round0, round1, accuser, complaint.accused, complaint.revealed_key)
    if guilty == accuser:
        return FaultyParticipant(accuser, "false_complaint", f"the share from {complaint.accused} is good")
    return FaultyParticipant(guilty, "bad_share", f"the share for {accuser} does not match the commitment")


def find_culprit(
    context: SessionContext, rounds: Mapping[int, Bodies], source: Statement | None = None
) -> FaultyParticipant | None:
    """Replay all public checks on a possibly incomplete transcript: round -> index -> body; None if all hold.

    For the keeper of the mailbox, who knows what it showed to whom: here a wrong echo does blame its sender.
    Bodies of a round are examined only when all earlier rounds are complete. source: as for Dealing.start.
    Raises InvalidParameters if the context's protocol has no such source.
    """
    rules = rules_of(context, source)
    try:
        _replay(context, rules, rounds)
    except FaultyParticipant as fault:
        return fault
    except FaultyParticipantOrCoordinator as fault:
        return FaultyParticipant(fault.index, fault.code, fault.detail)
    except UnknownFault:
        return None
    return None


def certificate_of(
    context: SessionContext, rounds: Mapping[int, Bodies], source: Statement | None = None
) -> Certificate | None:
    """The final certificate (R25) that a complete and faultless transcript amounts to, else None.

    source: as for Dealing.start. Raises InvalidParameters if the context's protocol has no such source.
    """
    rules = rules_of(context, source)
    try:
        return _replay(context, rules, rounds)
    except ProtocolAbort:
        return None


def _replay(context: SessionContext, rules: Rules, rounds: Mapping[int, Bodies]) -> Certificate | None:
    given = [dict(sorted(rounds.get(number, {}).items())) for number in range(ROUND_ACTIVATED + 1)]
    everyone = set(context.indices)

    transcript = context.session_id()
    hellos = {index: parse_hello(context, index, body) for index, body in given[ROUND_HELLO].items()}
    for index, hello in hellos.items():
        check_echo(index, hello.echo, transcript)
        if not all(is_usable(key) for key in hello.session_keys):
            raise FaultyParticipant(index, "weak_session_key", "an X25519 key of small order")
    if set(hellos) != everyone:
        return None

    ssid = transcript = next_transcript(context, transcript, ROUND_HELLO, given[ROUND_HELLO])
    deals = {index: parse_deal(context, index, body) for index, body in given[ROUND_DEAL].items()}
    for index, deal in deals.items():
        check_echo(index, deal.echo, transcript)
    dealt = {index: deals[index] for index in context.dealer_indices if index in deals}
    check_deals(context, rules, ssid, hellos, dealt)
    check_distinct(context, dealt)
    if set(deals) != everyone:
        return None
    statement = derive_statement(context, rules, ssid, deals)

    transcript = next_transcript(context, transcript, ROUND_DEAL, given[ROUND_DEAL])
    answers = {index: parse_prepared(context, index, body) for index, body in given[ROUND_PREPARED].items()}
    check_answers(context, transcript, given[ROUND_HELLO], given[ROUND_DEAL], answers)
    prepared = check_prepared(context, statement, answers)
    if set(answers) != everyone:
        return None

    transcript = next_transcript(context, transcript, ROUND_PREPARED, given[ROUND_PREPARED])
    last = {index: parse_activated(context, index, body) for index, body in given[ROUND_ACTIVATED].items()}
    check_activated(context, transcript, statement, prepared, last)
    if set(last) != everyone:
        return None
    return Certificate(statement, prepared, tuple(answer.signature for answer in last.values()))


def check_answers(
    context: SessionContext,
    transcript: bytes,
    round0: Bodies,
    round1: Bodies,
    answers: Mapping[int, Prepared | Complaint],
) -> None:
    """Check the echoes of round 2 and judge its complaints. Raises ProtocolAbort."""
    for index, answer in answers.items():
        check_echo(index, answer.echo, transcript)
    for index, answer in answers.items():
        if isinstance(answer, Complaint):
            raise judge_complaint(context, round0, round1, index, answer)


def check_prepared(
    context: SessionContext, statement: Statement, answers: Mapping[int, Prepared | Complaint]
) -> tuple[bytes, ...]:
    """The prepared signatures in the order of `answers`. Raises FaultyParticipant."""
    message = prepared_message(statement)
    signatures = []
    for index, answer in answers.items():
        if not isinstance(answer, Prepared) or not is_signed(
            context.verify_key(index), message, answer.signature
        ):
            raise FaultyParticipant(index, "prepared_signature", "is not valid for this transcript")
        signatures.append(answer.signature)
    return tuple(signatures)


def check_activated(
    context: SessionContext,
    transcript: bytes,
    statement: Statement,
    prepared: Sequence[bytes],
    answers: Mapping[int, Activated],
) -> None:
    """Check the echoes and signatures of round 3. Raises ProtocolAbort."""
    message = activated_message(statement, prepared)
    for index, answer in answers.items():
        check_echo(index, answer.echo, transcript)
        if not is_signed(context.verify_key(index), message, answer.signature):
            raise FaultyParticipant(index, "activated_signature", "is not valid for this transcript")
