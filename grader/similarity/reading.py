"""Cuts a program into statements and forgets in them whatever a rewriting changes. Nothing is parsed, compiled or executed.

Python's parser has inputs that cost it hours or gigabytes. Here one regular expression reads the text from left to right: each of its
alternatives is possessive and accepts what it has scanned, an unterminated string included, so no character is looked at twice, and
the longest program that `npfl139.source` lets pass takes less than a second. A file that is no Python is read like any other.
"""

import builtins
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["KEPT", "Chunk", "Statement", "chunks", "names_defined", "statements", "without_comments"]

LONG_STRING = r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:"""|\\?\Z)' + r"|'''(?:[^'\\]++|\\.|'(?!''))*+(?:'''|\\?\Z)"
STRING = rf'{LONG_STRING}|"(?:[^"\\\n]++|\\.)*+"?' + r"|'(?:[^'\\\n]++|\\.)*+'?"
COMMENT = r"\#[^\n]*+"
# A line that begins without indentation begins a definition or a statement of the module, unless a string or bracket goes on.
BOUNDARY = re.compile(rf"{STRING}|{COMMENT}|(?P<cut>\n(?=[^\s\#)\]}}]))", re.DOTALL)
TOKEN = re.compile(
    rf"""(?P<string>[bBfFrRuU]{{0,2}}+(?:{STRING}))
    |(?P<skip>{COMMENT}|\\\n|[^\S\n]++)
    |(?P<newline>\n)
    |(?P<number>(?:0[xXbBoO][\w]++|(?:\d[\d_]*+\.?+[\d_]*+|\.\d[\d_]*+)(?:[eE][+-]?+\d++)?+)j?+)
    |(?P<name>\w++)
    |(?P<operator>\*\*=|//=|>>=|<<=|\*\*|//|>>|<<|<=|>=|==|!=|->|:=|[-+*/%@&|^]=|.)""",
    re.DOTALL | re.VERBOSE,
)
DEFINITION = re.compile(r"(?:async\s++)?+(?P<kind>def|class)\s++(?P<name>\w++)")
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
AUGMENTED = frozenset(("+=", "-=", "*=", "/=", "%=", "@=", "&=", "|=", "^=", "//=", "**=", ">>=", "<<="))
# What a rewriting may add, drop or exchange without changing anything else.
SILENT = frozenset(("(", ")", ",", ";", ":", ".", "return", "pass", "else", "elif", "as", "global", "nonlocal"))
WITHOUT_CODE = frozenset(("def", "class", "import", "from", "async", "@", "pass", "assert", "raise"))  # first words of a statement
LOOPS = frozenset(("for", "while"))
WORDS = frozenset(keyword.kwlist)
KEPT = frozenset(dir(builtins))  # called by these names


@dataclass(frozen=True)
class Chunk:
    """A definition or statement of a module, or a method of a class, as text."""

    name: str | None  # `f`, `Class.method`, `Class` for the rest of a class; None for a statement
    text: str
    line: int  # on which it begins, counted from 1


@dataclass(frozen=True)
class Statement:
    """A logical line of a program."""

    tokens: tuple[str, ...]  # names that may be renamed have become one and the same
    names: frozenset[str]  # as they were written
    first: int  # its lines in the chunk, counted from 0
    last: int


def chunks(source: str) -> Iterator[Chunk]:
    """Yield the definitions and statements of a module in order; a class comes as its methods, and the rest of it."""
    line = 1
    for text in _cut(source):
        match = DEFINITION.match(text)
        if match and match["kind"] == "class":
            yield from _members(match["name"], text, line)
        else:
            yield Chunk(match["name"] if match else None, text, line)
        line += text.count("\n")


def names_defined(source: str) -> frozenset[str]:
    """Return what a module calls its functions and classes."""
    return frozenset(chunk.name for chunk in chunks(source) if chunk.name and "." not in chunk.name)


