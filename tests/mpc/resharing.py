"""One source set, and one reshare of it that has every kind of participant.

The source: nodes 1, 2, 3 hold shares 1, 2, 3 of a 2-of-3. The reshare: to a 2-of-3 of nodes 2, 4, 5, with the
holders of shares 1 and 2 as dealers.
"""

import pytest

from mpc.errors import FaultyParticipant
from tests.mpc.ceremony import Ceremony, complete, reshare

MAIN = complete(2, 3)
NODES = (2, 4, 5)
# Indices in the reshare: node 2 deals and receives, nodes 4 and 5 only receive, node 1 only deals.
BOTH, RECEIVER, OTHER, PURE = 1, 2, 3, 4
DEALERS = (BOTH, PURE)
RECEIVERS = (BOTH, RECEIVER, OTHER)


def mixed() -> Ceremony:
    return reshare(MAIN, 2, NODES, (1, 2))


def assert_blamed(ceremony: Ceremony, number: int, index: int, code: str) -> None:
    """All others and the keeper of the mailbox name the culprit; nobody advances, old shares stay good."""
    for receiver in ceremony.context.others(index):
        machine = ceremony.machines[receiver]
        state = machine.to_bytes()
        with pytest.raises(FaultyParticipant) as caught:
            machine.receive(ceremony.inbox(receiver, number))
        assert (caught.value.index, caught.value.code) == (index, code)
        assert machine.to_bytes() == state
    assert ceremony.culprit() == (index, code)
    assert not ceremony.certificates
    for share in MAIN.shares.values():
        share.verify()
