"""The node's local rules: DIR/policy.toml, written by its operator. Without a rule that allows it, nothing
happens.

The file (signers/policy.example.toml shows all of it):

- `version`: 1.
- `demo`: true lifts R11 for a first run on one machine; refused unless the coordinator's address is loopback.
- `passkey_alone`: request types for which a passkey on the coordinator's page is enough by itself (R10);
  default none.
- `[[rule]]`, the first one that fits a request decides:
    - `types`: request types, e.g. ["KeyGen"];
    - `vaults`, `organisations`: ids, or ["*"] for all;
    - `minimum_threshold`: the least number of holders needed (at least 2) that this node takes part in;
    - `delay`: seconds, at most 7 days, that pass between first seeing a request and approving it, so that
      others can object (R17); default 0;
    - `action`: "ask" (the operator approves each request) or "auto" (the node approves by itself; R11 limits
      it).
"""

import tomllib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mpc.encoding import tagged_hash
from signers.errors import NodeError, Refusal
from wire.intent import MAX_LIFETIME_MS, REFRESH, TYPES, Intent

ASK, AUTO = "ask", "auto"
MAX_POLICY_BYTES = 1 << 16
# R11: a Refresh alone gives no share to a node that is not a certified holder in that role already, lowers no
# threshold and changes no rule.
NEVER_AUTO = tuple(type for type in TYPES if type != REFRESH)
MAX_DELAY_S = MAX_LIFETIME_MS // 1000


@dataclass(frozen=True)
class Rule:
    """What the node takes part in, and whether it asks its operator first."""

    types: tuple[str, ...]
    vaults: tuple[str, ...]
    organisations: tuple[str, ...]
    minimum_threshold: int
    delay: int
    action: str

    def fits(self, intent: Intent) -> bool:
        return (
            intent.type in self.types
            and ("*" in self.vaults or intent.vault_id in self.vaults)
            and ("*" in self.organisations or intent.organisation_id in self.organisations)
        )


@dataclass(frozen=True)
class Policy:
    """The parsed file; `fingerprint` changes with its bytes."""

    demo: bool
    passkey_alone: tuple[str, ...]
    rules: tuple[Rule, ...]
    fingerprint: str

    def rule_for(self, intent: Intent) -> Rule:
        """The first rule that fits. Raises Refusal no_rule or threshold_below_floor."""
        rule = next((rule for rule in self.rules if rule.fits(intent)), None)
        if rule is None:
            raise Refusal(
                "no_rule",
                f"no rule in policy.toml allows {intent.type} in vault {intent.vault_id}: default deny",
            )
        if intent.target.threshold < rule.minimum_threshold:
            raise Refusal(
                "threshold_below_floor",
                f"{intent.target.threshold} holders would do, the rule here wants {rule.minimum_threshold}",
            )
        return rule


EMPTY = Policy(demo=False, passkey_alone=(), rules=(), fingerprint="none")


def load_policy(path: Path, coordinator_url: str) -> Policy:
    """Read and check policy.toml; no file is the empty policy, which refuses everything.

    Raises NodeError bad_policy (naming the entry), auto_not_allowed (R11) or demo_needs_loopback.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_POLICY_BYTES + 1)
    except FileNotFoundError:
        return EMPTY
    except OSError as error:
        raise NodeError("bad_policy", f"cannot read {path.name}: {error.strerror}") from None
    if len(data) > MAX_POLICY_BYTES:
        raise NodeError("bad_policy", f"{path.name} is larger than {MAX_POLICY_BYTES} bytes")
    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NodeError("bad_policy", f"{path.name} is not valid TOML: {error}") from None
    return parse_policy(
        document, coordinator_url, fingerprint=tagged_hash("quorate/local-policy/v1", data).hex()
    )


def parse_policy(document: dict[str, Any], coordinator_url: str, fingerprint: str = "") -> Policy:
    """Check a parsed document; see load_policy."""
    left = dict(document)
    version = left.pop("version", None)
    if isinstance(version, bool) or version != 1:
        raise NodeError("bad_policy", "version: must be 1")
    demo = left.pop("demo", False)
    if not isinstance(demo, bool):
        raise NodeError("bad_policy", "demo: must be true or false")
    passkey_alone = _texts(left.pop("passkey_alone", []), "passkey_alone", TYPES)
    entries = left.pop("rule", [])
    if not isinstance(entries, list):
        raise NodeError("bad_policy", "rule: must be a list of [[rule]] tables")
    _no_more(left, "")
    rules = tuple(_rule(entry, f"rule[{position}]") for position, entry in enumerate(entries))
    if demo and not is_loopback(coordinator_url):
        raise NodeError(
            "demo_needs_loopback", "demo = true works only with a coordinator on this machine (R11)"
        )
    for position, rule in enumerate(rules):
        forbidden = sorted(set(rule.types) & set(NEVER_AUTO))
        if rule.action == AUTO and forbidden and not demo:
            raise NodeError(
                "auto_not_allowed",
                f"rule[{position}].action: {', '.join(forbidden)} gives shares to new holders or changes who"
                ' decides, so a person approves it (R11): use "ask"',
            )
    return Policy(demo, passkey_alone, rules, fingerprint)


def is_loopback(url: str) -> bool:
    """Whether the address can only be this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _rule(entry: Any, path: str) -> Rule:
    if not isinstance(entry, dict):
        raise NodeError("bad_policy", f"{path}: must be a table")
    left = dict(entry)
    threshold = left.pop("minimum_threshold", 2)
    if isinstance(threshold, bool) or not isinstance(threshold, int) or threshold < 2:
        raise NodeError("bad_policy", f"{path}.minimum_threshold: must be an integer of 2 or more")
    delay = left.pop("delay", 0)
    if isinstance(delay, bool) or not isinstance(delay, int) or not 0 <= delay <= MAX_DELAY_S:
        raise NodeError("bad_policy", f"{path}.delay: must be 0 to {MAX_DELAY_S} seconds")
    action = left.pop("action", None)
    if action not in (ASK, AUTO):
        raise NodeError("bad_policy", f'{path}.action: must be "ask" or "auto"')
    rule = Rule(
        types=_texts(left.pop("types", None), f"{path}.types", TYPES),
        vaults=_texts(left.pop("vaults", None), f"{path}.vaults"),
        organisations=_texts(left.pop("organisations", ["*"]), f"{path}.organisations"),
        minimum_threshold=threshold,
        delay=delay,
        action=action,
    )
    _no_more(left, f"{path}.")
    return rule


def _texts(value: Any, path: str, choices: tuple[str, ...] = ()) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise NodeError("bad_policy", f"{path}: must be a list of texts")
    unknown = [item for item in value if choices and item not in choices]
    if unknown:
        raise NodeError("bad_policy", f"{path}: {unknown[0]!r} is not one of {', '.join(choices)}")
    return tuple(value)


def _no_more(left: dict[str, Any], prefix: str) -> None:
    # A misspelt entry must not silently widen or narrow what the node does.
    if left:
        raise NodeError("bad_policy", f"{prefix}{min(left)}: unknown entry")
