"""Log lines for machines: one JSON object a line that says which call, request or ceremony it is about."""

import asyncio
import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from audit import log_context
from config.asgi import application
from config.json_log import JsonFormatter
from tests.tss.nodes import Site, run_job
from tss import driver
from tss.models import JobKind

logger = logging.getLogger("quorate.test")


@pytest.fixture
def lines() -> Iterator[Any]:
    """The JSON objects that the root logger has written."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_line_carries_the_ids_of_its_work(lines: Any) -> None:
    with log_context.about(request_id="r1"), log_context.about(ceremony_id="c1"):
        logger.info("one %s\ntwo", "text")
    logger.info("after")
    first, second = lines()
    assert (first["message"], first["level"], first["logger"]) == ("one text\ntwo", "INFO", "quorate.test")
    assert (first["request_id"], first["ceremony_id"]) == ("r1", "c1")
    assert first["time"].endswith("+00:00")
    assert "request_id" not in second


def test_an_exception_stays_on_one_line(lines: Any) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("it failed")
    (line,) = lines()
    assert line["exception"].startswith("Traceback")
    assert "second" in line["exception"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_call_has_its_id_in_the_answer_and_in_its_lines(lines: Any) -> None:
    answer = asyncio.run(call("/v2/wallets/mpc/vaults"))
    assert answer["status"] == 401
    request_id = dict(answer["headers"])[b"x-request-id"].decode()
    assert len(request_id) == 32
    assert {line["request_id"] for line in lines() if line["logger"] == "quorate.api"} == {request_id}


async def call(path: str) -> dict[str, Any]:
    sent: list[Any] = []
    coming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.Event().wait()  # the client stays
        return coming.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    await application(scope, receive, send)
    return dict(sent[0])


@pytest.mark.django_db
def test_a_jobs_lines_name_what_it_works_on(site: Site, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = site.approved()

    def step(reference: str, lease: Any) -> None:
        logger.info("working")

    monkeypatch.setitem(driver._STEPS, JobKind.START_CEREMONY, step)
    assert run_job(JobKind.START_CEREMONY, request.id)
    (line,) = [line for line in lines() if line["message"] == "working"]
    assert line["tss_request_id"] == request.id
    assert line["job_id"].isdigit()
