"""kill -9 of every process at every phase of a Refresh and of a Recovery: the kill matrix.

A gate in the network holds one node's message, so that the request stands still in exactly one phase while
another process is killed; the database is asked to prove it. The process comes back, the gate opens, and the
request must end in Success or in an explained failure. Then every member of the group must hold the epoch
that the coordinator shows, in its own store, and a further Refresh with these shares must succeed with the
same root keys: the old epoch is usable, or the new one is, never neither (R25, R26).

`bin/kill-matrix` runs all cells and prints the table.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quickstart.api import ApiError
from tests.live.proxy import carries_decision, carries_round
from tests.live.stack import Stack

MAIN, RECOVERERS, LOST, SPARE = ["alice", "bob", "carol"], ["service", "carol", "erin"], "bob", "dave"
NEW_MAIN = ["alice", SPARE, "carol"]
SERVERS = ("site", "worker", "sweeper", "redis", "postgres")
PHASES = ("approval", "hello", "deal", "prepared", "activated", "end")
VICTIMS = {
    "Refresh": (*SERVERS, *MAIN),
    "Recovery": (*SERVERS, *NEW_MAIN, "erin", "service"),
}
SETTINGS: dict[str, Any] = {"ROUND_TIMEOUT_S": "20", "JOB_LEASE_S": "3", "ERASE_GRACE_MS": "1"}


class CellFailed(AssertionError):
    """What a cell promised did not hold."""


@dataclass(frozen=True)
class Cell:
    """One kill: of which process, in which phase of which request."""

    type: str
    victim: str
    phase: str

    def __str__(self) -> str:
        return f"{self.type}/{self.victim}/{self.phase}"


@dataclass(frozen=True)
class Outcome:
    """epoch: "new" or "old", which one is usable; state: what became of the request."""

    epoch: str
    state: str


def all_cells() -> list[Cell]:
    return [Cell(type, victim, phase) for type in VICTIMS for victim in VICTIMS[type] for phase in PHASES]


class KillMatrix:
    """Runs cells on one live stack, which must have servers of its own to be killed."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._refreshed: tuple[str, str] | None = None
        self._made = 0

    def run(self, cell: Cell) -> Outcome:
        """Raises CellFailed."""
        vault_id, group_id = self._prepare(cell)
        before, keys = self._epoch(vault_id, group_id), self._keys(vault_id)
        members = MAIN if cell.type == "Refresh" else NEW_MAIN
        held = next(name for name in members if name != cell.victim)
        with self._holding(held, cell.phase) as gate:
            request_id = self._ask(cell.type, vault_id, group_id)
            if gate is None:
                ended = self._stack.finished(vault_id, request_id)
                require(cell, ended["status"] == "Success", ended["state_reason"])
            else:
                require(cell, gate.hit.wait(60), "the request never came to this phase")
                self._wait_for_phase(cell, request_id)
            self._kill(cell.victim)
            if gate is not None and cell.victim != "postgres":  # which could not be asked, nor move
                require(cell, self._phase_now(request_id, cell.phase), "the request moved on before the kill")
            self._restart(cell.victim)
        request = self._stack.finished(vault_id, request_id)
        if request["status"] != "Success":
            require(cell, bool(request["state_reason"]), "it failed and does not say why")
        return self._judge(cell, request, vault_id, group_id, before, keys)

    # one cell, step by step

    def _prepare(self, cell: Cell) -> tuple[str, str]:
        """A vault whose Main group can be refreshed or recovered."""
        if cell.type == "Refresh" and self._refreshed is not None:
            return self._refreshed  # whichever epoch the last cell left is what this one begins with
        self._made += 1
        vault_id, main = self._stack.main_key(f"{cell.type} {self._made}", MAIN)
        if cell.type == "Refresh":
            self._refreshed = vault_id, main
            return vault_id, main
        self._stack.pin_anchor(vault_id, ["service", "erin", SPARE])
        recovery = self._stack.group(vault_id, RECOVERERS, 2, "RecoveryGroup")
        shared = self._stack.reshare("KeyGenFromKeyGroup", vault_id, recovery, main)
        require(cell, self._stack.finished(vault_id, shared)["status"] == "Success", "no Recovery group")
        self._stack.replace(vault_id, main, LOST, SPARE)
        self._recovery_group = recovery
        return vault_id, main

    def _ask(self, type: str, vault_id: str, group_id: str) -> str:
        if type == "Refresh":
            return self._stack.native(vault_id, "Refresh", group_id)
        return self._stack.reshare("Recovery", vault_id, group_id, self._recovery_group)

    @contextmanager
    def _holding(self, name: str, phase: str) -> Iterator[Any]:
        if phase == "end":
            yield None
            return
        matches = carries_decision if phase == "approval" else carries_round(PHASES.index(phase) - 1)
        with self._stack.proxies[name].holding(matches) as gate:
            yield gate

    def _wait_for_phase(self, cell: Cell, request_id: str) -> None:
        self._stack.wait_for(lambda: self._phase_now(request_id, cell.phase), f"{cell} to stand still")

    def _phase_now(self, request_id: str, phase: str) -> bool:
        """Whether the database says that the request stands in this phase."""
        if phase == "approval":
            query = "SELECT count(*) FROM tss_tssrequest WHERE id = %s AND state = 'AwaitingApproval'"
            return self._stack.sql(query, request_id) == [(1,)]
        query = "SELECT state, round FROM tss_ceremony WHERE request_id = %s ORDER BY attempt DESC LIMIT 1"
        return self._stack.sql(query, request_id) == [("open", PHASES.index(phase) - 1)]

    def _kill(self, victim: str) -> None:
        if victim in ("redis", "postgres"):
            getattr(self._stack, victim).kill()
        else:
            self._stack.kill(process_of(victim))

    def _restart(self, victim: str) -> None:
        if victim in ("redis", "postgres"):
            getattr(self._stack, victim).start()
        else:
            self._stack.restart(process_of(victim))

    def _judge(
        self, cell: Cell, request: dict[str, Any], vault_id: str, group_id: str, before: int, keys: set[str]
    ) -> Outcome:
        after = self._epoch(vault_id, group_id)
        require(cell, after in (before, before + 1), f"epoch {after} after {before}")
        require(
            cell,
            (after == before + 1) == (request["status"] == "Success"),
            f"{request['state']}, epoch {after}",
        )
        self._members_agree(cell, vault_id, group_id)
        # The proof that the shares are good: deal from them once more.
        if after > before or cell.type == "Refresh":
            again = self._stack.finished(vault_id, self._stack.native(vault_id, "Refresh", group_id))
            require(cell, again["status"] == "Success", f"the shares do not work: {again['state_reason']}")
            self._members_agree(cell, vault_id, group_id)
        require(cell, self._keys(vault_id) == keys, "the root keys have changed")
        return Outcome("new" if after > before else "old", request["state"])

    def _members_agree(self, cell: Cell, vault_id: str, group_id: str) -> None:
        """Every member has the coordinator's epoch in its own store, with the same root keys."""
        epoch = self._epoch(vault_id, group_id)
        path = f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups/{group_id}"
        ids = {holder["tss_node_id"] for holder in self._stack.api.get(path)["key_share_holders"]}
        names = [name for name, node_id in self._stack.node_ids.items() if node_id in ids]
        self._stack.wait_for(
            lambda: all(self._stack.stored_epoch(name, group_id) == epoch for name in names),
            f"{cell}: every member to hold epoch {epoch}",
        )

    def _epoch(self, vault_id: str, group_id: str) -> int:
        path = f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups/{group_id}"
        return int(self._stack.api.get(path)["epoch"])

    def _keys(self, vault_id: str) -> set[str]:
        vault = self._stack.api.get(f"/wallets/mpc/vaults/{vault_id}")
        return {entry["root_pubkey"] for entry in vault["root_pubkeys"]}


