"""What a view says about each of its methods: the OpenAPI document (config.openapi) is put together from it.

Answers are described exactly: every field, and no others. Tests hold each answer that they get against the
document, and each query parameter that a view reads, so that neither can drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A query parameter."""

    name: str
    schema: Schema
    description: str
    required: bool = False


@dataclass(frozen=True)
class Operation:
    """A method of a path.

    body: of the JSON object that is sent, None for no body; body_required: False where none need be sent;
    answer: of what comes back, {} for any JSON; names: whether query or body name objects, so that 404 can be
    the answer although the path names none; stream: server-sent events.
    """

    summary: str
    tag: str = "Other"
    query: tuple[Parameter, ...] = ()
    body: Schema | None = None
    body_required: bool = True
    answer: Schema | None = None
    description: str = ""
    names: bool = False
    stream: bool = False


# Schemas in few words.

TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "integer", "description": "Unix milliseconds"}
UUID: Schema = {"type": "string", "format": "uuid"}
HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
NODE_ID: Schema = {"type": "string", "maxLength": 64}
DOCUMENT: Schema = {"type": "object", "description": "A signed document of the nodes' protocol"}


def ref(name: str) -> Schema:
    """A schema among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def answer_object(fields: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object that has all of `fields`, may have those of `optional`, and has no others."""
    return {
        "type": "object",
        "properties": {**fields, **(optional or {})},
        "required": list(fields),
        "additionalProperties": False,
    }


def body_object(fields: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object that must have `fields`; what it has beside these and `optional` is ignored (docs/api.md)."""
    return {
        "type": "object",
        "properties": {**fields, **{name: nullable(schema) for name, schema in (optional or {}).items()}},
        "required": list(fields),
    }


def page_of(name: str, *, total: bool) -> Schema:
    """One page of a list (vaults.api.pagination)."""
    cursors = {"before": TEXT, "after": TEXT}
    pagination = answer_object({**cursors, "total_count": COUNT} if total else cursors)
    return answer_object({"data": array(ref(name)), "pagination": pagination})
