"""The Python source of a program or of a notebook, read without executing anything, however broken it is."""

import ast
import codecs
import io
import json
import re
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from npfl139.text import printable, shortened

__all__ = ["SUFFIXES", "Source", "Unreadable", "listed", "names_without_import", "read_one", "read_source", "read_unparsed"]

SUFFIXES = (".py", ".ipynb")
MAX_BYTES = 16 * 2**20  # of a file; a notebook holds its figures
MAX_CHARACTERS = 200_000  # of code, several times the longest solution
MAX_PARSED = 4_000_000  # characters, about ten seconds: each magic of a cell costs one more parse of the cell
MAX_QUOTE = 100
# A hundred words joined by dots: Python's parser needs quadratic time and memory for those of an import, gigabytes for 200 KB.
LONG_NAME = re.compile(r"(?<![^\s!-/:-@\[-^`{-~])(?:[^\s!-/:-@\[-^`{-~]++[\s\\]*+\.[\s\\]*+){100}")
# Encodings in which ordinary editors save; Python knows others that are not for text, or that take quadratic time.
ENCODINGS = ("utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-2", "iso8859-15", "cp1250", "cp1252")
PYTHON_CELL_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")


class Unreadable(ValueError):
    """The file holds no Python program. The message is a sentence, written to its author, that says what to do."""


@dataclass(frozen=True)
class Source:
    """A Python program, and where its lines stand in the notebook that it was made of, if any."""

    text: str
    cells: tuple[tuple[int, int], ...] = ()  # (first line in `text`, number of the cell, counted over all cells from 1)

    def locate(self, line: int) -> str:
        """Return where the author finds a line of `text`.

        >>> Source("a = 1\\nb = 2\\n").locate(2), Source("a = 1\\nb = 2\\n", cells=((1, 1), (2, 4))).locate(2)
        ('line 2', 'cell 4, line 1')
        """
        if not self.cells:
            return f"line {line}"
        first, cell = self.cells[max(0, bisect_right(self.cells, (line, float("inf"))) - 1)]
        return f"cell {cell}, line {line - first + 1}"


def names_without_import(filename: str) -> dict[str, Callable]:
    """Return what a notebook may call without having imported it: `display`, which shows nothing where there is no notebook.

    >>> list(names_without_import("ppo.ipynb")), list(names_without_import("ppo.py"))
    (['display'], [])
    """
    return {"display": lambda *values, **options: None} if filename.lower().endswith(".ipynb") else {}


def read_source(content: bytes, filename: str) -> Source:
    """Return the program in a `.py` or `.ipynb` file; magics and shell lines of IPython have become comments.

    Raises:
        Unreadable: too large, of another kind, wrongly encoded, not a notebook, or not Python.
    """
    cells = _cells(content, filename)
    magics = MAX_PARSED // max(1, sum(len(text) for _, text in cells))
    read = [(number, *_without_magics(text, magics)) for number, text in cells]
    source = _joined([(number, text) for number, text, _ in read])
    for (_, _, error), (first, _) in zip(read, source.cells or ((1, 0),), strict=True):
        if error is not None:
            raise _unreadable(source, error, first)
    return source


def read_unparsed(content: bytes, filename: str) -> Source:
    """Return what `read_source` does, whether it is Python or not: Python's parser, which some texts cost hours, is not asked.

    Raises:
        Unreadable: too large, of another kind, wrongly encoded, or not a notebook.
    """
    return _joined(_cells(content, filename))


def _cells(content: bytes, filename: str) -> list[tuple[int, str]]:
    """Return (number, text) of the cells of a file, or of a program as one that has the number 0."""
    if len(content) > MAX_BYTES:
        raise Unreadable(f"the file has {len(content) / 2**20:.0f} MiB, and at most {MAX_BYTES // 2**20} are read: clear its outputs")
    suffix = PurePath(filename).suffix.lower()
    if suffix not in SUFFIXES:
        raise Unreadable(f"a {suffix or 'file without suffix'} is not read: hand in a .py or an .ipynb file")
    cells = [(0, _decoded(content))] if suffix == ".py" else _code_cells(content)
    characters = sum(len(text) for _, text in cells)
    if characters > MAX_CHARACTERS:
        raise Unreadable(f"the file has more than {MAX_CHARACTERS} characters of code: hand in the assignment only")
    return cells


def read_one(files: Sequence[tuple[str, bytes]]) -> tuple[str, Source]:
    """Return (filename, program) of the one program that is in all of the files: a notebook and a program made of it are one.

    Raises:
        Unreadable: see `read_source`; or they differ, and the author must choose.
    """
    read: list[tuple[str, Source | Unreadable]] = []
    for filename, content in files:
        try:
            read.append((filename, read_source(content, filename)))
        except Unreadable as error:
            if len(files) == 1:
                raise
            read.append((filename, error))
    if len({_code(program) for _, program in read}) > 1:
        raise Unreadable(f"{listed([PurePath(name).name for name, _ in read])} were handed in, and they differ: hand in one of them only")
    filename, program = min(read, key=lambda one: not one[0].lower().endswith(".py"))
    if isinstance(program, Unreadable):
        raise program
    return filename, program


