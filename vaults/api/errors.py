"""Every error becomes one body: {error_code, error_message, error_id} and `field` where one is at fault."""

import json
import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults
from rest_framework import exceptions

from vaults.errors import ErrorCode, ServiceError, TooMany
from wire.canonical import CanonicalError

logger = logging.getLogger("quorate.api")

API_PREFIXES = ("/v2", "/node/v1")


@dataclass(frozen=True)
class Answer:
    """An answer as it goes out and as it is stored: HTTP status and JSON bytes."""

    status: int
    body: bytes

    @classmethod
    def of(cls, status: int, value: Any) -> "Answer":
        return cls(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())

    def response(self) -> HttpResponse:
        return HttpResponse(self.body, status=self.status, content_type="application/json")


def is_api_path(path: str) -> bool:
    """Whether errors under this decoded path are JSON."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in API_PREFIXES)


def error_answer(error: ServiceError, *, where: str, cause: BaseException | None = None) -> Answer:
    """The error's answer; its error_id stands in the server log as well.

    where: method and path, for the log; cause: logged with its traceback when the error is ours.
    """
    error_id = uuid.uuid4().hex
    if error.status >= 500:
        logger.error("%s %s: %s", error_id, where, error.message, exc_info=cause)
    else:
        logger.info("%s %s: %d/%d %s", error_id, where, error.status, error.code, error.message)
    body = {"error_code": int(error.code), "error_message": error.message, "error_id": error_id}
    if error.field:
        body["field"] = error.field
    return Answer.of(error.status, body)


def as_service_error(error: Exception) -> ServiceError:
    """What the caller may know about an exception: of one that nobody foresaw only that it happened."""
    match error:
        case ServiceError():
            return error
        case CanonicalError():
            return ServiceError(ErrorCode.INVALID, f"the body is not acceptable JSON: {error}", error.field)
        case exceptions.MethodNotAllowed():
            return ServiceError(ErrorCode.METHOD_UNSUPPORTED, str(error.detail))
        case exceptions.UnsupportedMediaType():
            return ServiceError(ErrorCode.INVALID, "Content-Type must be application/json")
        case exceptions.PermissionDenied() | DjangoPermissionDenied():
            return ServiceError(ErrorCode.FORBIDDEN, str(error) or "not allowed")
        case Http404():
            return ServiceError(ErrorCode.NOT_FOUND, "not found")
        case _:
            message = "internal error; the server's log has it under the error_id"
            return ServiceError(ErrorCode.INTERNAL, message)


def where(request: HttpRequest) -> str:
    """Method and path for logs, printable whatever the caller sent."""
    return f"{request.method} {ascii(request.path)[1:-1]}"


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's hook: what a view raised becomes its answer."""
    return error_response(error, context["request"]._request, allowed=context["view"].allowed_methods)


def error_response(error: Exception, request: HttpRequest, *, allowed: Collection[str]) -> HttpResponse:
    """The answer to what a view raised; allowed: the methods that its path has."""
    response = error_answer(as_service_error(error), where=where(request), cause=error).response()
    if isinstance(error, exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(allowed)
    if isinstance(error, TooMany):
        response["Retry-After"] = str(error.retry_after)
    return response


# Django's own error pages, named by config.urls.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if not is_api_path(request.path):
        return defaults.bad_request(request, exception)
    error = ServiceError(ErrorCode.INVALID, "the request is malformed")
    return error_answer(error, where=where(request)).response()


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if not is_api_path(request.path):
        return defaults.permission_denied(request, exception)
    return error_answer(ServiceError(ErrorCode.FORBIDDEN, "not allowed"), where=where(request)).response()


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if not is_api_path(request.path):
        return defaults.page_not_found(request, exception)
    error = ServiceError(ErrorCode.NOT_FOUND, "there is nothing at this path")
    return error_answer(error, where=where(request)).response()


def server_error(request: HttpRequest) -> HttpResponseBase:
    if not is_api_path(request.path):
        return defaults.server_error(request)
    return error_answer(as_service_error(Exception()), where=where(request)).response()
