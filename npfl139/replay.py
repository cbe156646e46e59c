"""Memories of what happened, from which learners draw: bounded, allocated once, every row stored once."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from npfl139.files import write_atomically

__all__ = ["Field", "StreamStore", "SumTree", "UniformReplay", "replace_array"]


class UniformReplay:
    """The last `capacity` steps of B rows, from which windows of consecutive steps are drawn uniformly.

    What a step consists of is up to the caller: named tensors [B, ...], the same names and shapes at every `add`.
    A window may span the end of an episode; the caller stores what tells, such as `same_episode`.
    """

    def __init__(self, capacity: int):
        """Make an empty memory for `capacity` steps of each row."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.capacity, self.added = capacity, 0
        self._columns: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Return how many consecutive steps of each row are remembered."""
        return min(self.added, self.capacity)

    def add(self, **step: Tensor) -> None:
        """Remember one step of all rows, tensors [B, ...]; it replaces the oldest one when the memory is full."""
        if not self._columns:
            self._columns = {name: tensor.new_zeros(self.capacity, *tensor.shape) for name, tensor in step.items()}
        if step.keys() != self._columns.keys():
            raise ValueError(f"a step must consist of {sorted(self._columns)}, got {sorted(step)}")
        for name, tensor in step.items():
            self._columns[name][self.added % self.capacity] = tensor
        self.added += 1

    def sample(self, count: int, length: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `count` windows of `length` consecutive steps, drawn with replacement, as named tensors [length, count, ...].

        Raises:
            ValueError: fewer than `length` steps are remembered.
        """
        if len(self) < length:
            raise ValueError(f"a window of {length} steps was asked for, but only {len(self)} are remembered")
        rows = len(next(iter(self._columns.values()))[0])
        oldest = self.added - len(self)
        start = oldest + torch.randint(len(self) - length + 1, (count,), generator=generator)
        row = torch.randint(rows, (count,), generator=generator)
        when = (start + torch.arange(length)[:, None]) % self.capacity
        return {name: column[when, row] for name, column in self._columns.items()}


class SumTree:
    """Non-negative weights of `capacity` leaves, all zero at first, kept with their partial sums in a complete binary tree.

    Setting k weights and finding k leaves both cost O(k log capacity). Every inner node is always the float64 sum of its two children, so
    no rounding error builds up over updates.
    """

    def __init__(self, capacity: int):
        if capacity < 1:
            raise ValueError(f"a sum tree needs at least one leaf, got capacity {capacity}")
        self.capacity = capacity
        self._depth = (capacity - 1).bit_length()
        self._first_leaf = 1 << self._depth
        self._nodes = np.zeros(2 * self._first_leaf)  # the root is 1, the children of i are 2i and 2i + 1

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._nodes[1])

    @property
    def nbytes(self) -> int:
        """Memory in bytes: at most 32 per leaf."""
        return self._nodes.nbytes

    def __getitem__(self, leaf: np.ndarray) -> np.ndarray:
        """Return the weights [K] of the leaves [K]."""
        return self._nodes[self._first_leaf + leaf]

    def set(self, leaf: np.ndarray, weight: np.ndarray | float) -> None:
        """Set the weights of the leaves [K]; of a leaf given twice the last weight counts.

        Raises:
            ValueError: a weight is negative, infinite or NaN.
        """
        if not (np.isfinite(weight) & (np.asarray(weight) >= 0)).all():
            raise ValueError("the weights of a sum tree must be finite and non-negative; a TD error of NaN or infinity is the usual cause")
        if len(leaf) == 0:
            return
        node = self._first_leaf + leaf
        self._nodes[node] = weight
        for _ in range(self._depth):
            node = node >> 1
            self._nodes[node] = self._nodes[2 * node] + self._nodes[2 * node + 1]

    def find(self, mass: np.ndarray) -> np.ndarray:
        """Return for each mass [K] in [0, total) the leaf in whose span of the cumulative weights it falls; never one of weight zero.

        Raises:
            ValueError: all weights are zero.
        """
        if self.total == 0:
            raise ValueError("there is nothing to sample: all weights are zero")
        mass = np.array(mass, np.float64)
        node = np.ones(mass.shape, np.int64)
        for _ in range(self._depth):
            node *= 2
            left = self._nodes[node]
            right = (mass >= left) & (self._nodes[node + 1] > 0)  # the second condition: a mass rounded up to the total
            mass -= left * right
            node += right
        return node - self._first_leaf


class Field(NamedTuple):
    """What one named column of a `StreamStore` holds."""

    shape: Sequence[int]  # of one row
    dtype: str
    stack: int = 1  # rows that are read together, the newest last, as one value [stack, *shape]; each is stored once all the same


