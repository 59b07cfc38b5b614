"""Text that somebody else wrote, made safe to look at (A13).

Templates escape it; here characters that look like others, or that reorder or hide what stands beside them,
become visible.
"""

import unicodedata
from dataclasses import dataclass
from itertools import groupby

MAX_SHOWN = 600
_COMMON = "COMMON"
# More marks than this on one letter are there to cover its neighbours.
_MAX_MARKS = 2


@dataclass(frozen=True)
class Piece:
    """A run of text; suspicious: it stands for characters that would not look like what they are."""

    text: str
    suspicious: bool


@dataclass(frozen=True)
class Neutral:
    """pieces: what to show, in order; warnings: what was made visible or cut, in words."""

    pieces: tuple[Piece, ...]
    warnings: tuple[str, ...]


def neutral(text: str, limit: int = MAX_SHOWN) -> Neutral:
    """`text`, at most `limit` characters of it, with nothing in it that shows as something else."""
    pieces: list[Piece] = []
    found: set[str] = set()
    for is_space, run in groupby(text[:limit], str.isspace):
        word = "".join(run)
        pieces += _spaces(word, found) if is_space else _word(word, found)
    warnings = [_WARNINGS[kind] for kind in _WARNINGS if kind in found]
    if len(text) > limit:
        warnings.append(f"Only the first {limit} of {len(text)} characters are shown.")
    return Neutral(_joined(pieces), tuple(warnings))


_WARNINGS = {
    "hidden": "It holds invisible characters or characters that change the writing direction; "
    "they are shown by their numbers.",
    "mixed": "It holds letters that look like others, or words that mix alphabets; the foreign ones are "
    "shown by their numbers.",
    "foreign": "It holds letters that are not Latin: read it with care.",
    "marks": "It holds letters with many marks; these are shown by their numbers.",
}


def _spaces(run: str, found: set[str]) -> list[Piece]:
    return [_as_is(each) if each in " \n\t" else _number(each, "hidden", found) for each in run]


def _word(word: str, found: set[str]) -> list[Piece]:
    scripts = {_script(each) for each in word} - {_COMMON}
    mixed = len(scripts) > 1
    pieces, marks = [], 0
    for each in word:
        category = unicodedata.category(each)
        marks = marks + 1 if category == "Mn" else 0
        script = _script(each)
        if category[0] in "CZ":
            pieces.append(_number(each, "hidden", found))
        elif marks > _MAX_MARKS:
            pieces.append(_number(each, "marks", found))
        elif _dressed_up(each) or (mixed and script not in ("LATIN", _COMMON)):
            pieces.append(_number(each, "mixed", found))
        else:
            if script not in ("LATIN", _COMMON):
                found.add("foreign")
            pieces.append(_as_is(each))
    return pieces


def _script(character: str) -> str:
    """The first word of a letter's name, which is its alphabet; COMMON for what is no letter."""
    if unicodedata.category(character)[0] != "L":
        return _COMMON
    return unicodedata.name(character, "UNKNOWN").split()[0]


def _dressed_up(character: str) -> bool:
    """Whether it is another form of an ASCII character: full width, mathematical, circled."""
    plain = unicodedata.normalize("NFKC", character)
    return not character.isascii() and plain.isascii() and plain.isalnum()


def _as_is(character: str) -> Piece:
    return Piece(character, False)


def _number(character: str, kind: str, found: set[str]) -> Piece:
    found.add(kind)
    return Piece(f"[U+{ord(character):04X}]", True)


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    return tuple(
        Piece("".join(piece.text for piece in run), suspicious)
        for suspicious, run in groupby(pieces, lambda piece: piece.suspicious)
    )
