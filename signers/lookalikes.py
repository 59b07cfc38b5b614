"""Words in which letters of several alphabets stand side by side, as look-alikes do (A13)."""

import unicodedata


def mixed_words(text: str) -> list[str]:
    """Each such word, spelled with escapes for what is not ASCII."""
    return [ascii(word)[1:-1] for word in text.split() if len(_alphabets(word)) > 1]


def _alphabets(word: str) -> set[str]:
    """The first word of a letter's name is its alphabet: LATIN SMALL LETTER A, CYRILLIC SMALL LETTER A."""
    letters = (character for character in word if character.isalpha())
    return {unicodedata.name(letter, "UNNAMED").split()[0] for letter in letters}
