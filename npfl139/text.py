"""Texts that others wrote, such as names, lines of code and messages, made fit to stand in ours."""

import difflib
from collections.abc import Collection

__all__ = ["nearest", "one_line", "printable", "shortened"]


def nearest(name: str, known: Collection[str]) -> str:
    """Return what to say of a name that nothing has: which one may be meant, or else which ones there are.

    >>> nearest("pop", ["trpo", "ppo"]), nearest("x", ["trpo", "ppo"]), nearest("x", [])
    ("did you mean 'ppo'?", 'there are trpo, ppo', 'there are none')
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"


def printable(text: str, instead: str = "\N{REPLACEMENT CHARACTER}") -> str:
    r"""Return the text with every character that moves the cursor, hides or reorders others replaced.

    >>> printable("a\x1b[2Jb\n"), printable("a\tb", instead="_")
    ('a�[2Jb�', 'a_b')
    """
    return "".join(character if character.isprintable() else instead for character in text)


def one_line(text: str) -> str:
    r"""Return the printable text in one line: whatever space separates words becomes one blank.

    >>> one_line(" two\n lines\x07")
    'two lines�'
    """
    return printable(" ".join(text.split()))


def shortened(text: str, limit: int) -> str:
    """Return the text, or its first `limit` characters and an ellipsis.

    >>> shortened("abc", 3), shortened("abcd", 3)
    ('abc', 'abc…')
    """
    return text if len(text) <= limit else f"{text[:limit]}…"
