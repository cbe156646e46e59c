"""The value-only wire: what may cross between the grader and student code, and how it is encoded.

Numbers, strings, None, lists, string-keyed dictionaries, numpy arrays and torch tensors cross, all of exact built-in
types. Tuples arrive as lists. References (`Handle` to an object in the worker, `Callback` to a function in the grader,
the state of a random generator) cross as plain data. Nothing on either side is ever unpickled, so a frame can carry values but
never behaviour.

A frame is the length of its head, the head (msgpack: the structure of the value), and the bytes of its arrays. The head is
short, which bounds the objects that a hostile frame can make.
"""

import math
import os
import select
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import torch

__all__ = ["Callback", "Channel", "Disconnected", "GeneratorState", "Handle", "MalformedFrame", "NotAValue", "Overdue", "decode", "encode"]

MAX_FRAME_BYTES = 64 * 2**20
MAX_HEAD_BYTES = 4 * 2**20
MAX_DIMENSIONS = 8
MAX_DEPTH = 32
DTYPES = {name: np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
TENSOR_DTYPES = frozenset(getattr(torch, name) for name in DTYPES)
ARRAY, TENSOR, GENERATOR, HANDLE, CALLBACK, BIG_INTEGER = range(1, 7)
LENGTH = struct.Struct("<I")
ALIGNMENT = 16


@dataclass(frozen=True)
class Handle:
    """A reference to an object that lives in the worker."""

    number: int


@dataclass(frozen=True)
class Callback:
    """A reference to a function that lives in the grader; the worker may call it, by value."""

    number: int


@dataclass(frozen=True)
class GeneratorState:
    """The state of a `torch.Generator` of the grader's; the worker makes a generator of it."""

    state: bytes


class NotAValue(TypeError):
    """Something other than a plain value was to cross the wire."""


class MalformedFrame(ValueError):
    """A frame from the other side does not follow the protocol."""


class Disconnected(ConnectionError):
    """The other side closed the channel."""


class Overdue(TimeoutError):
    """The deadline passed before a whole frame had crossed."""


def encode(value: object) -> bytes:
    """Return the frame of a value.

    Raises:
        NotAValue: the value, or a part of it, is not of one of the exact types that may cross, or is too large.
    """
    arrays: list[np.ndarray] = []
    try:
        head = msgpack.packb(_plain(value, arrays, 0))
    except UnicodeEncodeError:
        raise NotAValue("a string that is not valid Unicode") from None
    size = LENGTH.size + len(head) + sum(array.nbytes + ALIGNMENT for array in arrays)
    if size > MAX_FRAME_BYTES or len(head) > MAX_HEAD_BYTES:
        raise NotAValue(f"a value of {size} bytes, which is too large")
    parts, position = [LENGTH.pack(len(head)), head], LENGTH.size + len(head)
    for array in arrays:
        padding = -position % ALIGNMENT
        parts += [bytes(padding), array.tobytes()]
        position += padding + array.nbytes
    return b"".join(parts)


def decode(frame: bytes | bytearray) -> Any:
    """Return the value of a frame, made of exact built-in types only.

    Raises:
        MalformedFrame: the frame is too large, truncated, nested too deeply or not in the protocol.
    """
    try:
        head_end = LENGTH.size + LENGTH.unpack_from(frame)[0]
        if len(frame) > MAX_FRAME_BYTES or not LENGTH.size <= head_end <= min(len(frame), MAX_HEAD_BYTES + LENGTH.size):
            raise MalformedFrame("a frame whose lengths do not fit")
        arrays = _Arrays(frame, head_end)
        value = msgpack.unpackb(memoryview(frame)[LENGTH.size : head_end], ext_hook=arrays.revive, timestamp=1)
        if arrays.position != len(frame):
            raise MalformedFrame("a frame with bytes left over")
        return value
    except MalformedFrame:
        raise
    except Exception as error:  # msgpack and numpy raise many kinds; to the caller they all mean the same
        raise MalformedFrame(f"a malformed frame: {type(error).__name__}") from error


def _plain(value: Any, arrays: list[np.ndarray], depth: int) -> object:
    """Return the value as msgpack takes it, with its arrays taken out and appended to `arrays`."""
    kind = type(value)
    if value is None or kind in (bool, float, str, bytes):
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else msgpack.ExtType(BIG_INTEGER, _digits(value))
    if depth > MAX_DEPTH:
        raise NotAValue("a value nested too deeply, perhaps a list that contains itself")
    if kind in (list, tuple) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return [_plain(item, arrays, depth + 1) for item in value]
    if kind in (dict, OrderedDict):
        if not all(type(key) is str for key in value):
            raise NotAValue("a dictionary whose keys are not all strings")
        return {key: _plain(item, arrays, depth + 1) for key, item in value.items()}
    if kind in (torch.Tensor, torch.nn.Parameter):
        if value.layout is not torch.strided or value.dtype not in TENSOR_DTYPES:
            raise NotAValue(f"a tensor of {value.dtype} in the layout {value.layout}")
        return _array_head(TENSOR, value.detach().cpu().resolve_conj().resolve_neg().numpy(), arrays)
    if kind is np.ndarray:
        return _array_head(ARRAY, value, arrays)
    if issubclass(kind, np.generic) and value.dtype in NAMES:
        return value.item()
    if kind is GeneratorState:
        return msgpack.ExtType(GENERATOR, value.state)
    if kind in (Handle, Callback):
        return msgpack.ExtType(HANDLE if kind is Handle else CALLBACK, str(value.number).encode())
    raise NotAValue(f"{_with_article(kind.__name__)}, which is not a number, string, list, array or tensor")


def _digits(value: int) -> bytes:
    if value.bit_length() > 4096:
        raise NotAValue("an integer of more than 4096 bits")
    return str(value).encode()


def _array_head(code: int, array: np.ndarray, arrays: list[np.ndarray]) -> msgpack.ExtType:
    if array.ndim > MAX_DIMENSIONS:
        raise NotAValue(f"an array of {array.ndim} dimensions")
    if array.dtype not in NAMES:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in NAMES:
        raise NotAValue(f"a numpy array of dtype {array.dtype}")
    arrays.append(array)
    return msgpack.ExtType(code, msgpack.packb((NAMES[array.dtype], array.shape)))


class _Arrays:
    """Makes the arrays of a frame, in their order, out of the bytes that follow its head."""

    def __init__(self, frame: bytes | bytearray, position: int):
        self.frame = frame if type(frame) is bytearray else bytearray(frame)  # so that the arrays are writable, without a copy
        self.position = position

    def revive(self, code: int, content: bytes) -> object:
        if code in (ARRAY, TENSOR):
            array = self.following(*msgpack.unpackb(content, max_array_len=MAX_DIMENSIONS, max_str_len=16))
            return array if code == ARRAY else torch.from_numpy(array)
        if code in (HANDLE, CALLBACK):
            if not content.isdigit() or len(content) > 9:
                raise MalformedFrame("a reference without a number")
            return Handle(int(content)) if code == HANDLE else Callback(int(content))
        if code == BIG_INTEGER and len(content) <= 1300:
            return int(content)
        if code == GENERATOR:
            return GeneratorState(content)
        raise MalformedFrame(f"the unknown extension {code}")

    def following(self, dtype: str, shape: list[int]) -> np.ndarray:
        if dtype not in DTYPES or not all(type(size) is int and size >= 0 for size in shape):
            raise MalformedFrame("an array of an unknown dtype or shape")
        start, count = self.position + -self.position % ALIGNMENT, math.prod(shape)
        self.position = start + count * DTYPES[dtype].itemsize
        if self.position > len(self.frame):
            raise MalformedFrame("an array whose bytes do not fit its shape")
        if dtype == "bool":  # a byte other than 0 and 1 in a bool is undefined behaviour
            return np.frombuffer(self.frame, np.uint8, count, start).reshape(shape).astype(bool)
        return np.frombuffer(self.frame, dtype, count, start).reshape(shape)


class Channel:
    """Frames over a connected stream socket, each after its length. The descriptor stays its owner's."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(descriptor, select.POLLIN)
        self._writable.register(descriptor, select.POLLOUT)

    def send(self, frame: bytes, deadline: float | None = None) -> None:
        """Send a frame before the deadline, in `time.monotonic()` seconds.

        Raises:
            Overdue: the other side did not take it in time.
            Disconnected: there is no other side any more.
        """
        rest = memoryview(LENGTH.pack(len(frame)) + frame)
        while rest:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except BlockingIOError:
                _wait(self._writable, deadline)
            except OSError as error:
                raise Disconnected("the channel is closed") from error

    def receive(self, deadline: float | None = None) -> bytearray:
        """Return the next frame if all of it arrives before the deadline.

        Raises:
            Overdue, Disconnected: see `send`.
            MalformedFrame: the announced length is not allowed.
        """
        if deadline is not None and time.monotonic() > deadline:  # a flood never has to be waited for
            raise Overdue("the deadline has passed")
        (length,) = LENGTH.unpack(self._read(LENGTH.size, deadline))
        if length > MAX_FRAME_BYTES:
            raise MalformedFrame(f"a frame of {length} bytes")
        return self._read(length, deadline)

    def expect_silence(self) -> None:
        """Check that nothing has arrived since the last frame.

        Raises:
            MalformedFrame: something has.
            Disconnected: there is no other side any more.
        """
        try:
            unasked = os.read(self.descriptor, 1)
        except BlockingIOError:
            return
        except OSError as error:
            raise Disconnected("the channel is closed") from error
        if not unasked:
            raise Disconnected("the channel is closed")
        raise MalformedFrame("something that nobody asked for")

    def _read(self, count: int, deadline: float | None) -> bytearray:
        content = bytearray(count)
        rest = memoryview(content)
        while rest:
            try:
                got = os.readv(self.descriptor, [rest])
            except BlockingIOError:
                _wait(self._readable, deadline)
                continue
            except OSError as error:
                raise Disconnected("the channel is closed") from error
            if not got:
                raise Disconnected("the channel is closed")
            rest = rest[got:]
        return content


def _wait(poll: select.poll, deadline: float | None) -> None:
    remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
    if not poll.poll(None if remaining is None else math.ceil(1000 * remaining)):
        raise Overdue("the deadline has passed")


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
