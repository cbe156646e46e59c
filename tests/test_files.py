import os

import pytest

from npfl139 import files
from npfl139.files import write_atomically


def test_texts_and_bytes_are_written(tmp_path):
    write_atomically(tmp_path / "text", "ž\r\n\ud800")
    write_atomically(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == "ž\r\n\\ud800".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, broken):
    def fail(*arguments):
        raise OSError("no space")

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(files.os, broken, fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_an_interruption_leaves_nothing_beside_the_file(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", "new")
    assert not os.listdir(tmp_path)
