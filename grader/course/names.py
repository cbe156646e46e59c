"""Names and addresses of people, as they come from files of many systems, made comparable."""

import unicodedata

__all__ = ["alike", "cleaned"]


def cleaned(text: str) -> str:
    r"""Return a text in the normal form NFC, without the marks that only steer its direction, its spaces single.

    >>> cleaned(" Noe\u0308l \u200f "), cleaned("a\x00b")
    ('Noël', 'ab')
    """
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(character for character in composed if character.isprintable() or character.isspace()).split())


def alike(one: str, other: str) -> bool:
    """Return whether two names have the same words, whatever their order, case and accents: reason enough to ask, not to decide.

    >>> alike("Novák, Jan", "jan novak"), alike("Jan Novák", "Jana Nováková")
    (True, False)
    """
    return _words(one) == _words(other)


def _words(name: str) -> list[str]:
    plain = "".join(character for character in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(character))
    return sorted("".join(character if character.isalnum() else " " for character in plain).split())
