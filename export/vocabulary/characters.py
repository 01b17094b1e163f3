"""Which script a character belongs to, as far as its Unicode name tells."""

import unicodedata

__all__ = ["is_kept_anyway", "script", "scripts_of"]


def script(character: str) -> str:
    """The first word of the character's name.

    >>> script("é"), script("猫"), script("ж")
    ('LATIN', 'CJK', 'CYRILLIC')
    """
    return unicodedata.name(character, "").partition(" ")[0]


def scripts_of(characters: set[str]) -> set[str]:
    """The scripts of all letters and marks among ``characters``."""
    return {script(character) for character in characters if not is_kept_anyway(character)}


def is_kept_anyway(character: str) -> bool:
    """Whether it is no letter and no mark: digits, punctuation and symbols stand in texts of every script."""
    return unicodedata.category(character)[0] not in "LM"
