"""Answers with frames that are expensive to decode: nested lists, millions of tiny objects, arrays without bytes."""

import itertools
import os
import struct
import time

import msgpack

_heads = itertools.cycle([
    b"\x91" * 1_000_000 + b"\xc0",
    b"\xdd\x00\x3f\xff\x00" + b"\x90" * 0x3FFF00,
    msgpack.packb(msgpack.ExtType(1, msgpack.packb(["float64", [2**31, 2**31]]))),
    msgpack.packb({"value": [msgpack.ExtType(1, msgpack.packb(["object", [1]]))]}),
])  # fmt: skip


def _bomb(*arguments, **keywords):
    head = next(_heads)
    frame = struct.pack("<I", len(head)) + head
    frame = memoryview(struct.pack("<I", len(frame)) + frame)
    while frame:
        try:
            frame = frame[os.write(3, frame) :]
        except BlockingIOError:
            time.sleep(0.001)
    time.sleep(1000)


for _name in [name for name, value in globals().items() if type(value).__name__ == "function" and not name.startswith("_")]:
    globals()[_name] = _bomb
