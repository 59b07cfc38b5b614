"""Strict parsing: one meaning for every accepted byte string (R8, catalogue A06)."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.canonical import CanonicalError, canonical_bytes, parse_canonical, parse_json


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'{"a":{"b":1,"b":1}}', "b"),
        (b'{"a":NaN}', ""),
        (b'{"a":Infinity}', ""),
        (b'{"a":-Infinity}', ""),
        (b'{"a":1e309}', "a"),
        (b'{"a":9007199254740992}', "a"),
        (b'{"a":[1,-9007199254740992]}', "a[1]"),
        (b'{"a":"\\ud800"}', "a"),
        (b'{"\\udfff":1}', ""),
        ('{"a":"e\u0301"}'.encode(), "a"),
        (b'{"a":1} x', ""),
        (b'{"a":1}{}', ""),
        (b"", ""),
        (b'{"a":', ""),
        (b"\xff\xfe", ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"a":01}', ""),
        (b'{"a":"\x00"}', ""),
    ],
)
def test_refuses_ambiguous_json(data: bytes, field: str) -> None:
    with pytest.raises(CanonicalError) as caught:
        parse_json(data)
    assert caught.value.field == field


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_a06_deep_nesting_costs_little(data: bytes) -> None:
    with pytest.raises(CanonicalError, match="nested"):
        parse_json(data)


def test_brackets_inside_strings_do_not_count() -> None:
    assert parse_json(json.dumps({"a": '[{"' * 100}).encode()) == {"a": '[{"' * 100}


def test_a06_oversized_body_is_refused_before_it_is_read() -> None:
    begun = time.process_time()
    with pytest.raises(CanonicalError, match="larger"):
        parse_json(b" " * 50_000_000)
    assert time.process_time() - begun < 1.0


def test_huge_integer_literal_is_refused() -> None:
    with pytest.raises(CanonicalError):
        parse_json(b'{"a":' + b"9" * 100_000 + b"}")


@pytest.mark.parametrize("data", [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1.0}', b'{"a":"\\u0041"}'])
def test_signed_json_has_one_form(data: bytes) -> None:
    with pytest.raises(CanonicalError, match="canonical"):
        parse_canonical(data)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(max_codepoint=0x2FF)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_canonical_form_round_trips(value: object) -> None:
    try:
        encoded = canonical_bytes(value)
    except CanonicalError:
        return  # text that is not NFC
    assert parse_canonical(encoded) == value


@pytest.mark.parametrize("unit", [b'\\"', b"\\\\", b'"[', b"\\", b"["])
def test_n06_a06_the_time_grows_with_the_length_only(unit: bytes) -> None:
    """A string that never ends was once scanned anew from each quote in it: minutes for a megabyte."""
    data = b'"' + unit * ((1 << 20) // len(unit) - 1)
    began = time.perf_counter()
    with pytest.raises(CanonicalError):
        parse_json(data)
    assert time.perf_counter() - began < 5
