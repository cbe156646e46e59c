"""The table of the overlapping sequences that a replay holds, and the memory of their rows and recurrent states."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npfl139.replay import StreamStore, SumTree, replace_array

__all__ = ["SequenceTable", "Sequences"]


class Sequences(NamedTuple):
    """A batch of B sequences drawn from a replay; numpy arrays.

    In `rows`, all of [l + m + 1, B, ...], row l + t holds step t of the sequence, t = 0 ... length - 1. Row l + length holds what the
    network sees after the last step, as the next row of the episode or as its last observation. The l rows before are the burn-in.
    """

    key: np.ndarray  # [B] the numbers of the sequences, for `update_priorities`
    probability: np.ndarray  # [B] with which each was drawn
    warm: np.ndarray  # [B] bool: the sequence starts inside an episode, so it has a burn-in
    state: np.ndarray  # [B, S] the recurrent state as stored: before the burn-in, or zeros where there is none
    length: np.ndarray  # [B] 1 ... m, how many steps there are
    rows: dict[str, np.ndarray]  # each [l + m + 1, B, ...]


class SequenceTable:
    """The rows of several streams, and a table of weighted sequences of them, in memory that is allocated once.

    Which sequences there are and what they weigh is the subclass's decision. It calls `append`, `insert` and `tree`.
    """

    def __init__(
        self,
        fields: Mapping[str, Sequence],
        streams: int,
        rows: int,
        sequences: int,
        length: int,
        period: int,
        burn_in: int,
        state_size: int,
        priority_exponent: float,
    ):
        """Make an empty replay.

        Args:
            fields: (shape, dtype[, stack]) of each column of a row by name, as for `npfl139.replay.StreamStore`.
            streams: how many; each belongs to one environment.
            rows: kept of each stream.
            sequences: kept at most; the oldest go first, also when their rows are overwritten.
            length: m.
            period: distance of the starts of sequences, at most m.
            burn_in: l, at most the period.
            state_size: S.
            priority_exponent: how strongly to prefer large priorities; 0 samples uniformly.

        Raises:
            ValueError: burn_in ≤ period ≤ length does not hold, or the memory is too small for the sequences of every stream.
        """
        if not 0 <= burn_in <= period <= length or period < 1:
            raise ValueError(f"burn_in ≤ period ≤ length must hold, got {burn_in}, {period} and {length}")
        self.store = StreamStore(fields, streams, rows)
        self.states = StreamStore({"state": ((state_size,), "float32")}, streams, burn_in + length + 2)
        self.length, self.period, self.burn_in, self.priority_exponent = length, period, burn_in, priority_exponent
        self._margin = burn_in + max(field.stack for field in self.store.fields.values()) - 1
        if rows < self._margin + length + period + 2 or sequences < streams:
            raise ValueError(f"{rows} rows of a stream and {sequences} sequences are too few for {streams} streams and {length} steps")

        self.count = np.zeros(streams, np.int64)  # rows of the running episode so far
        self.next_start = np.zeros(streams, np.int64)  # the step of the running episode at which its next sequence starts
        self.covered = np.zeros(streams, np.int64)  # steps of the running episode that are in some sequence

        self.key = np.full(sequences, -1, np.int64)
        self.stream, self.start, self.steps, self.episode = np.zeros((4, sequences), np.int64)
        self.state = np.zeros((sequences, state_size), np.float32)
        self.tree = SumTree(sequences)
        self.added, self.size, self.max_priority = 0, 0, 1.0  # sequences ever, sequences now, the greatest priority ever given
        self._slot_at = np.full((rows, streams), -1, np.int64)  # the slot of the sequence that starts at the row

    def __len__(self) -> int:
        """Return how many sequences can be drawn."""
        return self.size

    @property
    def nbytes(self) -> int:
        """Memory in bytes, the same from the first row to the last."""
        table = (self.key, self.stream, self.start, self.steps, self.episode, self.state, self._slot_at)
        return self.store.nbytes + self.states.nbytes + self.tree.nbytes + sum(array.nbytes for array in table)

    @property
    def weights(self) -> np.ndarray:
        """The weight of every slot; 0 where there is no sequence."""
        return self.tree[np.arange(len(self.key))]

    def append(self, stream: np.ndarray, row: Mapping[str, np.ndarray], state: np.ndarray) -> None:
        """Append a row and the state before it to each of the K streams, evicting the sequences whose rows are overwritten."""
        doomed = self._slot_at[(self.store.written[stream] + self._margin) % self.store.rows, stream]
        self._evict(doomed[doomed >= 0])
        self.store.append(stream, row)
        self.states.append(stream, {"state": state})
        self.count[stream] += 1

    def insert(self, stream: np.ndarray, start: np.ndarray, steps: np.ndarray) -> None:
        """Store the sequence of `steps` steps that begins at step `start` of the running episode of each of the K streams."""
        if len(stream) == 0:
            return
        key = self.added + np.arange(len(stream))
        slot = key % len(self.key)
        self._evict(slot[self.key[slot] >= 0])
        episode = self.store.written[stream] - self.count[stream]
        warm = start > 0
        state = self.states.read(stream, (episode + start - self.burn_in * warm)[None], episode)["state"][0]
        self.key[slot], self.stream[slot], self.episode[slot] = key, stream, episode
        self.start[slot], self.steps[slot] = episode + start, steps
        self.state[slot] = np.where(warm[:, None], state, 0)
        self._slot_at[self.start[slot] % self.store.rows, stream] = slot
        # Deviation: the paper's actors compute first priorities from their own TD errors; new sequences here are as urgent as any has
        # ever been.
        self.tree.set(slot, self.max_priority**self.priority_exponent)
        self.added += len(stream)
        self.size += len(stream)

    def rows_at(self, stream: np.ndarray, position: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows [T, K, ...] at the positions [T, K] of the K streams; a stack of frames goes back to row 0 of the stream.

        Raises:
            IndexError: a row has not been written yet, or is no longer kept.
        """
        return self.store.read(stream, position, np.zeros_like(stream))

    def restart(self, stream: np.ndarray) -> None:
        """Let the next row of each of the K streams be the first of an episode."""
        self.count[stream] = self.next_start[stream] = self.covered[stream] = 0

    def reweigh(self, slot: np.ndarray, weight: np.ndarray) -> None:
        """Set the weights of the K slots, which hold sequences."""
        self.tree.set(slot, weight)

    def save(self, directory: Path) -> None:
        """Store all that can be sampled in a directory, writing only the rows that are new. `load` goes on from there.

        Raises:
            OSError: the directory cannot be written.
        """
        self.store.save(directory)
        table = np.zeros(len(self.key), self._entry_type)
        for name in table.dtype.names[:-1]:
            table[name] = getattr(self, name)
        table["weight"] = self.weights
        replace_array(directory / "sequences.npy", table)
        replace_array(directory / "counters.npy", np.array([self.added, self.max_priority]))

    def load(self, directory: Path) -> None:
        """Continue, with new episodes in all streams, from what was last saved, whether or not a later attempt was interrupted.

        Raises:
            OSError: there are no such files.
            ValueError: they are of another replay.
        """
        intact = self.store.load(directory)
        self.states.written[:] = self.store.written
        table = np.load(directory / "sequences.npy")
        if table.dtype != self._entry_type or len(table) != len(self.key):
            raise ValueError(f"{directory} holds {len(table)} sequences of another kind than the {len(self.key)} of this replay")
        for name in table.dtype.names[:-1]:
            getattr(self, name)[:] = table[name]
        added, self.max_priority = np.load(directory / "counters.npy")
        self.added = int(added)
        slot = np.flatnonzero(self.key >= 0)
        self._slot_at[self.start[slot] % self.store.rows, self.stream[slot]] = slot
        self.reweigh(slot, table["weight"][slot])
        self.size = len(slot)
        needed = np.maximum(self.start[slot] - self._margin, self.episode[slot])
        self._evict(slot[needed < intact[self.stream[slot]]])

    @property
    def _entry_type(self) -> np.dtype:
        whole = [(name, "int64") for name in ("key", "stream", "start", "steps", "episode")]
        return np.dtype([*whole, ("state", "float32", self.state.shape[1:]), ("weight", "float64")])

    def _evict(self, slot: np.ndarray) -> None:
        self._slot_at[self.start[slot] % self.store.rows, self.stream[slot]] = -1
        self.key[slot] = -1
        self.tree.set(slot, 0.0)
        self.size -= len(slot)
