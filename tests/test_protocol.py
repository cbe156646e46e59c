"""The wire carries plain values unchanged, refuses everything else, and survives any bytes at all."""

import random
import socket
import threading
import time
from collections import OrderedDict, namedtuple

import msgpack
import numpy as np
import pytest
import torch

from grader.inside import protocol
from grader.inside.protocol import (
    Callback,
    Channel,
    Disconnected,
    GeneratorState,
    Handle,
    MalformedFrame,
    NotAValue,
    Overdue,
    decode,
    encode,
)

PLAIN = [
    None, True, False, 0, -1, 2**63, -(2**63), 2**64, -(2**70), 10**300, 0.0, -1.5, float("inf"), "", "pět", b"\x00\xff",
    [], [1, [2, [3.0]]], {}, {"a": [None]}, Handle(0), Callback(7), GeneratorState(b"\x01\x02"),
]  # fmt: skip
ARRAYS = [np.zeros((), name) for name in protocol.DTYPES] + [
    np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((3, 0, 2)), np.arange(10.0)[::-2], np.eye(3, order="F"), np.arange(3, dtype=">f4"),
]  # fmt: skip


def equal(first, second):
    same_kind = type(first) is type(second) and first.dtype.name == second.dtype.name
    return same_kind and first.shape == second.shape and bool((first == second).all())


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_cross_unchanged(value):
    there = decode(encode(value))
    assert there == value and type(there) is type(value)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_and_tensors_cross_unchanged_and_writable(array):
    there, tensor = decode(encode([array, torch.from_numpy(array.astype(array.dtype.newbyteorder("="))[...].copy())]))
    assert equal(there, array) and there.flags.writeable and there.flags.aligned
    assert type(tensor) is torch.Tensor and tensor.shape == array.shape and equal(tensor.numpy(), array)


def test_tuples_become_lists_and_numpy_scalars_numbers():
    point = namedtuple("Point", "x y")
    there = decode(encode([(1, 2), point(np.float32(0.5), np.int8(-3)), OrderedDict(a=np.bool_(True))]))
    assert there == [[1, 2], [0.5, -3], {"a": True}] and [type(value) for value in there[1]] == [float, int]


def test_a_parameter_crosses_without_its_graph():
    parameter = torch.nn.Parameter(torch.ones(2))
    there = decode(encode([parameter, parameter * 2]))
    assert torch.equal(there[0], torch.ones(2)) and not there[0].requires_grad and torch.equal(there[1], 2 * torch.ones(2))


def test_nan_crosses():
    assert np.isnan(decode(encode(np.array([np.nan])))[0]) and np.isnan(decode(encode(float("nan"))))


class AlwaysEqual(np.ndarray):
    def __eq__(self, other):
        return True


class Tensor(torch.Tensor):
    pass


class Integer(int):
    pass


class Text(str):
    pass


def recursive():
    values = []
    values.append(values)
    return values


