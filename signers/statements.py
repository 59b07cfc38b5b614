"""What this node and others have signed about share sets outside of a ceremony (R26, R28)."""

from collections.abc import Iterable

from signers.database import Database
from wire.canonical import canonical_bytes, parse_json
from wire.set_statement import ABANDONED, SetStatement


class Statements:
    """Set statements, the own ones until the coordinator has them; callers verify signatures first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, statement: SetStatement, *, own: bool) -> None:
        """Keep a statement; the first about a set and state stays."""
        self._database.execute(
            """INSERT INTO statements (session_id, node_id, state, group_id, statement, delivered)
            VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
            (
                statement.session_id.hex(),
                statement.node_id,
                statement.state,
                statement.group_id,
                canonical_bytes(statement.to_json()).decode(),
                int(not own),
            ),
        )

    def abandoned_by(self, session_id: str) -> frozenset[str]:
        """Whose statement says that it abandoned the set of this ceremony."""
        rows = self._database.rows(
            "SELECT node_id FROM statements WHERE session_id = ? AND state = ?", (session_id, ABANDONED)
        )
        return frozenset(row[0] for row in rows)

    def abandoned_in(self, group_id: str) -> list[SetStatement]:
        """All that is known to be abandoned in a group, the latest first."""
        rows = self._database.rows(
            "SELECT statement FROM statements WHERE group_id = ? AND state = ?", (group_id, ABANDONED)
        )
        found = [SetStatement.from_json(parse_json(row[0].encode())) for row in rows]
        return sorted(found, key=lambda each: (-each.epoch, -each.time, each.node_id))

    def undelivered(self) -> list[SetStatement]:
        rows = self._database.rows(
            "SELECT statement FROM statements WHERE delivered = 0 ORDER BY session_id, state"
        )
        return [SetStatement.from_json(parse_json(row[0].encode())) for row in rows]

    def mark_delivered(self, statements: Iterable[SetStatement]) -> None:
        for each in statements:
            self._database.execute(
                "UPDATE statements SET delivered = 1 WHERE session_id = ? AND node_id = ? AND state = ?",
                (each.session_id.hex(), each.node_id, each.state),
            )
