"""Files that are never seen half-written."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file so that at any instant, whatever fails, it holds either all of the new content or all of the old.

    A text is encoded in UTF-8, and what UTF-8 has no bytes for, such as half of a surrogate pair, is written as a backslash and a number.
    Until all of it is on the disk, it lies beside the file as `.NAME.PROCESS.partial`.

    Raises:
        OSError: the content could not be written; the file is as it was, and nothing lies beside it.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
