"""The whole API by its own document: no 5xx, and no answer that the document does not describe.

schemathesis makes the cases, good ones and bad ones, of every operation; each is signed over its final bytes,
so that what is tried is what lies behind the signature. Every second one names objects that exist.
`bin/fuzz-api` runs the campaign, bin/test a short version.
"""

import contextlib
import itertools
import os
import secrets
from collections import Counter
from typing import Any

import pytest
import requests
import schemathesis
from django.conf import LazySettings
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tests.api.client import SignedCall
from tests.api.conformance import document
from tests.api.conftest import Tenant
from tests.api.test_tenants import ids_of

SITE = "http://127.0.0.1"
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
# The same id under its names in bodies.
IN_BODIES = {
    "target_key_share_holder_group_id": "key_share_holder_group_id",
    "key_share_holder_group_id": "key_share_holder_group_id",
    "target_group_id": "key_share_holder_group_id",
    "source_group_id": "key_share_holder_group_id",
    "new_tss_node_id": "tss_node_id",
    "tss_node_id": "tss_node_id",
    "project_id": "project_id",
}


class Fuzz:
    """Sends cases as one tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._ids = ids_of(tenant)
        self._turn = itertools.count()
        self.statuses: Counter[int] = Counter()

    def send(self, case: Any) -> None:
        if next(self._turn) % 2 == 0:
            self._name_objects(case)
        prepared = requests.Request(**_final(case)).prepare()
        path, _, query = prepared.path_url.partition("?")
        body: Any = prepared.body or b""
        content = body.encode() if isinstance(body, str) else bytes(body)
        signed = self._tenant.client.sign(
            case.method.upper(), path.removeprefix("/v2"), query=query, body=content
        )
        headers = {name: value for name, value in prepared.headers.items() if not name.startswith("BIZ-")}
        headers = {
            name: value for name, value in headers.items() if name.lower() not in ("content-length", "host")
        }
        call = SignedCall(signed.method, signed.path, query, content, {**_text(headers), **signed.headers})
        # Checks signature, status, headers and body of the answer.
        reply = self._tenant.client.send(call)
        assert reply.status < 500, (call, reply.body)
        assert reply.status != 401, (call, reply.body)
        self.statuses[reply.status] += 1

    def _name_objects(self, case: Any) -> None:
        case.path_parameters = {
            name: self._ids.get(name, value) for name, value in (case.path_parameters or {}).items()
        }
        if isinstance(case.body, dict):
            case.body = {
                name: self._ids[IN_BODIES[name]] if name in IN_BODIES else value
                for name, value in case.body.items()
            }


def _final(case: Any) -> dict[str, Any]:
    kwargs = case.as_transport_kwargs(base_url=SITE)
    return {
        name: value
        for name, value in kwargs.items()
        if name in requests.Request.__init__.__code__.co_varnames
    }


def _text(headers: dict[Any, Any]) -> dict[str, str]:
    return {
        name if isinstance(name, str) else name.decode("latin-1"): value
        if isinstance(value, str)
        else value.decode("latin-1")
        for name, value in headers.items()
    }


def fuzz(tenant: Tenant, *, each: int, number: int) -> Counter[int]:
    """`each` cases of every operation in each mode; what was answered, by status."""
    runner = Fuzz(tenant)
    schema = schemathesis.openapi.from_dict(document())
    schema.config.update(base_url=SITE)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        for mode in MODES:
            strategy = operation.as_strategy(generation_mode=mode)
            run = settings(
                max_examples=each,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(seed(number)(given(strategy)(runner.send)))
            # Of an operation that takes nothing there is no bad case.
            nothing = contextlib.suppress(Unsatisfiable)
            with nothing if mode is GenerationMode.NEGATIVE else contextlib.nullcontext():
                run()
    return runner.statuses


@pytest.fixture
def unlimited(settings: LazySettings) -> None:
    settings.QUORATE = settings.QUORATE | {"API_RATE": 0, "STREAM_S": 0}


@pytest.mark.slow
@pytest.mark.usefixtures("unlimited")
def test_every_operation_well_and_badly(tenant: Tenant) -> None:
    statuses = fuzz(tenant, each=1, number=20_261_127)
    assert statuses.total() >= 90
    assert {200, 400, 404} <= set(statuses)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("unlimited")
def test_every_operation_many_times(tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    """QUORATE_FUZZ_SEED draws the cases of an earlier run again; QUORATE_FUZZ_EACH: cases of each kind."""
    number = int(os.environ.get("QUORATE_FUZZ_SEED") or secrets.randbelow(2**32))
    each = int(os.environ.get("QUORATE_FUZZ_EACH") or 100)
    with capsys.disabled():
        print(f"\nseed {number}")
        statuses = fuzz(tenant, each=each, number=number)
        shown = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        print(f"{statuses.total()} cases, every answer as documented, no 5xx ({shown})")
    assert statuses.total() >= 5000 or "QUORATE_FUZZ_EACH" in os.environ
