"""What every view of the compatible API has in common: who may call, how it runs, what it answers."""

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from vaults.actors import Actor
from vaults.api import denials, etags, rate_limit, replay
from vaults.api.authentication import asgi_request, credential_of
from vaults.api.body import Body
from vaults.api.errors import Answer, as_service_error
from vaults.api.operations import Operation
from vaults.errors import ErrorCode, ServiceError
from vaults.models import Organisation

STATUS = {"GET": 200, "HEAD": 200, "PUT": 200, "POST": 201}


class Call:
    """One authenticated call."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.credential = credential_of(request)
        self.actor = Actor.of_api_key(self.credential.api_key)
        self.organisation: Organisation = self.credential.api_key.organisation

    def body(self) -> Body:
        """The JSON object that was sent. Raises ServiceError 2003, 2006."""
        if not self._request._request.body:
            raise ServiceError(ErrorCode.MISSING, "the request needs a JSON body")
        return Body(self._request.data)

    def optional_body(self) -> Body:
        """As `body`, an empty object where nothing was sent."""
        return self.body() if self._request._request.body else Body({})

    def query(self, name: str) -> str:
        """A query parameter, "" where absent; the last of several."""
        return self._request.query_params.get(name, "")


class ApiView(APIView):
    """A path; subclasses name a scope for each method they have and answer it in get_/post_/put_ `answer`.

    GET just runs. POST and PUT run once for a signature, in one transaction with their stored answer.
    """

    # Method -> scope, None for any key.
    scopes: ClassVar[dict[str, str | None]] = {}
    # Method -> what the OpenAPI document says about it.
    operations: ClassVar[dict[str, Operation]] = {}

    @property
    def allowed_methods(self) -> list[str]:
        return sorted(self.scopes)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Before authentication: a wrong method is the caller's bug, whoever it is.
        if self._method(request) not in self.scopes:
            raise MethodNotAllowed(request.method or "")
        self.perform_authentication(request)
        # After it: a public key is public, so only what its owner signed may count against it.
        rate_limit.take(credential_of(request).api_key)

    def get(self, request: Request, **ids: str) -> HttpResponse:
        try:
            return etags.conditional(asgi_request(request), self._run(request, ids))
        except Exception as cause:
            error = as_service_error(cause)
            if denials.is_denial(error):
                denials.record(credential_of(request).api_key, asgi_request(request), error)
            raise

    def post(self, request: Request, **ids: str) -> HttpResponse:
        answer = replay.once(asgi_request(request), credential_of(request), lambda: self._run(request, ids))
        return answer.response()

    put = post
    head = get

    def answer_get(self, call: Call, **ids: str) -> Any:
        raise NotImplementedError

    def answer_post(self, call: Call, **ids: str) -> Any:
        raise NotImplementedError

    def answer_put(self, call: Call, **ids: str) -> Any:
        raise NotImplementedError

    def _run(self, request: Request, ids: dict[str, str]) -> Answer:
        self.check_permissions(request)
        method = self._method(request)
        answer = {"GET": self.answer_get, "POST": self.answer_post, "PUT": self.answer_put}[method]
        return Answer.of(STATUS[method], answer(Call(request), **ids))

    @staticmethod
    def _method(request: Request) -> str:
        return "GET" if request.method == "HEAD" else request.method or ""