class StreamStore:
    """The newest rows of each of several streams, in arrays that are allocated once.

    A stream is what one environment produces: rows of named columns, numbered 0, 1, 2, ... for ever. The newest `rows` of
    them are kept. A row is stored once, however many overlapping sequences or stacks of frames it is read in.
    """

    def __init__(self, fields: Mapping[str, Sequence], streams: int, rows: int):
        """Allocate memory for `rows` rows of each of `streams` streams; `fields` gives (shape, dtype[, stack]) by name."""
        if streams < 1 or rows < 1:
            raise ValueError(f"streams and rows must be at least 1, got {streams} and {rows}")
        self.fields = {name: Field(*field) for name, field in fields.items()}
        self.rows = rows
        self.written = np.zeros(streams, np.int64)  # rows of each stream so far
        self.columns = {name: np.zeros((rows, streams, *field.shape), field.dtype) for name, field in self.fields.items()}
        self._saved = np.zeros_like(self.written)  # what `written` was when the rows were last saved
        self._saved_in: Path | None = None

    @property
    def nbytes(self) -> int:
        """Memory in bytes, fixed from the start: the sum over fields of rows · streams · the size of one row."""
        return sum(column.nbytes for column in self.columns.values()) + self.written.nbytes

    def append(self, stream: np.ndarray, row: Mapping[str, np.ndarray]) -> None:
        """Write the next row of each of the K distinct streams, `row[name]` being [K, *shape].

        Raises:
            ValueError: the names or the shapes of the row are not those of the fields.
        """
        if row.keys() != self.fields.keys():
            raise ValueError(f"a row must have the columns {sorted(self.fields)}, got {sorted(row)}")
        if len(stream) == 0:
            return
        index = self.written[stream] % self.rows
        for name, column in self.columns.items():
            expected = (len(stream), *column.shape[2:])
            if np.shape(row[name]) != expected:
                raise ValueError(f"{name} must have shape {list(expected)}, got {list(np.shape(row[name]))}")
            column[index, stream] = row[name]
        self.written[stream] += 1

    def read(self, stream: np.ndarray, position: np.ndarray, oldest: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows [T, B, ...] at the positions [T, B] of the streams [B].

        A stack that would reach before the row `oldest` [B], the first of the episode, repeats that row.

        Raises:
            IndexError: a row has not been written yet, or is no longer kept.
        """
        if (position >= self.written[stream]).any() or (position < np.maximum(self.written[stream] - self.rows, 0)).any():
            raise IndexError("a row was asked for that is not, or no longer, in the store")
        result = {}
        for name, field in self.fields.items():
            column = self.columns[name]
            if field.stack == 1:
                result[name] = column[position % self.rows, stream]
            else:
                behind = np.arange(1 - field.stack, 1)
                index = np.maximum(position[..., None] + behind, oldest[:, None]) % self.rows
                result[name] = column[index, stream[:, None]]
        return result

    def save(self, directory: Path) -> None:
        """Make the files in the directory hold the kept rows, writing only those that are new since the last time.

        If the process is killed meanwhile, the files hold what they held before, except for the oldest rows: see `load`.

        Raises:
            OSError: the disk is full, or the directory cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if self._saved_in != directory:
            self._saved, self._saved_in = np.zeros_like(self.written), directory
        replace_array(directory / "reaching.npy", self.written)
        oldest = np.maximum(self._saved, self.written - self.rows)
        position = oldest + np.arange((self.written - oldest).max())[:, None]
        moment, stream = np.nonzero(position < self.written)
        index = position[moment, stream] % self.rows
        for name, column in self.columns.items():
            path = directory / f"{name}.npy"
            file = open_memmap(path, "r+") if path.exists() else open_memmap(path, "w+", column.dtype, column.shape)
            file[index, stream] = column[index, stream]
            file.flush()
        replace_array(directory / "written.npy", self.written)
        self._saved = self.written.copy()

    def load(self, directory: Path) -> np.ndarray:
        """Continue with the rows that were saved in the directory; return for each stream the first row [B] that is sure to be intact.

        Raises:
            OSError: there are no such files.
            ValueError: they are of a store of other fields, streams or rows.
        """
        for name, column in self.columns.items():
            file = np.load(directory / f"{name}.npy", mmap_mode="r")
            if file.shape != column.shape or file.dtype != column.dtype:
                kept, expected = ([list(array.shape), str(array.dtype)] for array in (file, column))
                raise ValueError(f"{directory} holds {name} of shape and type {kept}, not {expected}")
            column[:] = file
        self.written[:] = np.load(directory / "written.npy")
        self._saved, self._saved_in = self.written.copy(), directory
        return np.maximum(np.load(directory / "reaching.npy") - self.rows, 0)


def replace_array(path: Path, array: np.ndarray) -> None:
    """Write an array into a .npy file, which has its old content until all of the new one is there."""
    content = io.BytesIO()
    np.save(content, array)
    write_atomically(path, content.getvalue())
