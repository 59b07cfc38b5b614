"""From the anchor's root key to an address: the verifier derives it alone (R3)."""

import json

import pytest

from mpc.xpub import ExtendedPublicKey, parse_path
from tests.verifier.story import vault
from verifier.quorate_verify import Fault, addresses, verify

pytestmark = pytest.mark.slow

REQUEST = json.dumps(vault().documents["KeyGen"])
ANCHOR = vault().anchor().encode().decode()


def root(curve: str) -> ExtendedPublicKey:
    (key,) = (each for each in vault().anchor().root_keys if each.curve == curve)
    return ExtendedPublicKey(curve, key.root_key, key.chain_code)


def child(path: str) -> ExtendedPublicKey:
    return root("secp256k1").derive(parse_path(path))


def fault_of(path: str, *, address: str | None = None, xpub: str | None = None) -> Fault | None:
    _, fault = verify(REQUEST, ANCHOR, path=path, address=address, xpub=xpub)
    return fault


@pytest.mark.parametrize("path", ["m", "m/0", "m/84/0/2147483647"])
def test_r3_every_kind_of_address_at_a_path_is_known(path: str) -> None:
    key = child(path)
    assert fault_of(path, xpub=key.encode()) is None
    for address in addresses(key.key).values():
        assert fault_of(path, address=address) is None


def test_an_ethereum_address_may_do_without_its_checksum_but_not_have_a_wrong_one() -> None:
    address = addresses(child("m/0").key)["Ethereum"]
    assert fault_of("m/0", address=address.lower()) is None
    assert fault_of("m/0", address="0x" + address[2:].swapcase()) is not None


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("m/1", addresses(child("m/0").key)["Bitcoin P2PKH"]),
        ("m", addresses(child("m/0").key)["Ethereum"]),
        ("m/0", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"),
        ("m/0", ""),
    ],
    ids=["another path", "the root", "another key", "nothing"],
)
def test_r3_an_address_of_another_key_or_path_is_found(path: str, address: str) -> None:
    fault = fault_of(path, address=address)
    assert fault is not None
    assert fault.what == "address"


@pytest.mark.parametrize("at", [0, 2, 20, -1])
def test_r3_one_changed_character_of_an_address_is_found(at: int) -> None:
    for address in addresses(child("m/0").key).values():
        changed = list(address)
        changed[at] = "q" if changed[at] != "q" else "p"
        fault = fault_of("m/0", address="".join(changed))
        assert fault is not None
        assert fault.what == "address"


def test_r3_an_extended_public_key_of_another_path_is_found() -> None:
    for path, xpub in (("m", child("m/0")), ("m/0", child("m")), ("m/0", root("ed25519"))):
        fault = fault_of(path, xpub=xpub.encode())
        assert fault is not None
        assert fault.what == "xpub"


def test_an_ed25519_root_is_compared_and_nothing_below_it() -> None:
    assert fault_of("m", xpub=root("ed25519").encode()) is None
    assert fault_of("m/0", xpub=root("ed25519").child(0).encode()) is not None


def test_nothing_is_said_of_an_address_without_an_anchor() -> None:
    _, fault = verify(REQUEST, None, is_open=True, address=addresses(child("m").key)["Ethereum"])
    assert fault is not None
    assert fault.what == "address"
