"""The encoding is injective and its reader strict: no two meanings for one byte string, no two byte
strings for one meaning.
"""

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mpc.encoding import Reader, Writer, encode_fields, parse_record, tagged_hash
from mpc.errors import EncodingError

field_lists = st.lists(st.binary(max_size=6), max_size=4)
tags = st.text(alphabet="ab/", max_size=4)


def test_known_answer_of_the_tagged_hash() -> None:
    preimage = bytes.fromhex("0003") + b"a/b" + bytes.fromhex("00000002000000017800000000")
    assert encode_fields("a/b", b"x", b"") == preimage
    assert tagged_hash("a/b", b"x", b"") == hashlib.sha256(preimage).digest()


@given(tags, field_lists, tags, field_lists)
def test_different_tags_or_fields_never_encode_alike(
    tag: str, fields: list[bytes], other_tag: str, other_fields: list[bytes]
) -> None:
    assume((tag, fields) != (other_tag, other_fields))
    assert encode_fields(tag, *fields) != encode_fields(other_tag, *other_fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((b"ab", b"c"), (b"a", b"bc")),
        ((b"",), ()),
        ((b"a", b""), (b"a",)),
        ((b"\x00\x00\x00\x01a",), (b"a",)),
    ],
)
def test_shifted_boundaries_give_another_hash(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    assert tagged_hash("t", *one) != tagged_hash("t", *other)


def _read(reader: Reader) -> tuple[int, int, int, int, bytes, bytes, str, tuple[bytes, ...]]:
    return (
        reader.u8(),
        reader.u16(),
        reader.u32(),
        reader.u64(),
        reader.fixed(3),
        reader.variable(5),
        reader.text(5),
        reader.vector(2, 2),
    )


RECORD = (
    Writer()
    .u8(1)
    .u16(2)
    .u32(3)
    .u64(2**63)
    .fixed(b"abc", 3)
    .variable(b"de", 5)
    .text("fg", 5)
    .vector([b"hi", b"jk"], 2, 2)
).done()


def test_a_record_reads_back_as_written() -> None:
    assert parse_record(RECORD, 100, _read) == (1, 2, 3, 2**63, b"abc", b"de", "fg", (b"hi", b"jk"))


def test_every_truncation_and_any_extension_is_refused() -> None:
    for size in range(len(RECORD)):
        with pytest.raises(EncodingError):
            parse_record(RECORD[:size], 100, _read)
    with pytest.raises(EncodingError, match="after its end"):
        parse_record(RECORD + b"\x00", 100, _read)


def test_14_an_oversize_record_is_refused_before_it_is_read() -> None:
    with pytest.raises(EncodingError, match="longer than 10"):
        parse_record(RECORD, 10, _read)


def test_a_length_beyond_its_cap_is_refused_though_the_bytes_are_there() -> None:
    with pytest.raises(EncodingError, match="note: longer than 4"):
        Reader(Writer().variable(b"12345", 5).done(), 100).variable(4, "note")


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x02a\n", b"\x00\x00\x00\x01\xff"])
def test_text_is_printable_ascii(data: bytes) -> None:
    with pytest.raises(EncodingError, match="ASCII"):
        Reader(data, 100).text(10)


@pytest.mark.parametrize("value", [-1, 256, True])
def test_the_writer_refuses_integers_that_do_not_fit(value: int) -> None:
    with pytest.raises(EncodingError, match="threshold"):
        Writer().u8(value, "threshold")


def test_the_writer_refuses_wrong_sizes_and_counts() -> None:
    with pytest.raises(EncodingError):
        Writer().fixed(b"ab", 3)
    with pytest.raises(EncodingError):
        Writer().variable(b"abc", 2)
    with pytest.raises(EncodingError):
        Writer().vector([b"a"], 2, 1)
    with pytest.raises(EncodingError):
        Writer().text("\n", 5)
