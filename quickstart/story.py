"""The main job of the demo: one root key from its making to its refresh, with a holder lost on the way.

Each step is recorded when it begins and when it has succeeded, so a demo that was interrupted goes on where
it was.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quickstart.api import Api
from quickstart.nodes import DemoNode, in_parallel
from quickstart.processes import Processes
from quickstart.record import Record

MAIN, SIGNING, RECOVERY = ("alice", "bob", "carol"), ("service", "alice"), ("service", "carol", "erin")
LOST, SPARE = "bob", "dave"
TERMINAL = ("Success", "KeyGeneratingFailed", "KeyHolderConfirmationFailed")
_PATIENCE_S = 120


class StoryFailed(Exception):
    """A step did not end as it should; the message says why."""


@dataclass(frozen=True)
class Step:
    """One request. name: its key in the record; voters: whose approvals do; holders: who has shares of
    the group afterwards; group: the record's key of the target group."""

    name: str
    title: str
    voters: tuple[str, ...]
    holders: tuple[str, ...]
    group: str
    make: Callable[[], str]


class Story:
    """Runs the steps against the API and reads the outcome from the nodes' own stores (R3)."""

    def __init__(
        self,
        *,
        api: Api,
        record: Record,
        nodes: Mapping[str, DemoNode],
        processes: Processes,
        say: Callable[[str], None],
        by_hand: bool,
        way_in: Callable[[str], str],
    ) -> None:
        self._api = api
        self._record = record
        self._nodes = nodes
        self._processes = processes
        self._say = say
        self._by_hand = by_hand
        self._way_in = way_in
        self._told: set[str] = set()
        self._ids = {entry["name"]: entry["tss_node_id"] for entry in record.data["nodes"]}
        self._ids["service"] = record.data["service_node_id"]

    def run(self) -> None:
        """Every step that has not succeeded yet. Raises StoryFailed."""
        self._make_vault()
        now_main = tuple(SPARE if name == LOST else name for name in MAIN)
        main_group, signing_group, recovery_group = "main_group_id", "signing_group_id", "recovery_group_id"
        self._make_group(main_group, "MainGroup", MAIN)
        self._do(Step("key_gen", "KeyGen: a root key for 2 of 3", MAIN, MAIN, main_group, self._key_gen))
        self._hand_over_anchor()
        for group, kind, holders, dealers in (
            (signing_group, "SigningGroup", SIGNING, ("alice", "bob")),
            (recovery_group, "RecoveryGroup", RECOVERY, ("alice", "carol")),
        ):
            self._make_group(group, kind, holders)
            title = f"KeyGenFromKeyGroup: shares of the same key for 2 of {len(holders)}, a {kind}"
            voters = tuple(dict.fromkeys((*dealers, *holders)))
            self._do(Step(kind, title, voters, holders, group, self._from_main(group)))
        self._lose_a_node()
        title = f"Recovery: the Recovery group gives {SPARE} the lost holder's place"
        # Of the Recovery group the service signer approves by itself, and carol with her vote for Main.
        self._do(Step("recovery", title, now_main, now_main, main_group, self._recovery))
        title = "Refresh: new shares for the Main group, old ones worthless"
        self._do(Step("refresh", title, now_main, now_main, main_group, self._refresh))

    def check_keys(self) -> None:
        """Every holder of every group has the root keys that the coordinator shows."""
        groups = (("main_group_id", (*MAIN, SPARE)), ("signing_group_id", SIGNING))
        for group, holders in (*groups, ("recovery_group_id", RECOVERY)):
            self._check_group(group, tuple(name for name in holders if name != LOST))
        self._say("All holders have the same root keys, read from their own stores:")
        for curve, key in sorted(self._claimed().items()):
            self._say(f"  {curve:9} {key}")

    # what each step asks for

    def _key_gen(self) -> str:
        return self._request("KeyGen", "main_group_id", "First key of the demo")

    def _from_main(self, group: str) -> Callable[[], str]:
        return lambda: self._request(
            "KeyGenFromKeyGroup", group, "Shares for another group", source="main_group_id"
        )

    def _recovery(self) -> str:
        data = self._record.data
        path = f"/vaults/{data['vault_id']}/groups/{data['main_group_id']}/holders/{self._ids[LOST]}/replace"
        self._api.post(path, {"new_tss_node_id": self._ids[SPARE]})
        return self._request("Recovery", "main_group_id", f"{LOST} lost his node", source="recovery_group_id")

    def _refresh(self) -> str:
        body = {
            "type": "Refresh",
            "target_group_id": self._record.data["main_group_id"],
            "description": "After the loss of a node",
        }
        request = self._api.post(f"/vaults/{self._record.data['vault_id']}/requests", body)
        return str(request["tss_request_id"])

    def _request(self, type: str, target: str, description: str, *, source: str = "") -> str:
        data = self._record.data
        body: dict[str, Any] = {
            "type": type,
            "target_key_share_holder_group_id": data[target],
            "description": description,
        }
        if source:
            body["source_key_share_holder_group"] = {"key_share_holder_group_id": data[source]}
        request = self._api.post(f"/wallets/mpc/vaults/{data['vault_id']}/tss_requests", body)
        return str(request["tss_request_id"])

    # steps

    def _make_vault(self) -> None:
        if "vault_id" in self._record.data:
            return
        vault = self._api.post("/wallets/mpc/vaults", {"name": "Treasury", "vault_type": "Org-Controlled"})
        self._say(f"Vault Treasury: {vault['vault_id']}")
        self._record.update(vault_id=vault["vault_id"])

    def _make_group(self, key: str, kind: str, names: tuple[str, ...]) -> None:
        if key in self._record.data:
            return
        holders = [
            {
                "name": name,
                "type": "Cobo" if name == "service" else "API",
                "tss_node_id": self._ids[name],
                "signer": True,
            }
            for name in names
        ]
        body = {
            "key_share_holder_group_type": kind,
            "participants": len(names),
            "threshold": 2,
            "key_share_holders": holders,
        }
        path = f"/wallets/mpc/vaults/{self._record.data['vault_id']}/key_share_holder_groups"
        group = self._api.post(path, body)
        self._say(f"{kind}, 2 of {len(names)} ({', '.join(names)}): {group['key_share_holder_group_id']}")
        self._record.update(**{key: group["key_share_holder_group_id"]})

    def _do(self, step: Step) -> None:
        """Make the step's request unless it was made, and wait until it has succeeded."""
        requests = self._record.data.get("requests", {})
        if any(result["step"] == step.name for result in self._record.data["results"]):
            return
        if step.name not in requests:
            self._say(step.title)
            requests = {**requests, step.name: step.make()}
            self._record.update(requests=requests)
        started = time.monotonic()
        request = self._follow(requests[step.name], step)
        self._check_group(step.group, step.holders)
        vault = self._api.get(f"/wallets/mpc/vaults/{self._record.data['vault_id']}")
        result = {
            "step": step.name,
            "tss_request_id": request["tss_request_id"],
            "type": request["type"],
            "status": request["status"],
            "seconds": round(time.monotonic() - started, 2),
            "root_pubkeys": vault["root_pubkeys"],
        }
        self._record.update(results=[*self._record.data["results"], result])

    def _hand_over_anchor(self) -> None:
        """R6: who joins an existing key first pins its anchor, from a holder and not from the coordinator."""
        if self._record.data.get("anchor_pinned"):
            return
        anchor = self._nodes[MAIN[0]].export_anchor(self._record.data["vault_id"])
        joining = [node for name, node in self._nodes.items() if name not in MAIN]
        self._say("Nodes that will join the key pin its anchor, taken from alice's own store ...")
        in_parallel(lambda node: node.pin_anchor(anchor), joining)
        self._record.update(anchor_pinned=True)

    def _lose_a_node(self) -> None:
        if "lost_node" in self._record.data:
            return
        self._say(f"{LOST}'s node is lost: its process is stopped and its state deleted.")
        self._processes.end(f"node-{LOST}")
        shutil.rmtree(self._nodes[LOST].folder)
        self._record.update(lost_node=LOST)

    # watching

    def _follow(self, request_id: str, step: Step) -> dict[str, Any]:
        if self._by_hand:
            self._say_where_to_look(request_id, step)
            self._say("  Approve it with each holder's node (see what it is with `show`):")
            for name in step.voters:
                if name not in ("service", self._record.data.get("lost_node")):
                    self._say(f"    {' '.join(self._nodes[name].command('approve', request_id))}")
        shown = ""
        patience = None if self._by_hand else time.monotonic() + _PATIENCE_S
        while True:
            self._processes.check()
            request: dict[str, Any] = self._api.get(f"/requests/{request_id}")
            votes = request["approvals"]["votes"]
            counts = (f"{vote['side']} {vote['received']} ({vote['needed']} needed)" for vote in votes)
            line = f"  {request['state']}, approvals: {', '.join(counts)}"
            if line != shown:
                self._say(line)
                shown = line
            if request["status"] in TERMINAL:
                break
            if patience is not None and time.monotonic() > patience:
                why = self._api.get(f"/requests/{request_id}/explain")["summary"]
                raise StoryFailed(f"The request is still {request['state']} after two minutes: {why}")
            time.sleep(0.1)
        if request["status"] != "Success":
            raise StoryFailed(f"The request ended as {request['state']}: {request['state_reason']}")
        return request

    def _say_where_to_look(self, request_id: str, step: Step) -> None:
        data = self._record.data
        new = [name for name in step.voters if name in data["people"] and name not in self._told]
        for name in new:
            self._say(f"  {name} comes in at {data['recover_url']} with the code {self._way_in(name)}")
        self._told |= set(new)
        self._say(
            f"  Open {data['admin_url']}inbox/ as one of the holders, click the request and read what it"
        )
        self._say("  would do. The words of its digest must be those that the holder's own node prints; its")
        self._say("  link to the ceremony shows the rounds as they happen:")
        self._say(f"    {' '.join(self._nodes[step.voters[0]].command('show', request_id))}")

    def _check_group(self, group: str, holders: tuple[str, ...]) -> None:
        """R3: what the coordinator shows is a claim; the nodes' own stores decide."""
        data, expected = self._record.data, self._claimed()
        path = f"/wallets/mpc/vaults/{data['vault_id']}/key_share_holder_groups/{data[group]}"
        epoch = self._api.get(path)["epoch"]
        deadline = time.monotonic() + 30
        nodes = [self._nodes[name] for name in holders]
        while True:
            held = in_parallel(lambda node: node.root_public_keys(data[group], epoch), nodes)
            different = [keys for keys in held if keys and keys != expected]
            if different:
                raise StoryFailed(f"A node holds {different[0]}, the coordinator shows {expected}")
            if all(held):
                return
            if time.monotonic() > deadline:
                raise StoryFailed("A holder has not stored its share of the key for 30 seconds.")

    def _claimed(self) -> dict[str, str]:
        vault = self._api.get(f"/wallets/mpc/vaults/{self._record.data['vault_id']}")
        return {entry["curve"]: entry["root_pubkey"] for entry in vault["root_pubkeys"]}
