"""The content of what was handed in, kept on the disk: a class may hand in gigabytes."""

import functools
import hashlib
import os
import tempfile

__all__ = ["Content"]


class Content:
    """The content of a file. It lies in a file of this process that has no name and ends with it."""

    def __init__(self, content: bytes):
        descriptor = _kept()
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._place, self.size = os.lseek(descriptor, 0, os.SEEK_END), len(content)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def read(self) -> bytes:
        return os.pread(_kept(), self.size, self._place)


@functools.cache
def _kept() -> int:
    with tempfile.TemporaryFile(buffering=0) as stream:
        return os.dup(stream.fileno())