def require(cell: Cell, condition: bool, words: str) -> None:
    if not condition:
        raise CellFailed(f"{cell}: {words}")


def process_of(victim: str) -> str:
    """The name of the victim's process in the stack."""
    return victim if victim in SERVERS else f"node-{victim}"


def table(outcomes: dict[Cell, Outcome | Exception]) -> str:
    """The matrix as text: one block a request type, a row a victim, a column a phase."""
    lines = []
    for type in VICTIMS:
        lines += [f"{type:<12}" + "".join(f"{phase:>11}" for phase in PHASES)]
        for victim in VICTIMS[type]:
            row = [outcomes.get(Cell(type, victim, phase)) for phase in PHASES]
            words = (
                "-" if each is None else each.epoch if isinstance(each, Outcome) else "BROKEN" for each in row
            )
            lines += [f"  {victim:<10}" + "".join(f"{word:>11}" for word in words)]
        lines += [""]
    return "\n".join(lines)


def campaign(cells: list[Cell], say: Callable[[str], None]) -> dict[Cell, Outcome | Exception]:
    """Run cells one after the other; a broken one gets a new stack, so that it spoils no other."""
    outcomes: dict[Cell, Outcome | Exception] = {}
    waiting = list(cells)
    while waiting:
        with tempfile.TemporaryDirectory(prefix="quorate-kill-") as folder:
            stack = Stack(Path(folder), own_postgres=True, **SETTINGS)
            try:
                stack.start()
                matrix = KillMatrix(stack)
                while waiting:
                    cell = waiting.pop(0)
                    began = time.monotonic()
                    try:
                        outcomes[cell] = outcome = matrix.run(cell)
                    except (AssertionError, ApiError) as error:
                        outcomes[cell] = error
                        say(f"{cell}: BROKEN: {error}")
                        break
                    say(f"{cell}: {outcome.epoch} ({outcome.state}, {time.monotonic() - began:.1f} s)")
            finally:
                stack.stop()
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/kill-matrix", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name contains this, as in Refresh/worker")
    options = parser.parse_args()
    cells = [cell for cell in all_cells() if options.only in str(cell)]
    began = time.monotonic()
    outcomes = campaign(cells, lambda line: print(line, flush=True))
    broken = [cell for cell, outcome in outcomes.items() if not isinstance(outcome, Outcome)]
    print(f"\n{table(outcomes)}")
    print(
        "new, old: the epoch that is usable afterwards. BROKEN: neither, or something else that was promised."
    )
    print(f"{len(outcomes)} cells, {len(broken)} broken, {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
