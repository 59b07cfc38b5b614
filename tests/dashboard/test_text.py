"""A13: text that somebody else wrote shows as what it is."""

import pytest
from django.template import Context, Template
from django.test import Client as Browser

from dashboard.text import MAX_SHOWN, neutral
from tests.dashboard.test_pages import read
from tests.tss.nodes import Site


def shown(text: str) -> str:
    return Template("{% load quorate %}{{ text|neutral }}").render(Context({"text": text}))


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("pay \u202eecila\u202c now", "pay [U+202E]ecila[U+202C] now"),
        ("Treas\u200bury", "Treas[U+200B]ury"),
        ("p\u0430ypal", "p[U+0430]ypal"),
        ("\u0391lice", "[U+0391]lice"),
        ("\uff21lice", "[U+FF21]lice"),
        ("\U0001d5d4lice", "[U+1D5D4]lice"),
        ("a\u0301\u0301\u0301\u0301b", "a\u0301\u0301[U+0301][U+0301]b"),
        ("one\u2028two", "one[U+2028]two"),
        ("no\u00a0break", "no[U+00A0]break"),
        ("a\x07b", "a[U+0007]b"),
    ],
)
def test_a13_what_hides_or_looks_like_others_is_shown_by_number(text: str, instead: str) -> None:
    result = neutral(text)
    assert "".join(piece.text for piece in result.pieces) == instead
    assert any(piece.suspicious for piece in result.pieces)
    assert result.warnings
    assert "<mark>[U+" in shown(text)


@pytest.mark.parametrize(
    "text", ["Quarterly refresh, as agreed.\nAnn", "Zürich: 3 für 5, ça va?", "100 %", ""]
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    result = neutral(text)
    assert "".join(piece.text for piece in result.pieces) == text
    assert not result.warnings


def test_a_whole_word_of_another_alphabet_is_readable_but_warned_of() -> None:
    result = neutral("Кошелёк Ann")
    assert "".join(piece.text for piece in result.pieces) == "Кошелёк Ann"
    assert len(result.warnings) == 1


def test_a13_markup_is_escaped_and_length_is_capped() -> None:
    assert shown("<script>alert(1)</script>") == "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>"
    result = neutral("x" * (MAX_SHOWN + 1))
    assert sum(len(piece.text) for piece in result.pieces) == MAX_SHOWN
    assert f"{MAX_SHOWN} of {MAX_SHOWN + 1}" in result.warnings[0]


def test_a13_the_requesters_note_cannot_write_on_the_page(site: Site, ann: Browser) -> None:
    note = "<img src=x onerror=alert(1)> \u202eevorppa\u202c p\u0430y"
    request = site.request(description=note)
    page = read(ann, "request", request.id)
    assert "Unverified note of the requester" in page
    assert "<img src=x" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; <mark>[U+202E]</mark>evorppa" in page
    assert "change the writing direction" in page
    inbox = read(ann, "inbox")
    assert "onerror" not in inbox
