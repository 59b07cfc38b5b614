"""Request signatures: the vendor's worked example, what an honest client may send, and what nobody may."""

from datetime import timedelta

import pytest
from coincurve import PrivateKey
from django.utils import timezone

from audit.models import AuditRow
from tests.api.client import Client, SignedCall, double_sha256, now_ms, send
from tests.api.conftest import ACTOR, Tenant
from vaults import services
from vaults.api.signatures import SignedParts, verify
from vaults.models import ApiKey, SignedRequest
from vaults.scopes import ALL_SCOPES

# specs of the vendor's API, worked example: seed, key, nonce and signatures come from its own SignHelper.
SEED = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
KEY = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
SECP256K1_KEY = "036d6caac248af96f6afa7f904f550253a0f3ef3f5aa2fe6838a95b216691468e2"
NONCE = "1720690000123"
GET_SIGNATURE = (
    "a078799b6b64877946c0b60bdc8265cbda193b02e6826d4a7b443232c27fe4fe"
    "bcd754cff0e40b04fd9b707cee2df60776fd941cc6a4b4293b529ec926ebe701"
)
POST_SIGNATURE = (
    "0668a9f2e147f85700e123be0ce225c1c9ba6b4ec54627b059f7a9bd976a2ff9"
    "a86b94df188e0cef265ffbc8da1d88dc7c44ae0d0ef4622835bc9d2828bf5001"
)
GET_DIGEST = "b0deb5024e375f8f6482c5544ba1a088600cc600f0ecb837aaf895d4a955a371"
POST_DIGEST = "0f8f50151ae2af7786d71f9fd401447f3616cc0babab66359e6ec5ccbd804d53"

_POST_PATH = "/v2/wallets/mpc/vaults/f47ac10b-58cc-4372-a567-0e02b2c3d479/tss_requests"
GET = SignedParts(
    "GET",
    b"/v2/wallets/mpc/vaults",
    "/v2/wallets/mpc/vaults",
    NONCE,
    b"vault_type=Org-Controlled&limit=10",
    b"",
)
POST = SignedParts(
    "POST",
    _POST_PATH.encode(),
    _POST_PATH,
    NONCE,
    b"",
    b'{"type": "KeyGen", "target_key_share_holder_group_id": "a1bf161f-8b60-4f61-9c35-6434b8654437", '
    b'"description": "first keygen"}',
)

INFO = "/developers/api_key_info"


@pytest.mark.parametrize(
    ("parts", "digest", "signature"), [(GET, GET_DIGEST, GET_SIGNATURE), (POST, POST_DIGEST, POST_SIGNATURE)]
)
def test_worked_example_ed25519(parts: SignedParts, digest: str, signature: str) -> None:
    assert [double_sha256(text).hex() for text in parts.candidates()] == [digest]
    assert verify(bytes.fromhex(KEY), bytes.fromhex(signature), parts)
    for position in range(0, 128, 16):
        flipped = f"{int(signature[position], 16) ^ 1:x}"
        bad = signature[:position] + flipped + signature[position + 1 :]
        assert not verify(bytes.fromhex(KEY), bytes.fromhex(bad), parts)


def test_worked_example_secp256k1() -> None:
    private = PrivateKey(bytes.fromhex(SEED))
    assert private.public_key.format().hex() == SECP256K1_KEY
    signature = private.sign(bytes.fromhex(GET_DIGEST), hasher=None)
    assert verify(bytes.fromhex(SECP256K1_KEY), signature, GET)
    assert not verify(bytes.fromhex(SECP256K1_KEY), signature, POST)


def test_secp256k1_signature_has_one_form_only() -> None:
    signature = PrivateKey(bytes.fromhex(SEED)).sign(bytes.fromhex(GET_DIGEST), hasher=None)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r_length = signature[3]
    s = int.from_bytes(signature[6 + r_length :], "big")
    high = (order - s).to_bytes(33, "big")  # the leading zero keeps the number positive
    body = signature[2 : 4 + r_length] + b"\x02\x21" + high
    malleated = b"\x30" + bytes([len(body)]) + body
    assert not verify(bytes.fromhex(SECP256K1_KEY), malleated, GET)
    assert not verify(bytes.fromhex(SECP256K1_KEY), signature + b"\x00", GET)


def test_both_curves_call(tenant: Tenant, other: Tenant) -> None:
    for user, curve in ((tenant, "ED25519"), (other, "SECP256K1")):
        reply = user.client.get(INFO)
        assert reply.status == 200
        assert (reply.json["key"], reply.json["curve_type"]) == (user.client.public_key, curve)


def test_go_sdk_signs_the_decoded_path(tenant: Tenant) -> None:
    call = tenant.client.sign("GET", "/wallets/mpc/vaults/a b")
    encoded = SignedCall("GET", "/v2/wallets/mpc/vaults/a%20b", "", b"", call.headers)
    assert send(encoded).status == 404  # a 404 of the resolver needs no signature ...
    vault_id = tenant.vault()
    call = tenant.client.sign("GET", f"/wallets/mpc/vaults/{vault_id}")
    encoded = SignedCall(
        "GET", f"/v2/wallets/mpc/vaults/%{ord(vault_id[0]):02x}{vault_id[1:]}", "", b"", call.headers
    )
    assert send(encoded).status == 200  # ... this answer does


