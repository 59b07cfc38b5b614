"""What the intent and the vault's policy must say, whatever the type of the request."""

from signers import __version__
from signers.errors import Refusal
from wire.canonical import CanonicalError
from wire.fields import WireError
from wire.intent import CURVES, MAX_LIFETIME_MS, POLICY_CHANGE, Intent
from wire.policy import VaultPolicy
from wire.session import protocol_of

# How far in the future not-before may lie for a node whose clock is a little slow. Expiry has no tolerance.
CLOCK_SKEW_MS = 60_000
_MEMBERS = {"admin", "operator", "approver"}


def parse_intent(text: str) -> Intent:
    """R8. Raises Refusal: bad_intent, unknown_field, unknown_version, unknown_type."""
    try:
        return Intent.parse(text.encode())
    except CanonicalError as error:
        raise Refusal("bad_intent", str(error)) from None
    except WireError as error:
        code = "bad_intent"
        if error.message == "unknown field":
            code = "unknown_field"
        elif error.field == "intent.v":
            code = "unknown_version"
        elif error.field == "intent.type":
            code = "unknown_type"
        raise Refusal(code, str(error)) from None


def check_software(intent: Intent) -> None:
    needed = _version(intent.min_software)
    if needed is None:
        raise Refusal("bad_intent", "intent.min_software: is not a version like 1.2.3")
    if needed > (_version(__version__) or ()):
        raise Refusal(
            "software_too_old", f"the request needs {intent.min_software}, this node is {__version__}"
        )


def check_protocol(intent: Intent) -> None:
    if intent.runs_ceremony and intent.protocol != protocol_of(intent.type):
        raise Refusal("unknown_protocol", f"this node does not run {intent.protocol} for a {intent.type}")
    if not intent.curves or intent.curves != tuple(curve for curve in CURVES if curve in intent.curves):
        raise Refusal("bad_curves", f"curves must be some of {', '.join(CURVES)} in that order")


def check_time(intent: Intent, now: int) -> None:
    """R15; now: the node's own clock, Unix milliseconds."""
    if not 0 < intent.expires - intent.not_before <= MAX_LIFETIME_MS:
        raise Refusal("lifetime_too_long", "expiry is not within 7 days after not-before")
    if now >= intent.expires:
        raise Refusal("expired", "the request has expired by this node's clock")
    if now + CLOCK_SKEW_MS < intent.not_before:
        raise Refusal("not_yet_valid", "the request's not-before lies in the future of this node's clock")


def check_policy(text: str, intent: Intent) -> VaultPolicy:
    """The policy that governs the request (R12); whether it is the current one, the anchor tells."""
    policy = _parse_policy(text, intent)
    if policy.hash() != intent.policy_hash:
        raise Refusal("policy_hash_mismatch", "the vault policy is not the one that the intent names")
    if intent.type not in policy.request_types:
        raise Refusal("type_not_in_policy", f"the vault policy does not allow {intent.type}")
    robot = intent.requester.kind == "robot"
    # A member's role is the coordinator's knowledge; that some role may ask, or no robot, is the policy's.
    if not ({"robot"} if robot else _MEMBERS) & set(policy.creators[intent.type]):
        who = f"a {intent.requester.kind}"
        raise Refusal("requester_not_in_policy", f"the vault policy lets no {who} ask for {intent.type}")
    if intent.expires - intent.not_before > policy.request_lifetime:
        raise Refusal("lifetime_above_policy", "the request lives longer than the vault policy allows")
    return policy


def check_new_policy(text: str, intent: Intent) -> None:
    """What a PolicyChange would put in place; other types put nothing (R12)."""
    if intent.type != POLICY_CHANGE:
        if text:
            raise Refusal("unexpected_document", f"a {intent.type} changes no policy")
        return
    policy = _parse_policy(text, intent)
    if policy.hash() != intent.new_policy_hash:
        raise Refusal("policy_hash_mismatch", "the new policy is not the one that the intent names")
    if policy.predecessor != intent.policy_hash:
        raise Refusal("policy_not_successor", "the new policy does not follow the current one")


def _parse_policy(text: str, intent: Intent) -> VaultPolicy:
    try:
        policy = VaultPolicy.parse(text.encode())
    except (CanonicalError, WireError) as error:
        raise Refusal("bad_vault_policy", str(error)) from None
    if policy.vault_id != intent.vault_id:
        raise Refusal("policy_vault_mismatch", "the vault policy belongs to another vault")
    return policy


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        return None
    return tuple(int(part) for part in parts)