REFUSED = {
    "object": (object(), "an object"),
    "generator": ((number for number in range(3)), "a generator"),
    "function": (len, "a builtin_function_or_method"),
    "class": (int, "a type"),
    "complex": (1j, "a complex"),
    "set": ({1}, "a set"),
    "array subclass": (np.zeros(2).view(AlwaysEqual), "an AlwaysEqual"),
    "tensor subclass": (torch.zeros(2).as_subclass(Tensor), "a Tensor"),
    "int subclass": (Integer(1), "an Integer"),
    "str subclass": (Text("a"), "a Text"),
    "object array": (np.array([None]), "dtype object"),
    "structured array": (np.zeros(2, "i4,f4"), "dtype"),
    "date array": (np.zeros(2, "M8[s]"), "dtype datetime64"),
    "sparse tensor": (torch.eye(2).to_sparse(), "torch.sparse_coo"),
    "bfloat16": (torch.zeros(2, dtype=torch.bfloat16), "torch.bfloat16"),
    "quantity of bits": (1 << 5000, "4096 bits"),
    "list in itself": (recursive(), "nested too deeply"),
    "integer key": ({1: 2}, "keys are not all strings"),
    "nine dimensions": (np.zeros((1,) * 9), "9 dimensions"),
    "half a character": ("\ud800", "not valid Unicode"),
    "too large": (np.zeros(2**24), "too large"),
    "too many": ([0.5] * 2**19, "too large"),
    "torch generator": (torch.Generator(), "a Generator"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_a_value_is_refused_by_name(name):
    value, words = REFUSED[name]
    with pytest.raises(NotAValue, match=words):
        encode([value])


def frame_of(head: bytes, rest: bytes = b"") -> bytes:
    return protocol.LENGTH.pack(len(head)) + head + rest


def array_head(dtype, shape, code=protocol.ARRAY):
    return msgpack.packb(msgpack.ExtType(code, msgpack.packb([dtype, shape])))


MALFORMED = {
    "empty": b"",
    "half a length": b"\x01\x00",
    "a head longer than the frame": protocol.LENGTH.pack(100) + b"\xc0",
    "a head that is too long": frame_of(b"\xc0" * (protocol.MAX_HEAD_BYTES + 1)),
    "two values": frame_of(b"\xc0\xc0"),
    "truncated": encode([1, "two", np.ones(3)])[:-1],
    "bytes left over": encode(np.ones(3)) + b"\x00",
    "an array without its bytes": frame_of(array_head("float64", [2**40])),
    "a negative shape": frame_of(array_head("float64", [-1])),
    "a shape beyond integers": frame_of(array_head("float64", [0, 2**63])),
    "a product beyond integers": frame_of(array_head("uint8", [2**32, 2**32])),
    "an object array": frame_of(array_head("object", [1]), bytes(16)),
    "a void array": frame_of(array_head("V8", [1]), bytes(16)),
    "a shape of floats": frame_of(array_head("float64", [1.0]), bytes(16)),
    "too many dimensions": frame_of(array_head("uint8", [1] * 9), bytes(16)),
    "an integer key": frame_of(msgpack.packb({1: 2})),
    "a nested bomb": frame_of(b"\x91" * 100_000 + b"\xc0"),
    "a list that announces four billion items": frame_of(b"\xdd\xff\xff\xff\xff"),
    "a string that is not UTF-8": frame_of(b"\xa2\xff\xfe"),
    "an unknown extension": frame_of(msgpack.packb(msgpack.ExtType(99, b""))),
    "a negative handle": frame_of(msgpack.packb(msgpack.ExtType(protocol.HANDLE, b"-1"))),
    "an endless integer": frame_of(msgpack.packb(msgpack.ExtType(protocol.BIG_INTEGER, b"9" * 5000))),
    "an integer of words": frame_of(msgpack.packb(msgpack.ExtType(protocol.BIG_INTEGER, b"nine"))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_frames_are_refused(name):
    with pytest.raises(MalformedFrame):
        decode(MALFORMED[name])


def test_a_frame_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(protocol, "MAX_FRAME_BYTES", 10)
    with pytest.raises(MalformedFrame):
        decode(frame_of(b"\xc0" + bytes(20)))


def only_plain(value) -> bool:
    if type(value) in (list, dict):
        return all(map(only_plain, value.values() if type(value) is dict else value))
    return value is None or type(value) in (bool, int, float, str, bytes, np.ndarray, torch.Tensor, Handle, Callback, GeneratorState)


def test_any_bytes_give_a_plain_value_or_malformed_frame():
    """Random bytes, and valid frames with bytes changed, cut and inserted: 6000 frames from a fixed seed."""
    rng = random.Random(1)
    valid = [encode(value) for value in [*PLAIN, *ARRAYS, [PLAIN, ARRAYS], {"value": [torch.ones(2, 3), {"a": 1}]}]]
    decoded = 0
    for _ in range(6000):
        frame = bytearray(rng.choice(valid) if rng.random() < 0.8 else rng.randbytes(rng.randrange(40)))
        for _ in range(rng.randrange(1, 4)):
            position = rng.randrange(len(frame) + 1)
            frame[position : position + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        try:
            assert only_plain(decode(frame))
            decoded += 1
        except MalformedFrame:
            pass
    assert decoded > 100  # or else the mutations were too coarse to test anything


def test_a_byte_that_is_no_truth_value_is_made_one():
    frame = bytearray(encode(np.array([True])))
    frame[-1] = 255
    assert decode(frame).view(np.uint8)[0] == 1


@pytest.fixture
def ends():
    first, second = socket.socketpair()
    with first, second:
        yield Channel(first.fileno()), second


def soon(seconds=0.05):
    return time.monotonic() + seconds


def test_frames_cross_a_channel_whatever_their_size(ends):
    channel, other = ends
    frames = [b"", b"x", bytes(3_000_000)]

    def echo():
        far = Channel(other.fileno())
        for _ in frames:
            far.send(far.receive())

    thread = threading.Thread(target=echo)
    thread.start()
    for frame in frames:
        channel.send(frame, soon(20))
        assert channel.receive(soon(20)) == frame
    thread.join()


@pytest.mark.parametrize("sent", [b"", b"\x05\x00", b"\x05\x00\x00\x00abc"])
def test_silence_and_half_a_frame_are_overdue(ends, sent):
    ends[1].sendall(sent)
    with pytest.raises(Overdue):
        ends[0].receive(soon())


def test_a_flood_does_not_outlast_the_deadline(ends):
    ends[1].sendall(b"\x01\x00\x00\x00x" * 100)
    ends[0].receive(soon(10))
    with pytest.raises(Overdue):
        ends[0].receive(time.monotonic() - 1)


def test_a_reader_that_does_not_read_is_overdue(ends):
    with pytest.raises(Overdue):
        ends[0].send(bytes(10_000_000), soon())


def test_an_announced_length_beyond_the_limit_is_malformed(ends):
    ends[1].sendall(b"\xff\xff\xff\xff")
    with pytest.raises(MalformedFrame):
        ends[0].receive(soon())


def test_a_closed_channel_is_disconnected(ends):
    channel, other = ends
    other.sendall(b"\x05\x00")
    other.close()
    with pytest.raises(Disconnected):
        channel.receive(soon())
    with pytest.raises(Disconnected):
        channel.expect_silence()
    with pytest.raises(Disconnected):
        channel.send(b"x", soon())


def test_unasked_bytes_are_noticed(ends):
    channel, other = ends
    channel.expect_silence()
    other.sendall(b"x")
    with pytest.raises(MalformedFrame):
        channel.expect_silence()