def listed(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are.

    >>> listed(["a.py", "b.py"]), listed(["a", "b", "c", "d"])
    ('a.py and b.py', 'a and b and c and 1 more')
    """
    shown = " and ".join(printable(name, "_") for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _code(program: "Source | Unreadable") -> object:
    """Return the lines of code, without indentation of empty lines, comments and cell markers."""
    if isinstance(program, Unreadable):
        return str(program)
    return tuple(line.rstrip() for line in program.text.split("\n") if line.strip() and not line.lstrip().startswith("#"))


def _decoded(content: bytes) -> str:
    """Return the text of a program, decoded as Python would: by its byte order mark or coding line, otherwise as UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Unreadable("the file is encoded in UTF-16: save it as UTF-8")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        if codecs.lookup(encoding).name not in ENCODINGS:
            raise Unreadable(f"the file declares the encoding {_quoted(encoding)}: save it as UTF-8")
        return content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        lines_before = content.count(b"\n", 0, error.start) if isinstance(error, UnicodeDecodeError) else None
        where = "" if lines_before is None else f" in line {lines_before + 1}"
        raise Unreadable(f"the file is not text in the encoding it declares (otherwise UTF-8){where}: save it as UTF-8") from None


def _code_cells(content: bytes) -> list[tuple[int, str]]:
    """Return (number, text) of the code cells of a notebook."""
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"the notebook is broken{where}: open it in Jupyter, save it again and hand that in") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        raise Unreadable("the file is not a notebook: export it from Jupyter as .ipynb and hand that in")
    if notebook["nbformat"] != 4:
        raise Unreadable(f"the notebook has the format {notebook['nbformat']}: open it in a current Jupyter and save it in format 4")
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise Unreadable("the notebook has no list of cells: open it in Jupyter, save it again and hand that in")
    found = [(number, _cell_text(cell)) for number, cell in enumerate(cells, 1) if cell.get("cell_type") == "code"]
    if not found:
        raise Unreadable("the notebook has no code cell: hand in the one with your code")
    return found


def _cell_text(cell: dict) -> str:
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Unreadable("a code cell of the notebook holds no text: open it in Jupyter, save it again and hand that in")
    return source


def _joined(cells: list[tuple[int, str]]) -> Source:
    if [number for number, _ in cells] == [0]:
        return Source(cells[0][1])
    texts, starts, line = [], [], 1
    for number, text in cells:
        starts.append((line, number))
        texts.append(text.removesuffix("\n") + "\n")
        line += texts[-1].count("\n")
    return Source("".join(texts), tuple(starts))


def _without_magics(text: str, magics: int) -> tuple[str, SyntaxError | None]:
    """Return the code with up to so many lines that only IPython understands made comments, and why it still is not Python.

    Every line keeps its number.

    Only a line that keeps the code from being Python is touched, so a `%` that continues an expression or a `!` inside a
    string stays.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%") and first.split()[0] not in PYTHON_CELL_MAGICS:
        return "\n".join(f"# {line}" for line in lines), None
    while error := _syntax_error("\n".join(lines)):
        number = error.lineno or 0
        if not magics or not 1 <= number <= len(lines) or not _is_magic(lines[number - 1]):
            break
        _comment_out(lines, number - 1)
        magics -= 1
    return "\n".join(lines), error


def _comment_out(lines: list[str], index: int) -> None:
    """Make a magic, with the lines that a backslash continues it on, a statement that does nothing."""
    text = lines[index].lstrip()
    lines[index], continued = f"{lines[index].removesuffix(text)}pass  # {text}", text.endswith("\\")
    while continued and index + 1 < len(lines):
        index += 1
        lines[index], continued = f"# {lines[index]}", lines[index].endswith("\\")


def _is_magic(line: str) -> bool:
    from jupytext.magics import is_magic  # not needed for most programs, and slow to import

    return bool(is_magic(line, "python", explicitly_code=True)) and not line.lstrip().startswith("#")


def _syntax_error(text: str) -> SyntaxError | None:
    """Return why the text is not Python; parsing executes nothing."""
    if LONG_NAME.search(text):
        return SyntaxError("a name has more than a hundred parts")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape sequence in a string is no reason to refuse it
            ast.parse(text)
    except SyntaxError as error:
        return error
    except UnicodeEncodeError:
        return SyntaxError("it contains characters that are not Unicode text")
    except (RecursionError, MemoryError):  # how the parser says that an expression is nested too deeply
        return SyntaxError("an expression is nested too deeply")
    return None


def _unreadable(source: Source, error: SyntaxError, first: int) -> Unreadable:
    """Return what to tell of an error in a program, or in its cell whose first line is `first`."""
    lines = source.text.split("\n")
    number = error.lineno + first - 1 if error.lineno else 0
    line = lines[number - 1].strip() if 1 <= number <= len(lines) else ""
    where = f" in {source.locate(number)}" if line else ""
    quote = f", {_quoted(line)}" if line else ""
    return Unreadable(f"Python cannot read the code{where}{quote}: {printable(shortened(error.msg, MAX_QUOTE))}")


def _quoted(text: str) -> str:
    return f"`{printable(shortened(text, MAX_QUOTE))}`"
