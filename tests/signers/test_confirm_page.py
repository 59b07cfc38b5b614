"""The node's own confirmation page over real HTTP: who may open it, what it shows and does (R10, A13)."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

import pytest

from signers import standing
from signers.confirm.pages import Pages
from signers.confirm.server import Server
from tests.signers.mailbox import Request
from tests.signers.test_cli import ROOT, ok
from tests.signers.world import World

HOSTILE = "<script>alert(1)</script>\u202e\u202dlive evil p\u0430yment"


class Browser:
    """Talks to the page of node a from another thread; the node works in ours."""

    def __init__(self, world: World) -> None:
        self.server = Server(0)
        self.pages = Pages(world.nodes["a"], self.server.origins)
        self.origin = self.server.origins[0]
        self.cookie = ""
        self._pool = ThreadPoolExecutor(1)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._pool.shutdown()

    def get(self, path: str, **headers: str) -> tuple[HTTPResponse, str]:
        return self._call("GET", path, b"", headers)

    def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> tuple[HTTPResponse, str]:
        return self._call("POST", path, urlencode(form).encode(), {"Origin": self.origin, **(headers or {})})

    def open(self) -> str:
        """Enter the code; the session's form token."""
        response, _ = self.post("/open", code=self.pages.code)
        assert response.status == 303
        self.cookie = response.headers["Set-Cookie"].partition(";")[0]
        return self.pages._token.decode()

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[HTTPResponse, str]:
        answer = self._pool.submit(self._exchange, method, path, body, headers)
        self.server.work(self.pages.respond)
        return answer.result()

    def _exchange(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.server.server_port, timeout=20)
        host = self.origin.removeprefix("http://")
        connection.request(method, path, body, {"Host": host, "Cookie": self.cookie, **headers})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response, text


@pytest.fixture
def browser(world: World) -> Iterator[Browser]:
    made = Browser(world)
    yield made
    made.close()


@pytest.fixture
def request_(world: World) -> Request:
    request = world.open_request(description=HOSTILE)
    world.sync()
    return request


def decided(world: World, request: Request) -> str:
    own = world.store("a").requests.own_decision(request.digest, world.node_id("a"))
    return own.decision if own else ""


def test_a_request_is_shown_and_approved(world: World, browser: Browser, request_: Request) -> None:
    token = browser.open()
    _, listed = browser.get("/")
    assert f"/request/{request_.digest}" in listed
    _, shown = browser.get(f"/request/{request_.digest}")
    assert " ".join(request_.digest[at : at + 4] for at in range(0, 64, 4)) in shown
    assert "KeyGen: make a new root key" in shown
    response, _ = browser.post(f"/request/{request_.digest}/approve", token=token)
    assert response.status == 303
    assert decided(world, request_) == "approve"
    assert [each.node_id for each in request_.decisions.values()] == [world.node_id("a")]
    _, after = browser.get(f"/request/{request_.digest}")
    assert "<form" not in after


def test_a_request_is_rejected_with_a_reason(world: World, browser: Browser, request_: Request) -> None:
    token = browser.open()
    browser.post(f"/request/{request_.digest}/reject", token=token, reason="not mine")
    assert decided(world, request_) == "reject"
    assert request_.decisions[world.node_id("a")].reason == "not mine"


def test_a13_what_the_requester_says_is_only_text(world: World, browser: Browser, request_: Request) -> None:
    record = world.store("a").requests.get(request_.digest)
    assert record is not None
    printed = standing.in_words(world.store("a"), record)
    assert "\u202e" not in printed
    assert "LOOK-ALIKE LETTERS" in printed
    browser.open()
    _, shown = browser.get(f"/request/{request_.digest}")
    assert "<script>" not in shown
    assert "\u202e" not in shown
    assert "LOOK-ALIKE LETTERS" in shown
    assert "p\\u0430yment" in shown


def test_a_refused_request_says_why_and_cannot_be_approved(
    world: World, browser: Browser, request_: Request
) -> None:
    token = browser.open()
    (world.state("a") / "policy.toml").write_text("version = 1\n")
    response, text = browser.post(f"/request/{request_.digest}/approve", token=token)
    assert (response.status, "no_rule" in text) == (409, True)
    assert decided(world, request_) == ""


def test_the_code_opens_it_once(browser: Browser) -> None:
    assert browser.get("/")[0].status == 403
    assert browser.post("/open", code="wrong")[0].status == 403
    browser.open()
    assert browser.get("/")[0].status == 200
    browser.cookie = ""
    assert browser.post("/open", code=browser.pages.code)[0].status == 403
    assert browser.get("/")[0].status == 403


def test_p16_a_get_changes_nothing(world: World, browser: Browser, request_: Request) -> None:
    browser.open()
    for act in ("approve", "reject"):
        assert browser.get(f"/request/{request_.digest}/{act}")[0].status == 405
    assert decided(world, request_) == ""


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (421, {"Host": "evil.example"}),
        (421, {"Host": "127.0.0.1"}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Sec-Fetch-Site": "cross-site"}),
        (403, {"Sec-Fetch-Site": "same-site"}),
        (403, {"Cookie": ""}),
        (403, {"Cookie": "quorate_confirm=guess"}),
    ],
)
def test_p17_other_sites_reach_nothing(
    world: World, browser: Browser, request_: Request, status: int, headers: dict[str, str]
) -> None:
    token = browser.open()
    response, _ = browser.post(f"/request/{request_.digest}/approve", headers, token=token)
    assert response.status == status
    assert decided(world, request_) == ""


def test_p17_a_form_needs_its_token(world: World, browser: Browser, request_: Request) -> None:
    browser.open()
    for token in ("", "guess"):
        assert browser.post(f"/request/{request_.digest}/approve", token=token)[0].status == 403
    assert decided(world, request_) == ""


def test_p17_no_script_runs_and_no_frame_holds_it(browser: Browser) -> None:
    for response, _ in (browser.get("/"), browser.get("/style.css")):
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.slow
def test_the_command_prints_address_and_code(tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    ok(folder, "init")
    key = str(folder.with_suffix(".key"))
    command = [sys.executable, "-m", "signers", "--state", str(folder), "--key-file", key, "confirm-page"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        address = re.fullmatch(r"open   http://(127\.0\.0\.1:\d+)\n", run.stdout.readline())
        code = run.stdout.readline().split()[1]
        assert address is not None
        connection = HTTPConnection(address[1], timeout=20)
        headers = {"Origin": f"http://{address[1]}"}
        connection.request("POST", "/open", urlencode({"code": code}), headers)
        assert connection.getresponse().status == 303
        connection.close()
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 0
        assert code not in run.stderr.read()
