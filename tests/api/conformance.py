"""Whether an answer is one that the OpenAPI document promises; asked for each that a test gets in-process."""

import json
import re
from functools import cache
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from config import openapi

_PARAMETER = re.compile(r"\{\w+\}")


def conforms(method: str, path: str, status: int, headers: dict[str, str], body: bytes) -> None:
    """Fails for an answer that the document does not describe: its status, its headers or its body."""
    template = _template(unquote(path))
    if template is None:
        assert status in (400, 404), f"{method} {path}: the document has no such path"
        return
    shown = "get" if method == "HEAD" else method.lower()
    operation = document()["paths"][template].get(shown)
    if operation is None:
        assert status == 405, f"{method} {path}: the document has no such method"
        return
    where = f"{method} {path}: {status}"
    assert str(status) in operation["responses"], f"{where} is not in the document"
    response = _resolved(operation["responses"][str(status)])
    missing = [name for name in response.get("headers", {}) if name.lower() not in headers]
    assert not missing, f"{where}: without {missing}"
    if "application/json" in response.get("content", {}) and method != "HEAD":
        assert headers["content-type"] == "application/json", where
        _validator(template, shown, status).validate(json.loads(body))


@cache
def document() -> dict[str, Any]:
    """The document, once."""
    return openapi.document()


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(_PARAMETER.sub("[0-9A-Za-z_-]{1,64}", path)), path)
        # A path without parameters goes before one whose parameter would take its name.
        for path in sorted(document()["paths"], key=lambda path: path.count("{"))
    ]


def _template(path: str) -> str | None:
    return next((template for pattern, template in _patterns() if pattern.fullmatch(path)), None)


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = document()
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return dict(found)


@cache
def _validator(template: str, method: str, status: int) -> Any:
    response = _resolved(document()["paths"][template][method]["responses"][str(status)])
    schema = response["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": document()["components"]}, validate_formats=True
    )
