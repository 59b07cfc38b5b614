"""A small client of the compatible API: signs requests as the vendor's SDK does and verifies every answer."""

import json
import time
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from nacl.signing import SigningKey, VerifyKey


class ApiError(Exception):
    """An error answer: HTTP status and the body's error_code, error_message, error_id, field."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body.get('error_code')}: {body.get('error_message')}")
        self.status = status
        self.body = body


class Api:
    """base_url: with /v2, no slash at the end.

    Secret: Ed25519 seed, hex; response_key: Ed25519 public key, hex.
    """

    def __init__(self, base_url: str, secret: str, response_key: str) -> None:
        self._base_url = base_url
        self._prefix = urlsplit(base_url).path
        self._key = SigningKey(bytes.fromhex(secret))
        self._response_key = VerifyKey(bytes.fromhex(response_key))
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=30))

    def get(self, path: str, **query: str) -> Any:
        return self._call("GET", path, query, None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("POST", path, {}, body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("PUT", path, {}, body)

    def _call(self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None) -> Any:
        encoded_query = urlencode(query)
        content = b"" if body is None else json.dumps(body).encode()
        nonce = str(time.time_ns() // 1_000_000)
        to_sign = "|".join((method, self._prefix + path, nonce, encoded_query, content.decode()))
        headers = {
            "Biz-Api-Key": self._key.verify_key.encode().hex(),
            "Biz-Api-Nonce": nonce,
            "Biz-Api-Signature": self._key.sign(_double_sha256(to_sign.encode())).signature.hex(),
            "Content-Type": "application/json",
        }
        url = self._base_url + path + (f"?{encoded_query}" if encoded_query else "")
        response = self._pool.request(method, url, body=content, headers=headers)
        timestamp = response.headers["BIZ-TIMESTAMP"]
        signature = bytes.fromhex(response.headers["BIZ-RESP-SIGNATURE"])
        self._response_key.verify(_double_sha256(response.data + b"|" + timestamp.encode()), signature)
        answer = json.loads(response.data)
        if response.status >= 400:
            raise ApiError(response.status, answer)
        return answer


def _double_sha256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()
