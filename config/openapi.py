"""GET /v2/openapi.json: the OpenAPI 3.1 document, from the URL map and from what each view says of itself.

A path that a view forgot to describe is there all the same, with its method, scope and errors.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver

import tss.api.schemas
import vaults.api.schemas
import webhooks.api.schemas
from vaults.api import etags
from vaults.api.async_view import AsyncView
from vaults.api.authentication import KEY_HEADER, NONCE_HEADER, SIGNATURE_HEADER
from vaults.api.base import STATUS
from vaults.api.errors import Answer
from vaults.api.operations import Operation, Schema, ref
from vaults.api.replay import IDEMPOTENCY_HEADER
from vaults.errors import STATUS as ERROR_STATUS
from vaults.errors import ErrorCode

_PREFIX = "v2/"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_JSON = "application/json"
_SECURITY = {"ApiKey": KEY_HEADER, "Nonce": NONCE_HEADER, "Signature": SIGNATURE_HEADER}
_SIGNING = """Every call is signed with the caller's own key, over its exact bytes:

`signature = sign(SHA-256(SHA-256(METHOD "|" path "|" nonce "|" query "|" body)))`

Every answer under /v2 is signed with the site's key, errors and 304 included:

`BIZ-RESP-SIGNATURE = hex(Ed25519(SHA-256(SHA-256(body "|" BIZ-TIMESTAMP))))`

Each GET of a path that is signed also answers HEAD, but the event stream. docs/api.md says the rest."""


class Document(AsyncView):
    """The document itself; anybody may read it."""

    public = True
    operations: ClassVar = {
        "GET": Operation("This document", "About", answer={"type": "object"}),
    }

    async def get(self, request: ASGIRequest, **ids: str) -> HttpResponse:
        return etags.conditional(request, Answer(200, encoded()))


@cache
def encoded() -> bytes:
    """The document as it goes out."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()


def document() -> dict[str, Any]:
    """The document of all paths under /v2."""
    paths: dict[str, dict[str, Any]] = {}
    for path, view in sorted(views(), key=lambda each: each[0]):
        names = _PARAMETER.findall(path)
        paths[_PARAMETER.sub(r"{\1}", path)] = {
            **({"parameters": [_path_parameter(name) for name in names]} if names else {}),
            **{method.lower(): _operation(path, method, view) for method in methods(view)},
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Quorate", "version": settings.VERSION, "description": _SIGNING},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {
                **vaults.api.schemas.SCHEMAS,
                **tss.api.schemas.SCHEMAS,
                **webhooks.api.schemas.SCHEMAS,
            },
            "responses": {str(status): _error(status, codes) for status, codes in _error_codes().items()},
            "headers": _headers(),
            "securitySchemes": {
                name: {"type": "apiKey", "in": "header", "name": header} for name, header in _SECURITY.items()
            },
        },
    }


def views() -> Iterator[tuple[str, Any]]:
    """(path, view class) of all there is under /v2."""
    for path, entry in _patterns(get_resolver(), ""):
        view = getattr(entry.callback, "view_class", None) or getattr(entry.callback, "cls", None)
        if path.startswith(_PREFIX):
            if view is None:
                raise TypeError(f"{path}: only classes of views can be described")
            yield f"/{path}", view


def methods(view: Any) -> list[str]:
    """The methods that the view answers and the document shows."""
    return sorted({*view.scopes, *view.operations})


def _patterns(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, path)
        else:
            yield path, entry


def _operation(path: str, method: str, view: Any) -> dict[str, Any]:
    described = view.operations.get(method) or Operation(view.__name__, answer={}, names=True, body=None)
    scope, public = view.scopes.get(method), getattr(view, "public", False)
    status = STATUS[method]
    parameters = [_query_parameter(parameter) for parameter in described.query]
    shown: dict[str, Any] = {
        "operationId": _name(path, method),
        "summary": described.summary,
        "tags": [described.tag],
    }
    notes = [described.description, f"Scope: `{scope}`." if scope else "", _any_key(scope, public)]
    if description := " ".join(filter(None, notes)):
        shown["description"] = description
    responses: dict[str, Any] = {str(status): _answer(method, described)}
    if method == "GET" and not described.stream:
        parameters.append(_header("If-None-Match", "The ETag of an answer that the caller still has"))
        responses["304"] = {"description": "The caller's answer still holds", "headers": _header_refs("ETag")}
    if described.stream:
        parameters.append(_header("Last-Event-ID", "The number of the last event that arrived"))
    if method in ("POST", "PUT"):
        parameters.append(
            {**_header(IDEMPOTENCY_HEADER, "Names the call, whatever its signature"), "schema": _PRINTABLE}
        )
    if described.body is not None:
        shown["requestBody"] = {
            "required": described.body_required,
            "content": {_JSON: {"schema": described.body}},
        }
    if parameters:
        shown["parameters"] = parameters
    for error in _errors(path, method, described, scope=scope, public=public):
        responses[str(error)] = {"$ref": f"#/components/responses/{error}"}
    shown["responses"] = responses
    shown["security"] = [] if public else [{name: [] for name in _SECURITY}]
    return shown


_PRINTABLE: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}


def _any_key(scope: str | None, public: bool) -> str:
    if public:
        return "Anybody may call it."
    return "" if scope else "Any key may call it."


def _errors(
    path: str, method: str, described: Operation, *, scope: str | None, public: bool
) -> Iterator[int]:
    # 400 also for a Host that is not the site's.
    yield 400
    if not public:
        yield 401
        if scope:
            yield 403
        if described.names or "<" in path:
            yield 404
        if method in ("POST", "PUT"):
            yield 422
        yield 429
    yield 500


def _answer(method: str, described: Operation) -> dict[str, Any]:
    if described.stream:
        return {
            "description": "A stream of events, each signed by itself (docs/api.md)",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    return {
        "description": "The answer" if method == "GET" else "Done",
        "headers": _header_refs(
            "BIZ-TIMESTAMP", "BIZ-RESP-SIGNATURE", *(["ETag"] if method == "GET" else [])
        ),
        "content": {_JSON: {"schema": described.answer if described.answer is not None else {}}},
    }


def _error_codes() -> dict[int, list[ErrorCode]]:
    codes: dict[int, list[ErrorCode]] = {}
    for code, status in ERROR_STATUS.items():
        codes.setdefault(status, []).append(code)
    return codes


def _error(status: int, codes: list[ErrorCode]) -> dict[str, Any]:
    names = ", ".join(f"{int(code)} {code.name.lower().replace('_', ' ')}" for code in codes)
    headers = ["BIZ-TIMESTAMP", "BIZ-RESP-SIGNATURE", *(["Retry-After"] if status == 429 else [])]
    return {
        "description": f"`error_code` {names}",
        "headers": _header_refs(*headers),
        "content": {_JSON: {"schema": ref("Error")}},
    }


def _headers() -> dict[str, Any]:
    texts = {
        "BIZ-TIMESTAMP": "Unix milliseconds",
        "BIZ-RESP-SIGNATURE": "The site's Ed25519 signature of the answer, hex",
        "ETag": "Names this answer; for If-None-Match",
        "Retry-After": "Seconds to wait",
    }
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()}


def _header_refs(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(parameter: Any) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _name(path: str, method: str) -> str:
    """A name for generated clients: get_requests_tss_request_id_explain."""
    return "_".join([method.lower(), *re.findall(r"\w+", _PARAMETER.sub(r"\1", path).removeprefix("/v2"))])