def test_empty_object_is_signed_as_nothing(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    call = tenant.client.sign("PUT", f"/wallets/mpc/vaults/{vault_id}", body=b"{}", signed_body=b"")
    assert tenant.client.send(call).error == (400, 2003, "name")
    call = tenant.client.sign("PUT", f"/wallets/mpc/vaults/{vault_id}", body=b"{ }", signed_body=b"")
    assert tenant.client.send(call).error == (401, 2023, "")


@pytest.mark.parametrize("header", ["Biz-Api-Key", "Biz-Api-Nonce", "Biz-Api-Signature"])
def test_missing_header_is_named(tenant: Tenant, header: str) -> None:
    call = tenant.client.sign("GET", INFO)
    del call.headers[header]
    reply = send(call)
    assert reply.error == (401, 2022, "")
    assert header.upper() in reply.json["error_message"]


def test_a12_altered_requests_are_refused(tenant: Tenant) -> None:
    """A12: path, query, body, method or nonce changed after signing."""
    vault_id = tenant.vault()
    path = f"/wallets/mpc/vaults/{vault_id}"
    good = tenant.client.sign("PUT", path, body={"name": "new name"})
    altered = [
        SignedCall("POST", f"/v2{path}", "", good.body, good.headers),
        SignedCall("PUT", f"/v2{path}x", "", good.body, good.headers),
        SignedCall("PUT", f"/v2{path}", "a=b", good.body, good.headers),
        SignedCall("PUT", f"/v2{path}", "", b'{"name": "New name"}', good.headers),
        SignedCall("PUT", f"/v2{path}", "", good.body + b" ", good.headers),
        SignedCall("PUT", f"/v2{path}", "", b"", good.headers),
        SignedCall("PUT", f"/v2{path}", "", good.body, good.headers | {"Biz-Api-Nonce": str(now_ms() + 1)}),
        SignedCall("PUT", f"/v2{path}", "", good.body, good.headers | {"Biz-Api-Nonce": "x"}),
        SignedCall("PUT", f"/v2{path}", "", good.body, good.headers | {"Biz-Api-Signature": "00" * 64}),
        SignedCall("PUT", f"/v2{path}", "", good.body, good.headers | {"Biz-Api-Signature": "zz"}),
    ]
    # POST on this path does not exist, which is told before anything else.
    assert [send(call).status for call in altered] == [405] + [401] * 9
    assert tenant.client.get(path).json["name"] != "new name"
    assert tenant.client.send(good).status == 200


def test_a12_separator_cannot_move_between_parts(tenant: Tenant) -> None:
    """A12: one signature, two readings: the body's text moved into the query."""
    call = tenant.client.sign("POST", "/wallets/mpc/vaults", query="a=1", body=b"x|{}")
    moved = SignedCall("POST", call.path, "a=1|x", b"{}", call.headers)
    assert send(moved).error[:2] == (401, 2023)


def test_a12_clock_and_window(tenant: Tenant) -> None:
    """A12: a replay after the window, a clock six minutes ahead; the table of signatures stays bounded."""
    for skew in (-360_000, 360_000):
        call = tenant.client.sign("POST", "/wallets/mpc/vaults", nonce=now_ms() + skew, body={"name": "late"})
        reply = tenant.client.send(call)
        assert reply.error == (401, 2023, "")
        told = int(reply.json["error_message"].split(" is ")[1].split(" ms")[0])
        assert abs(told - 360_000) < 10_000
    assert not SignedRequest.objects.exists()
    assert tenant.client.send(tenant.client.sign("GET", INFO, nonce=now_ms() - 100_000)).status == 200


def test_a12_header_case_does_not_matter(tenant: Tenant) -> None:
    call = tenant.client.sign("GET", INFO)
    shouted = {name.upper(): value.upper() for name, value in call.headers.items() if name != "Content-Type"}
    assert send(SignedCall("GET", call.path, "", b"", shouted)).status == 200


def test_unknown_key(tenant: Tenant) -> None:
    assert Client("11" * 32).get(INFO).error == (401, 2024, "")


def test_revoked_expired_and_foreign_address(tenant: Tenant) -> None:
    services.revoke_api_key(actor=ACTOR, api_key=tenant.api_key)
    reply = tenant.client.get(INFO)
    assert reply.error == (401, 2024, "")
    assert "revoked" in reply.json["error_message"]
    key = services.generate_api_key(
        actor=ACTOR,
        organisation=tenant.organisation,
        name="office",
        scopes=ALL_SCOPES,
        valid_ips=["192.0.2.0/24", "2001:db8::1"],
    )
    for address, status in (("192.0.2.7", 200), ("2001:db8::1", 200), ("192.0.3.7", 401), ("127.0.0.1", 401)):
        assert Client(key.secret, address=address).get(INFO).status == status
    ApiKey.objects.filter(pk=key.api_key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "expired" in Client(key.secret, address="192.0.2.7").get(INFO).json["error_message"]


def test_denied_calls_of_known_keys_are_audited(tenant: Tenant) -> None:
    before = AuditRow.objects.count()
    bad = tenant.client.sign("GET", INFO, query="x=1")
    for _ in range(3):
        send(SignedCall("GET", bad.path, "", b"", bad.headers))
    # Anybody can send bad signatures in the name of a key, so they are rationed.
    assert AuditRow.objects.count() == before + 1
    services.revoke_api_key(actor=ACTOR, api_key=tenant.api_key)
    tenant.client.get(INFO)
    tenant.client.get(INFO)
    rows = list(AuditRow.objects.order_by("sequence").values_list("act", "subject"))[before:]
    denied = ("api.denied", f"GET /v2{INFO}")
    assert rows[0] == denied
    assert rows[1][0] == "api_key.revoked"
    # One that was captured while the key was good could be sent for ever as well.
    assert rows[2:] == [denied]
