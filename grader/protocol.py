"""The value-only wire: what may cross between the grader and student code, and how it is encoded.

Numbers, strings, None, lists, string-keyed dictionaries, numpy arrays and torch tensors cross, all of exact built-in
types. Tuples arrive as lists. References (`Handle` to an object in the worker, `Callback` to a function in the grader)
cross as integers. Nothing on either side is ever unpickled, so a frame can carry values but never behaviour.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

import msgpack
import numpy as np
import torch

__all__ = ["Callback", "Handle", "MalformedFrame", "NotAValue", "decode", "encode"]

MAX_FRAME_BYTES = 64 * 2**20
MAX_DIMENSIONS = 8
MAX_DEPTH = 32
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
ARRAY, TENSOR, GENERATOR, HANDLE, CALLBACK, BIG_INTEGER = range(1, 7)


@dataclass(frozen=True)
class Handle:
    """A reference to an object that lives in the worker."""

    number: int


@dataclass(frozen=True)
class Callback:
    """A reference to a function that lives in the grader; the worker may call it, by value."""

    number: int


class NotAValue(TypeError):
    """Something other than a plain value was to cross the wire."""


class MalformedFrame(ValueError):
    """A frame from the other side does not follow the protocol."""


def encode(value: object) -> bytes:
    """Return the frame of a value.

    Raises:
        NotAValue: the value, or a part of it, is not of one of the exact types that may cross, or is too large.
    """
    frame = msgpack.packb(_plain(value, 0), use_bin_type=True)
    if len(frame) > MAX_FRAME_BYTES:
        raise NotAValue(f"a value of {len(frame)} bytes; at most {MAX_FRAME_BYTES} may be returned")
    return frame


def decode(frame: bytes) -> object:
    """Return the value of a frame, made of exact built-in types only.

    Raises:
        MalformedFrame: the frame is too large, truncated, nested too deeply or not in the protocol.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise MalformedFrame(f"a frame of {len(frame)} bytes; at most {MAX_FRAME_BYTES} are allowed")
    try:
        return msgpack.unpackb(frame, ext_hook=_revive, raw=False, strict_map_key=True)
    except MalformedFrame:
        raise
    except Exception as error:  # msgpack raises many kinds; to the caller they all mean the same
        raise MalformedFrame(f"a malformed frame: {type(error).__name__}") from error


def _plain(value: object, depth: int) -> object:
    kind = type(value)
    if depth > MAX_DEPTH:
        raise NotAValue("a value nested too deeply, perhaps a list that contains itself")
    if kind is int and not -(2**63) <= value < 2**64:
        return msgpack.ExtType(BIG_INTEGER, str(value).encode() if value.bit_length() < 4096 else b"0")
    if value is None or kind in (bool, int, float, str, bytes):
        return value
    if kind in (list, tuple) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return [_plain(item, depth + 1) for item in value]
    if kind in (dict, OrderedDict):
        if not all(type(key) is str for key in value):
            raise NotAValue("a dictionary whose keys are not all strings")
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if kind in (torch.Tensor, torch.nn.Parameter):
        tensor = value.detach().cpu()
        if tensor.layout is not torch.strided or str(tensor.dtype).removeprefix("torch.") not in DTYPES:
            raise NotAValue(f"a tensor of {tensor.dtype} in the layout {tensor.layout}")
        return msgpack.ExtType(TENSOR, _pack_array(tensor.resolve_conj().resolve_neg().numpy()))
    if kind is np.ndarray:
        if value.dtype.name not in DTYPES:
            raise NotAValue(f"a numpy array of dtype {value.dtype}")
        return msgpack.ExtType(ARRAY, _pack_array(value))
    if isinstance(value, np.generic) and value.dtype.name in DTYPES:
        return value.item()
    if kind is torch.Generator:
        return msgpack.ExtType(GENERATOR, value.get_state().numpy().tobytes())
    if kind is Handle:
        return msgpack.ExtType(HANDLE, str(value.number).encode())
    if kind is Callback:
        return msgpack.ExtType(CALLBACK, str(value.number).encode())
    raise NotAValue(f"{_with_article(kind.__name__)}, which is not a number, string, list, array or tensor")


def _pack_array(array: np.ndarray) -> bytes:
    head = msgpack.packb([array.dtype.name, list(array.shape)])
    return head + np.ascontiguousarray(array).tobytes()


def _revive(code: int, content: bytes) -> object:
    if code in (ARRAY, TENSOR):
        array = _unpack_array(content)
        return array if code == ARRAY else torch.from_numpy(array)
    if code in (HANDLE, CALLBACK):
        number = int(content) if content.isdigit() and len(content) < 10 else -1
        return Handle(number) if code == HANDLE else Callback(number)
    if code == BIG_INTEGER:
        if len(content) > 1300:
            raise MalformedFrame("an integer that is too large")
        return int(content)
    if code == GENERATOR:
        generator = torch.Generator()
        generator.set_state(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        return generator
    raise MalformedFrame(f"the unknown extension {code}")


def _unpack_array(content: bytes) -> np.ndarray:
    unpacker = msgpack.Unpacker(max_array_len=MAX_DIMENSIONS, max_str_len=16, max_buffer_size=MAX_FRAME_BYTES)
    unpacker.feed(content)
    dtype, shape = unpacker.unpack()
    if dtype not in DTYPES or not all(type(size) is int and size >= 0 for size in shape):
        raise MalformedFrame("an array of an unknown dtype or shape")
    raw = memoryview(content)[unpacker.tell() :]
    if math.prod(shape) * np.dtype(dtype).itemsize != len(raw):
        raise MalformedFrame("an array whose bytes do not fit its shape")
    return np.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
