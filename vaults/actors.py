"""Who does something: every service call names its actor, and every audit row records it."""

from dataclasses import dataclass

from vaults.models import ApiKey, Member, Node, Organisation


@dataclass(frozen=True)
class Actor:
    """label, for the audit log: "api_key:<id>", "member:<id>", "node:<id>" or "system:<what>"."""

    label: str
    organisation: Organisation | None = None
    member: Member | None = None
    api_key: ApiKey | None = None

    @classmethod
    def of_api_key(cls, api_key: ApiKey) -> "Actor":
        return cls(f"api_key:{api_key.id}", api_key.organisation, api_key.member, api_key)

    @classmethod
    def of_member(cls, member: Member) -> "Actor":
        return cls(f"member:{member.id}", member.organisation, member)

    @classmethod
    def of_node(cls, node: Node) -> "Actor":
        return cls(f"node:{node.tss_node_id}", node.organisation)

    @classmethod
    def system(cls, name: str) -> "Actor":
        return cls(f"system:{name}")
