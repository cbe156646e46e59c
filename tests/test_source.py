"""Programs and notebooks as students hand them in: broken, oddly encoded, full of magics."""

import json

import pytest

from npfl139 import source
from npfl139.source import Source, Unreadable, read_source


def notebook(*cells: dict | str, **fields: object) -> bytes:
    made = [{"cell_type": "code", "source": cell} if isinstance(cell, str) else cell for cell in cells]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": made, **fields}).encode()


def test_a_program_is_read_as_it_is():
    assert read_source(b"x = 1\nprint(x)\n", "ppo.py") == Source("x = 1\nprint(x)\n")


@pytest.mark.parametrize(
    "content",
    [
        "name = 'Žižek'\n".encode(),
        "name = 'Žižek'\n".encode("utf-8-sig"),
        "# coding: cp1250\nname = 'Žižek'\n".encode("cp1250"),
        "# -*- coding: iso-8859-2 -*-\nname = 'Žižek'\n".encode("iso-8859-2"),
        "name = 'Žižek'\r\n".encode(),
        "name = 'Žižek'\r".encode(),
    ],
)
def test_declared_encodings_byte_order_marks_and_line_ends_are_understood(content):
    text = read_source(content, "ppo.py").text
    assert "name = 'Žižek'\n" in text
    assert "\r" not in text and "\ufeff" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = 1\ny = '\xe8'\n", "in line 2: save it as UTF-8"),
        ("x = 1\n".encode("utf-16"), "UTF-16: save it as UTF-8"),
        (b"# coding: klingon\nx = 1\n", "save it as UTF-8"),
        (b"# coding: punycode\nx = 1\n", "encoding `punycode`: save it as UTF-8"),
        (b"# coding: utf-7\nx = 1\n", "encoding `utf-7`: save it as UTF-8"),
        (b"\xef\xbb\xbf# coding: latin-1\nx = 1\n", "save it as UTF-8"),
        (b"x = '\0'\n", "null bytes"),
        (b"x = 1\ndef f(x:\n    pass\n", r"in line 2, `def f\(x:`: "),
        (b"def f():\nreturn 1\n", "in line 2, `return 1`: expected an indented block"),
        (b"x = " + b"-" * 5900 + b"1\n", "nested too deeply"),
        (b"x = " + b"-" * 100000 + b"1\n", "nested too deeply"),
        (b"x" * (source.MAX_CHARACTERS + 1), "characters of code"),
        (b"x" * (source.MAX_BYTES + 1), "at most 16 are read"),
    ],
)
def test_a_program_that_cannot_be_read_is_explained(content, message):
    with pytest.raises(Unreadable, match=message):
        read_source(content, "ppo.py")


def test_a_quoted_line_is_short_and_printable():
    with pytest.raises(Unreadable) as raised:
        read_source(b"x = \x1b[31m ? " + b"y" * 1000 + b"\n", "ppo.py")
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("name", ["ppo.pdf", "ppo", "ppo.tar.gz"])
def test_other_kinds_of_file_are_refused(name):
    with pytest.raises(Unreadable, match=r"hand in a \.py or an \.ipynb file"):
        read_source(b"", name)


def test_an_invalid_escape_sequence_is_not_an_error():
    assert read_source(b'x = "\\d"\n', "ppo.py").text == 'x = "\\d"\n'


def test_code_cells_are_joined_and_lines_are_located():
    markdown, raw = {"cell_type": "markdown", "source": "# Title"}, {"cell_type": "raw", "source": "raw"}
    read = read_source(notebook(markdown, "a = 1\nb = 2", raw, {"cell_type": "code", "source": ["c = 3\n", "d = 4\n"]}), "ppo.ipynb")
    assert read.text == "a = 1\nb = 2\nc = 3\nd = 4\n"
    assert [read.locate(line) for line in (1, 2, 3, 4)] == ["cell 2, line 1", "cell 2, line 2", "cell 4, line 1", "cell 4, line 2"]