def statements(text: str, kept: frozenset[str]) -> list[Statement]:
    """Return the statements of a chunk, without definitions' headers, imports and texts that stand alone.

    Args:
        kept: functions whose calls keep their names: builtins, those of the assignment. So do attributes and keywords.
    """
    found, tokens = list[Statement](), list[str]()
    names, depth, line, first = set[str](), 0, 0, 0
    for match in TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        if kind == "newline" or (token == ";" and depth == 0):
            if tokens and depth == 0:
                found += _statement(tokens, names, first, line, kept)
                tokens, names = [], set()
            line += kind == "newline"
            continue
        if kind == "skip":
            line += token == "\\\n"
            continue
        if not tokens:
            first = line
        if kind == "string":
            line += token.count("\n")
            token = '"'
        elif kind == "number":
            token = _number(token)
        elif kind == "name":
            names.add(token)
        elif token in OPENING:
            depth += 1
        elif token in CLOSING:
            depth = max(0, depth - 1)
        tokens.append(token)
    return found + (_statement(tokens, names, first, line, kept) if tokens else [])


def _cut(source: str) -> Iterator[str]:
    start = 0
    for match in BOUNDARY.finditer(source):
        if match.lastgroup == "cut":
            yield source[start : match.end()]
            start = match.end()
    yield source[start:]


def _members(name: str, text: str, line: int) -> Iterator[Chunk]:
    """Yield the methods of a class, and what lies between them."""
    member = re.compile(r"^([ \t]{1,8}+)(?:async\s++)?+def\s++(\w++)", re.MULTILINE)
    starts = list(member.finditer(text))
    indent = starts[0][1] if starts else ""
    starts = [match for match in starts if match[1] == indent]
    places = [0, *(match.start() for match in starts), len(text)]
    for unit, start, end in zip([name, *(f"{name}.{match[2]}" for match in starts)], places, places[1:], strict=False):
        yield Chunk(unit, text[start:end], line)
        line += text.count("\n", start, end)


def _statement(tokens: list[str], names: set[str], first: int, last: int, kept: frozenset[str]) -> list[Statement]:
    if tokens[0] in WITHOUT_CODE or all(token == '"' for token in tokens):
        return []
    normal = _normal(_without_annotation(_written_out(tokens)), kept)
    return [Statement(normal, frozenset(names), first, last)] if normal else []


def _written_out(tokens: list[str]) -> list[str]:
    """Return `x = x + y` for `x += y`."""
    for place, token in enumerate(tokens):
        if token in AUGMENTED:
            target = tokens[:place]
            return [*target, "=", *target, token[:-1], *tokens[place + 1 :]]
        if token == "=":
            break
    return tokens


def _without_annotation(tokens: list[str]) -> list[str]:
    """Return `x = y` for `x: T = y`."""
    if len(tokens) > 3 and tokens[1] == ":" and tokens[0] not in WORDS and "=" in tokens:
        return [tokens[0], *tokens[tokens.index("=") :]]
    return tokens


def _normal(tokens: list[str], kept: frozenset[str]) -> tuple[str, ...]:
    """Return the tokens that a rewriting keeps: of `torch.exp(x)` and `t.exp(y)` the same ones."""
    normal: list[str] = []
    previous, depth = "", 0
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        depth += (token in OPENING) - (token in CLOSING)
        if token in SILENT:
            pass
        elif token in LOOPS:
            normal.append("for")
        elif not (token[0].isalpha() or token[0] == "_") or token in WORDS or previous == "." or (following == "(" and token in kept):
            normal.append(token)
        elif depth and following == "=" and previous in ("(", ","):
            normal.append(token)  # a keyword of a call
        elif following != ".":
            normal.append("v")  # a name before a dot is a module, or what the attribute is of
        previous = token
    return tuple(normal)


def _number(token: str) -> str:
    """Return a number in one writing; a longer one, or another kind, as it stands.

    >>> _number("1."), _number("1_000"), _number("1e-8"), _number("0x10")
    ('1', '1000', '1e-08', '0x10')
    """
    try:
        return f"{float(token):.12g}" if len(token) < 40 else token
    except ValueError:
        return token


def without_comments(source: str) -> str:
    """Return a program whose comments say nothing; its lines keep their numbers.

    >>> without_comments('x = "#1"  # by Ada')
    'x = "#1"  #'
    """
    return re.sub(rf"(?P<string>{STRING})|{COMMENT}", lambda match: match["string"] or "#", source, flags=re.DOTALL)