def test_empty_cells_keep_the_lines_in_step():
    read = read_source(notebook("", "a = 1", "\n", "b = 2"), "ppo.ipynb")
    lines = read.text.split("\n")
    assert read.locate(lines.index("a = 1") + 1) == "cell 2, line 1"
    assert read.locate(lines.index("b = 2") + 1) == "cell 4, line 1"


def test_metadata_may_be_missing():
    assert read_source(notebook("a = 1"), "ppo.ipynb").text == "a = 1\n"


@pytest.mark.parametrize(
    "magic",
    ["%matplotlib inline", "!pip list", "files = !ls", "?print", "print?", "x = %env HOME", "%time f(", "!echo '''", "%pip install it's"],
)
def test_magics_become_comments_and_the_rest_stays(magic):
    text = read_source(notebook(f"a = 1\n{magic}\nif a:\n    {magic}\nb = 2"), "ppo.ipynb").text
    assert text == f"a = 1\npass  # {magic}\nif a:\n    pass  # {magic}\nb = 2\n"


def test_a_magic_may_continue_on_further_lines():
    text = read_source(notebook("!pip install \\\n  gymnasium \\\n  numpy\na = 1"), "ppo.ipynb").text
    assert text == "pass  # !pip install \\\n#   gymnasium \\\n#   numpy\na = 1\n"


def test_magics_in_an_exported_program_become_comments_too():
    assert read_source(b"!pip install gymnasium\na = 1\n", "ppo.py").text == "pass  # !pip install gymnasium\na = 1\n"


def test_what_only_looks_like_a_magic_stays():
    cell = 'text = """\n%matplotlib inline\n!ls\n"""\nprint("%d"\n      % 3)\nls = 3\nls'
    assert read_source(notebook(cell), "ppo.ipynb").text == cell + "\n"


def test_a_cell_in_another_language_becomes_a_comment_and_a_timed_cell_stays():
    text = read_source(notebook("%%bash\nls -l (", "%%time\na = 1"), "ppo.ipynb").text
    assert text == "# %%bash\n# ls -l (\npass  # %%time\na = 1\n"


def test_a_syntax_error_is_found_in_its_cell():
    with pytest.raises(Unreadable, match=r"in cell 3, line 2, `def f\(x`: '\(' was never closed"):
        read_source(notebook("a = 1", {"cell_type": "markdown", "source": ""}, "%time 1\ndef f(x"), "ppo.ipynb")


def test_more_magics_than_anyone_writes_end_in_an_error_soon(monkeypatch):
    monkeypatch.setattr(source, "MAX_PARSED", 10_000)
    assert read_source(notebook("%time\n" * 40), "ppo.ipynb").text == "pass  # %time\n" * 40
    with pytest.raises(Unreadable, match="Python cannot read the code"):
        read_source(notebook("%time\n" * 41), "ppo.ipynb")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the notebook is broken"),
        (b'{"cells": [\n\n', "the notebook is broken at line 3: open it in Jupyter"),
        (b"\xff\xfe\x00", "the notebook is broken"),
        (b"[" * 100_000, "the notebook is broken"),
        (b"[]", "not a notebook"),
        (b"{}", "not a notebook"),
        (notebook("a = 1", nbformat="4"), "not a notebook"),
        (notebook("a = 1", nbformat=3), "has the format 3"),
        (notebook("a = 1", nbformat=5), "has the format 5"),
        (notebook(cells=None), "no list of cells"),
        (notebook(cells=[1]), "no list of cells"),
        (notebook(), "no code cell"),
        (notebook({"cell_type": "markdown", "source": "text"}), "no code cell"),
        (notebook({"cell_type": "code", "source": 3}), "holds no text"),
        (notebook({"cell_type": "code", "source": ["a", 3]}), "holds no text"),
        (notebook('x = "\ud800"'), "not Unicode text"),
        (notebook("x = 1\n" * 40_000), "characters of code"),
    ],
)
def test_a_broken_notebook_is_explained(content, message):
    with pytest.raises(Unreadable, match=message):
        read_source(content, "ppo.ipynb")
