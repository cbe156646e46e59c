# %% [markdown]
# # R2D2: Recurrent Replay Distributed DQN
#
# A Q-network with a memory, trained from replayed sequences. Three questions make it an algorithm of its own. What should the memory hold
# when a sequence is replayed that began in the middle of an episode? How are long sequences chosen and weighted? And how do
# many actors explore at once? The answers: the recurrent state is stored with each sequence and refreshed by a burn-in;
# sequences overlap and are drawn by a mixture of their largest and their mean error; every actor has an ε of its own.
#
# The rest is the state of the art that it builds on: double Q-learning over n steps, values squeezed by $h$, dueling heads,
# prioritized replay.

# %%
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import VectorEnv
from torch import nn

import npfl139.runs
from npfl139.config import Config
from npfl139.envs import expect_spaces
from npfl139.nets import MLP, orthogonal_
from npfl139.replay import StreamStore, SumTree, replace_array
from npfl139.rollout import Collector
from npfl139.seeding import numpy_stream, torch_stream
from npfl139.shapes import expect_shape
from solutions.transformed_rewards import rescale, rescale_inverse

Tensor = torch.Tensor
Network = Callable[[dict[str, Tensor], Tensor], tuple[Tensor, Tensor]]  # (inputs [T, B, ...], state [B, S]) -> (q [T, B, A], state [B, S])


# %% [markdown]
# ## Values and targets


# %%
def dueling(value: Tensor, advantage: Tensor) -> Tensor:
    """Return the action values that the two heads of a dueling network stand for [r2d2:dueling].

        q(s, a) = v(s) + A(s, a) - mean over a' of A(s, a')

    Without the mean a constant could move from one head to the other, and neither would be determined.

    Args:
        value: [..., 1] v(s).
        advantage: [..., A] A(s, ·).

    Returns:
        [..., A].

    Source: Wang et al. (2016), arXiv:1511.06581, Eq. 9.

    >>> dueling(torch.tensor([[1.0]]), torch.tensor([[0.0, 2.0, 7.0]]))
    tensor([[-2.,  0.,  5.]])
    """
    raise NotImplementedError("dueling")


def n_step_double_q_targets(
    reward: Tensor, discount: Tensor, same_episode: Tensor, q_online_next: Tensor, q_target_next: Tensor, steps: int
) -> Tensor:
    """Return n-step double Q-learning targets [r2d2:double].

        y_t = R_t + γ_t R_{t+1} + … + γ_t ⋯ γ_{t+m-2} R_{t+m-1} + γ_t ⋯ γ_{t+m-1} q_target(s', argmax_a q_online(s', a))

    where R_t is `reward[t]`, γ_t is `discount[t]` and s' is the true successor of step t + m - 1. The sum has m = n rewards, but
    fewer where it would go on beyond the arrays or into another episode: step t + m - 1 is at the latest the last row, and at the
    latest the first one from t on whose `same_episode` is 0. The online network chooses the action, the target network says what it
    is worth.

    Args:
        reward: [T, B] R_t, the reward for step t.
        discount: [T, B] γ_t: γ, or 0 where the episode terminated with step t.
        same_episode: [T, B] 0 where row t + 1 belongs to another episode, else 1. An episode that was truncated with step t
            has `same_episode[t]` 0 and `discount[t]` γ.
        q_online_next: [T, B, A] values of the true successor of step t under the online network.
        q_target_next: [T, B, A] the same under the target network.
        steps: n ≥ 1.

    Returns:
        [T, B] constants, through which no gradient flows.

    Raises:
        ValueError: the shapes of the arguments do not fit one another.

    Source: Kapturowski et al. (2019), Section 2.3; van Hasselt et al. (2016), arXiv:1509.06461, Eq. 4.

    >>> one = torch.ones(3, 1)
    >>> q_online, q_target = torch.tensor([[[0.0, 1.0]]] * 3), torch.tensor([[[9.0, 4.0]]] * 3)
    >>> n_step_double_q_targets(one, 0.5 * one, one, q_online, q_target, 2).squeeze(1)  # 1 + 1/2 + 4/4, and 1 + 4/2 at the end
    tensor([2.5000, 2.5000, 3.0000])
    """
    raise NotImplementedError("n_step_double_q_targets")


def transformed_double_q_targets(
    reward: Tensor,
    discount: Tensor,
    same_episode: Tensor,
    q_online_next: Tensor,
    q_target_next: Tensor,
    steps: int,
    epsilon: float,
) -> Tensor:
    """Return the targets of R2D2, whose networks represent values transformed by h [r2d2:targets].

        y_t = h(the n-step double Q-learning target of the rewards and of the values h⁻¹(q))

    Rewards are added to values only on their own scale. h is increasing, so it changes no argmax.

    Args:
        reward: [T, B]; this and the next four as for `n_step_double_q_targets`.
        discount: [T, B].
        same_episode: [T, B].
        q_online_next: [T, B, A] transformed values.
        q_target_next: [T, B, A] transformed values.
        steps: n ≥ 1.
        epsilon: ε of h; `rescale` is h and `rescale_inverse` is h⁻¹.

    Returns:
        [T, B] targets for the transformed values, through which no gradient flows.

    Source: Kapturowski et al. (2019), Section 2.3.

    >>> one, q = torch.ones(1, 1), torch.tensor([[[1.0]]])  # with ε = 0, h(3) = 1
    >>> transformed_double_q_targets(5 * one, one, one, q, q, 1, 0.0)  # h(5 + 3)
    tensor([[2.]])
    """
    raise NotImplementedError("transformed_double_q_targets")


# %% [markdown]
# ## Which sequences to replay


# %%
def sequence_priority(td_error: Tensor, mask: Tensor, max_weight: float) -> Tensor:
    """Return the priority of each sequence [r2d2:priority].

        p = η max_t |δ_t| + (1 - η) mean_t |δ_t|

    The mean of a long sequence washes out the few large errors worth replaying; hence η close to 1.

    Args:
        td_error: [T, B] δ_t; arbitrary where the mask is 0.
        mask: [T, B] 1 for the steps that count, 0 for the rest. Every sequence has at least one step.
        max_weight: η in [0, 1].

    Returns:
        [B].

    Source: Kapturowski et al. (2019), Section 2.3.

    >>> sequence_priority(torch.tensor([[1.0], [-3.0], [2.0]]), torch.ones(3, 1), 0.9)
    tensor([2.9000])
    """
    raise NotImplementedError("sequence_priority")


def importance_weights(probability: Tensor, size: int, exponent: float) -> Tensor:
    """Return the weights that undo, partly, the bias of prioritized sampling [r2d2:importance].

        w_i = (N P(i))^(-β) / max_j (N P(j))^(-β)

    Args:
        probability: [B] P(i) > 0, with which each sequence of the batch was drawn.
        size: N, how many sequences the replay holds.
        exponent: β in [0, 1]; 1 undoes the bias, 0 leaves it.

    Returns:
        [B] in (0, 1]; the largest of the batch is 1, so that weights only ever scale updates down.

    Source: Schaul et al. (2016), arXiv:1511.05952, Section 3.4.

    >>> importance_weights(torch.tensor([0.5, 0.125]), 4, 0.5)
    tensor([0.5000, 1.0000])
    """
    raise NotImplementedError("importance_weights")


class Sequences(NamedTuple):
    """A batch of B sequences drawn from a `SequenceReplay`; numpy arrays.

    In `rows`, all of [l + m + 1, B, ...], row l + t holds step t of the sequence, t = 0 ... length - 1. Row l + length holds what the
    network sees after the last step, as the next row of the episode or as its last observation. The l rows before are the burn-in.
    """

    key: np.ndarray  # [B] the numbers of the sequences, for `update_priorities`
    probability: np.ndarray  # [B] with which each was drawn
    warm: np.ndarray  # [B] bool: the sequence starts inside an episode, so it has a burn-in
    state: np.ndarray  # [B, S] the recurrent state as stored: before the burn-in, or zeros where there is none
    length: np.ndarray  # [B] 1 ... m, how many steps there are
    rows: dict[str, np.ndarray]  # each [l + m + 1, B, ...]


class SequenceReplay:
    """Prioritized replay of overlapping sequences with stored recurrent states, in memory that is allocated once.

    B environments each produce a stream of rows. A row is kept once, in `store`, although sequences overlap. In each episode the
    sequences start at its steps 0, period, 2·period, … and have m steps (`length`), except that the last one ends with the episode. A
    sequence never crosses an episode's boundary. One that starts inside an episode also owns the l rows before it (`burn_in`), and the
    recurrent state from before those.

    A sequence is a slot in a table: `key` (its number, or -1 in a slot that holds none), `stream`, `start` (the row of its step 0,
    counted as `store` does), `steps` (how many there are), `episode` (the first row of its episode), `state`. Sequence number k is in
    slot k modulo the table's size. `tree` holds the weight of each slot, priority^exponent.

    Memory: streams · rows · (bytes of a row + 8) + sequences · (4·S + 80) + streams · (l + m + 2) · 4·S bytes, `nbytes`, whatever
    happens. With the paper's 4·10⁶ rows of one 84 × 84 frame and 10⁵ sequences with the states of an LSTM of 512 units that is 28.9 GB.
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
            streams: B, the environments that are stepped together.
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

    def add(self, row: Mapping[str, np.ndarray], state: np.ndarray, ended: np.ndarray, successor: Mapping[str, np.ndarray]) -> None:
        """Store one step of all streams, and the sequences that it completes [r2d2:sequences].

        First append the row of every stream; to the streams that ended also append their successor, a row that holds only what
        the network sees after the last step. Call `self._append` for both; it also makes room by evicting.

        Then a sequence that starts at step s of its episode is stored as soon as the row after its last step is there: when the
        episode has at least s + m + 1 rows. The next one starts a period later. When an episode ends with steps that are in no
        sequence yet, one more is stored, which starts where the next one would have and ends with the episode, so it may be shorter
        than m. Call `self._insert(stream, start, steps)`, three arrays [K], for the K streams where a sequence is complete.

        In the end `count`, `next_start` and `covered` are 0 in the streams that ended: their next row starts an episode.

        Args:
            row: by name [B, ...], one step of each stream.
            state: [B, S] the recurrent state before the network saw the row.
            ended: [B] bool, whether the episode terminated or was truncated with this step.
            successor: by name [B, ...], like `row`; read only where the episode ended.

        Source: Kapturowski et al. (2019), Section 2.3.

        >>> replay = SequenceReplay({"x": ((), "float32")}, 1, 20, 5, length=4, period=2, burn_in=0, state_size=1, priority_exponent=1.0)
        >>> for t in range(7):  # an episode of 7 steps: sequences of its steps 0-3, 2-5 and 4-6
        ...     replay.add({"x": np.array([t])}, np.zeros((1, 1)), np.array([t == 6]), {"x": np.array([t + 1])})
        >>> replay.start[:3].tolist(), replay.steps[:3].tolist()
        ([0, 2, 4], [4, 4, 3])
        """
        raise NotImplementedError("SequenceReplay.add")

    def sample(self, uniform: np.ndarray) -> Sequences:
        """Return a batch of sequences, drawn in proportion to their weights and stratified [r2d2:sample].

        The cumulative weights are cut into as many equal parts as there are sequences to draw, and one is drawn from each: sequence i
        of B is where `self.tree.find` sees the mass (i + u_i) / B · total. Its rows are the l before its start, its steps and the one
        after, m + l + 1 in all; where there are fewer, as at the start of an episode and after a short sequence, the nearest one is
        repeated.

        Args:
            uniform: [B] random numbers u_i in [0, 1).

        Raises:
            ValueError: the replay holds no sequence.

        Source: Schaul et al. (2016), arXiv:1511.05952, Section 3.3 and Appendix B.2.1.
        """
        raise NotImplementedError("SequenceReplay.sample")

    def update_priorities(self, key: np.ndarray, priority: np.ndarray) -> None:
        """Give sequences the priorities that replaying them showed [r2d2:update].

        The weight of a sequence becomes max(p, 10⁻⁶)^exponent, so that every sequence keeps a chance. A sequence that was evicted
        since it was drawn is no longer there (its slot holds another key, or -1): its priority is dropped. `self.max_priority`, which
        new sequences get, is the greatest priority ever given to a sequence that was still there.

        Args:
            key: [B] as `sample` returned them.
            priority: [B] p ≥ 0.
        """
        raise NotImplementedError("SequenceReplay.update_priorities")

    def save(self, directory: Path) -> None:
        """Store all that can be sampled in a directory, writing only the rows that are new. `load` goes on from there.

        Raises:
            OSError: the directory cannot be written.
        """
        self.store.save(directory)
        table = np.zeros(len(self.key), self._entry_type)
        for name in table.dtype.names[:-1]:
            table[name] = getattr(self, name)
        table["weight"] = self.tree[np.arange(len(table))]
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
        self.tree.set(slot, table["weight"][slot])
        self.size = len(slot)
        needed = np.maximum(self.start[slot] - self._margin, self.episode[slot])
        self._evict(slot[needed < intact[self.stream[slot]]])

    @property
    def _entry_type(self) -> np.dtype:
        whole = [(name, "int64") for name in ("key", "stream", "start", "steps", "episode")]
        return np.dtype([*whole, ("state", "float32", self.state.shape[1:]), ("weight", "float64")])

    def _append(self, stream: np.ndarray, row: Mapping[str, np.ndarray], state: np.ndarray) -> None:
        """Append a row and the state before it to each of the K streams, evicting the sequences whose rows are overwritten."""
        doomed = self._slot_at[(self.store.written[stream] + self._margin) % self.store.rows, stream]
        self._evict(doomed[doomed >= 0])
        self.store.append(stream, row)
        self.states.append(stream, {"state": state})
        self.count[stream] += 1

    def _insert(self, stream: np.ndarray, start: np.ndarray, steps: np.ndarray) -> None:
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

    def _evict(self, slot: np.ndarray) -> None:
        self._slot_at[self.start[slot] % self.store.rows, self.stream[slot]] = -1
        self.key[slot] = -1
        self.tree.set(slot, 0.0)
        self.size -= len(slot)


# %% [markdown]
# ## The recurrent state


# %%
def unroll(network: Network, inputs: dict[str, Tensor], state: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return the action values along sequences that may hold several episodes, and the final state [r2d2:unroll].

        h_{t-1} ← 0 where an episode starts with row t;    q_t, h_t = network(x_t, h_{t-1})

    The network takes any number of rows at once, and is fastest if called seldom: it need be called only once where no episode starts
    after row 0. It knows nothing of episodes, so a state must be set to zero before the network sees the first row of one.

    Args:
        network: maps (inputs [T, B, ...], state [B, S]) to (q [T, B, A], state [B, S]), for any T ≥ 1.
        inputs: by name [T, B, ...], what the network sees.
        state: [B, S] before row 0; it is not changed.
        first: [T, B] bool, whether an episode starts with the row.

    Returns:
        q [T, B, A] and the state [B, S] after row T - 1.

    >>> def adding(inputs, state):  # a network whose q is its state, the sum of all inputs
    ...     q = state + inputs["x"].cumsum(0)
    ...     return q, q[-1]
    >>> first = torch.tensor([[False], [False], [True]])
    >>> q, state = unroll(adding, {"x": torch.ones(3, 1, 1)}, torch.tensor([[5.0]]), first)
    >>> q.flatten(), state
    (tensor([6., 7., 1.]), tensor([[1.]]))
    """
    raise NotImplementedError("unroll")


def burn_in(network: Network, inputs: dict[str, Tensor], state: Tensor, warm: Tensor) -> Tensor:
    """Return the states with which training starts [r2d2:burn_in].

        h_t = network(x_t, h_{t-1}) for the l rows of the burn-in, from the stored state, under the current parameters

    A stored state is stale: older parameters computed it. Some rows later most of that is gone. No gradient flows through the
    burn-in. A sequence that starts its episode has no burn-in: its rows here are only padding, and it keeps the state it has.

    Args:
        network: as for `unroll`.
        inputs: by name [l, B, ...], l ≥ 1 rows before the sequences, with no start of an episode among them.
        state: [B, S] as stored, before the burn-in.
        warm: [B] bool, whether the sequence has a burn-in.

    Returns:
        [B, S] constants, through which no gradient flows.

    Source: Kapturowski et al. (2019), Section 3.

    >>> def counting(inputs, state):
    ...     return state, state + len(inputs["x"])
    >>> burn_in(counting, {"x": torch.zeros(3, 2)}, torch.zeros(2, 1), torch.tensor([True, False]))
    tensor([[3.],
            [0.]])
    """
    raise NotImplementedError("burn_in")


def q_discrepancy(q_replayed: Tensor, q_reference: Tensor) -> Tensor:
    """Return how far the values in a replayed sequence are from what they should be, step by step [r2d2:discrepancy].

        ΔQ_t = ‖q_replayed(s_t, ·) - q_reference(s_t, ·)‖₂ / |max over t' and a of q_reference(s_t', a)|

    with the same parameters, but other recurrent states. Large values mean that the states of the replay are stale.

    Args:
        q_replayed: [T, B, A] unrolled from the state with which the replay begins the sequence.
        q_reference: [T, B, A] with the states that should be there.

    Returns:
        [T, B].

    Source: Kapturowski et al. (2019), Section 3.

    >>> q_discrepancy(torch.tensor([[[0.0, 0.0]], [[3.0, 1.0]]]), torch.tensor([[[3.0, 4.0]], [[3.0, 1.0]]])).squeeze(1)
    tensor([1.2500, 0.0000])
    """
    raise NotImplementedError("q_discrepancy")


# %% [markdown]
# ## Many actors


# %%
def actor_epsilons(count: int, base: float, exponent: float) -> Tensor:
    """Return the ε of the ε-greedy policy of each actor [r2d2:epsilons].

        ε_i = ε^(1 + α i / (N - 1)),    i = 0 ... N - 1

    A few explore much, and most are nearly greedy, which takes them far into the task. A single actor has ε_0 = ε.

    Args:
        count: N ≥ 1.
        base: ε in (0, 1).
        exponent: α ≥ 0.

    Returns:
        [N] of float32.

    Source: Horgan et al. (2018), arXiv:1803.00933, Section 4.1.

    >>> actor_epsilons(3, 0.5, 2.0)
    tensor([0.5000, 0.2500, 0.1250])
    """
    raise NotImplementedError("actor_epsilons")


# %% [markdown]
# ## The agent


# %%
@dataclass(frozen=True)
class R2D2Config(Config):
    """Hyperparameters; the defaults suit our recall tasks, `CONFIGS["paper"]` is the paper's column for Atari."""

    steps: int = 160_000  # environment steps in all
    env_count: int = 32  # N, actors, each with its own ε
    discount: float = 0.99  # γ
    return_steps: int = 5  # n, Kapturowski et al. (2019), Section 2.3
    rescale_epsilon: float = 1e-3  # ε of h, Table 2
    rewards: str = "rescaled"  # rescaled (by h) or clipped (to [-1, 1], without h)
    memory: str = "lstm"  # lstm, or none: a feed-forward network of the same size
    replayed_state: str = "stored"  # stored or zero: the recurrent state from which sequences are replayed
    sequence_length: int = 40  # m
    sequence_period: int = 20  # distance between the starts of sequences
    burn_in: int = 10  # l
    replay_rows: int = 30_000  # environment steps that the replay holds; more of them hold staler states, fewer are all alike
    replay_sequences: int = 6_000  # sequences that the replay holds
    learning_starts: int = 4_000  # environment steps before the first update
    steps_per_update: int = 128  # environment steps between two updates
    batch_size: int = 32  # B, sequences
    priority_exponent: float = 0.6  # 0.9 in the paper
    importance_exponent: float = 0.5  # β; 0.6 in the paper
    priority_max_weight: float = 0.9  # η, Section 2.3
    learning_rate: float = 8e-3  # of Adam at first
    # Deviation: the paper's learning rate is constant. With one large enough to learn our tasks in seconds the policy never settles.
    final_learning_rate: float = 0.0  # of Adam in the end; in between it falls linearly
    adam_epsilon: float = 1e-8  # 1e-3 in the paper
    max_gradient_norm: float = 40.0  # Wang et al. (2016)
    target_period: int = 25  # updates between two copies into the target network
    exploration_base: float = 0.4  # ε, Horgan et al. (2018)
    exploration_exponent: float = 3.0  # α; 7 in Horgan et al. (2018)
    torso_sizes: tuple[int, ...] = ()  # hidden layers before the LSTM, for observations that are vectors
    memory_size: int = 64  # units of the LSTM
    memory_span: float = 30.0  # steps over which a new LSTM remembers at most, Tallec and Ollivier (2018)
    head_size: int = 64  # units of the hidden layer of each dueling head
    frame_stack: int = 1  # observations that the network sees together

    def __post_init__(self):
        super().__post_init__()
        allowed = {"rewards": ("rescaled", "clipped"), "memory": ("lstm", "none"), "replayed_state": ("stored", "zero")}
        for field, choices in allowed.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be {' or '.join(choices)}, got {getattr(self, field)!r}")


CONFIGS = {
    "npfl139/TwoRooms-v0": R2D2Config(sequence_length=20, sequence_period=10, burn_in=4),
    "npfl139/CueRecall-v0": R2D2Config(steps=100_000, sequence_length=30, sequence_period=15, burn_in=5),
    "npfl139/MaskedCartPole-v0": R2D2Config(
        steps=250_000,
        sequence_length=20,
        sequence_period=10,
        burn_in=5,
        learning_rate=1e-3,
        target_period=50,
        replay_rows=50_000,
        memory_span=4.0,
    ),
    # Kapturowski et al. (2019), Table 2 and Section 2.3; what those leave open is Horgan et al. (2018), except for `memory_span`.
    # Deviation: the 256 actors share one process with the learner and always have its newest parameters, instead of
    # copying them every 400 steps. 256 actors at 260 steps/s and 5 updates/s make 13,312 steps per update.
    "paper": R2D2Config(
        steps=2_500_000_000,
        env_count=256,
        discount=0.997,
        sequence_length=80,
        sequence_period=40,
        burn_in=40,
        replay_rows=4_000_000,
        replay_sequences=100_000,
        learning_starts=50_000,
        steps_per_update=13_312,
        batch_size=64,
        priority_exponent=0.9,
        importance_exponent=0.6,
        learning_rate=1e-4,
        final_learning_rate=1e-4,
        adam_epsilon=1e-3,
        target_period=2500,
        exploration_exponent=7.0,
        memory_size=512,
        head_size=512,
        frame_stack=4,
    ),
}


class Convolutions(nn.Module):
    """The torso for images of uint8: [T, B, C, H, W] or [T, B, H, W] -> [T, B, output_size], three convolutions (Mnih et al., 2015)."""

    LAYERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # channels, kernel, stride

    def __init__(self, shape: Sequence[int], generator: torch.Generator):
        super().__init__()
        self.shape = channels, height, width = (1, *shape)[-3:]
        self.layers = nn.ModuleList()
        for outputs, kernel, stride in self.LAYERS:
            layer = nn.utils.skip_init(nn.Conv2d, channels, outputs, kernel, stride)
            orthogonal_(layer, 2**0.5, generator)
            self.layers.append(layer)
            channels, height, width = outputs, (height - kernel) // stride + 1, (width - kernel) // stride + 1
        if min(height, width) < 1:
            raise ValueError(f"images must be [C, H, W] or [H, W] with at least 36 × 36 pixels, got {list(shape)}")
        self.output_size = channels * height * width

    def forward(self, image: Tensor) -> Tensor:
        hidden = image.reshape(-1, *self.shape).float() / 255
        for layer in self.layers:
            hidden = layer(hidden).relu()
        return hidden.view(*image.shape[:2], self.output_size)


class Vectors(nn.Module):
    """The torso for vectors: [T, B, ...] -> [T, B, output_size], fully connected layers, or none at all."""

    def __init__(self, size: int, hidden_sizes: Sequence[int], generator: torch.Generator):
        super().__init__()
        self.output_size = hidden_sizes[-1] if hidden_sizes else size
        self.layers = MLP(size, hidden_sizes[:-1], hidden_sizes[-1], generator, 2**0.5, torch.relu) if hidden_sizes else None

    def forward(self, vector: Tensor) -> Tensor:
        vector = vector.flatten(2)
        return vector if self.layers is None else self.layers(vector).relu()


class LSTM(nn.Module):
    """A memory that carries the state [B, 2·H], the hidden and the cell state of an LSTM side by side."""

    def __init__(self, input_size: int, size: int, span: float, generator: torch.Generator):
        """Make an LSTM whose cells forget, before anything is learnt, over different times of up to `span` steps.

        The bias of a forget gate is log τ and that of the input gate is -log τ, so the cell forgets at a rate of 1 / (1 + τ), with τ
        drawn from [1, span - 1].

        Source: Tallec and Ollivier (2018), arXiv:1804.11188.
        """
        super().__init__()
        self.layer = nn.LSTM(input_size, size)
        for parameter in self.layer.parameters():
            nn.init.uniform_(parameter, -(size**-0.5), size**-0.5, generator=generator)
        with torch.no_grad():
            bias = self.layer.bias_ih_l0
            self.layer.bias_hh_l0.zero_()
            bias[size : 2 * size].uniform_(1, span - 1, generator=generator).log_()
            bias[:size] = -bias[size : 2 * size]

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = state.chunk(2, -1)
        output, (hidden, cell) = self.layer(inputs, (hidden.contiguous()[None], cell.contiguous()[None]))
        return output, torch.cat([hidden[0], cell[0]], -1)


class NoMemory(nn.Module):
    """A feed-forward layer in the place of the LSTM, for the ablation. It passes the state on untouched."""

    def __init__(self, input_size: int, size: int, span: float, generator: torch.Generator):
        super().__init__()
        self.layer = MLP(input_size, (), size, generator, 2**0.5)

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(inputs).relu(), state


class RecurrentQNetwork(nn.Module):
    """Action values of a history: torso, then the LSTM, which also sees the previous action and reward, then dueling heads.

    Called with `inputs` of time-major tensors and a state [B, S], returns q [T, B, A] and the next state.
    """

    INPUTS = ("observation", "previous_action", "previous_reward")  # what the network sees of a row

    def __init__(self, observation_shape: Sequence[int], action_count: int, config: R2D2Config, generator: torch.Generator):
        super().__init__()
        self.action_count, self.state_size, self.rescale_epsilon = action_count, 2 * config.memory_size, config.rescale_epsilon
        if len(observation_shape) > 1:
            self.torso = Convolutions(observation_shape, generator)
        else:
            self.torso = Vectors(int(np.prod(observation_shape)), config.torso_sizes, generator)
        memory = {"lstm": LSTM, "none": NoMemory}[config.memory]
        self.memory = memory(self.torso.output_size + self.extra_size, config.memory_size, config.memory_span, generator)
        self.value = MLP(config.memory_size, (config.head_size,), 1, generator, activation=torch.relu)
        self.advantage = MLP(config.memory_size, (config.head_size,), action_count, generator, activation=torch.relu)

    @property
    def extra_size(self) -> int:
        """How many numbers `extra` gives."""
        return self.action_count + 1

    def extra(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return what the memory sees besides the observation, [T, B, extra_size]; a previous action of -1 stands for none."""
        action = nn.functional.one_hot(inputs["previous_action"].long() + 1, self.action_count + 1)[..., 1:]
        return torch.cat([action, rescale(inputs["previous_reward"], self.rescale_epsilon)[..., None]], -1)

    def forward(self, inputs: dict[str, Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, state = self.memory(torch.cat([self.torso(inputs["observation"]), self.extra(inputs)], -1), state)
        return dueling(self.value(hidden), self.advantage(hidden)), state


class Actors:
    """A policy at work in B environments: remembers their recurrent states, previous actions and latest observations."""

    def __init__(self, agent: "Agent", epsilon: np.ndarray, rng: np.random.Generator):
        """Start with ε-greedy policies with the given ε [B]."""
        self.agent, self.epsilon, self.rng = agent, epsilon, rng
        self.state = torch.zeros(len(epsilon), agent.network.state_size, device=agent.device)
        self.previous_action = np.full(len(epsilon), -1)
        self.frames = None  # [B, stack, ...] the latest observations, where they are stacked

    def see(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the network sees next of each row, unstacked, as a row of the replay."""
        return {
            "observation": observation.astype(self.agent.observation_dtype, copy=False),
            "previous_action": np.where(first, -1, self.previous_action),
            "previous_reward": np.where(first, 0, reward).astype(np.float32),
        }

    def act(self, seen: dict[str, np.ndarray], first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the actions [B], counted from 0, and the recurrent states [B, S] before the network saw the rows."""
        state = self.state
        with torch.no_grad():
            q, self.state = unroll(self.agent.network, self._stacked(seen, first), state, torch.from_numpy(first)[None].to(state.device))
        greedy = q[0].argmax(-1).cpu().numpy()
        explore = self.rng.random(len(first)) < self.epsilon
        self.previous_action = np.where(explore, self.rng.integers(q.shape[-1], size=len(first)), greedy)
        return self.previous_action, state.cpu().numpy()

    def _stacked(self, seen: dict[str, np.ndarray], first: np.ndarray) -> dict[str, Tensor]:
        observation, stack = seen["observation"], self.agent.config.frame_stack
        if stack > 1:
            repeated = np.repeat(observation[:, None], stack, 1)
            if self.frames is None:
                self.frames = repeated
            self.frames = np.concatenate([self.frames[:, 1:], observation[:, None]], 1)
            self.frames[first] = repeated[first]
            seen = seen | {"observation": self.frames}
        return {name: torch.from_numpy(column)[None].to(self.agent.device) for name, column in seen.items()}


class Agent:
    """R2D2: the online and the target network, the optimizer, and an update on a batch of sequences."""

    network_type = RecurrentQNetwork

    def __init__(self, observation_space: Box, action_space: Discrete, config: R2D2Config):
        self.config, self.device, self.first_action = config, config.torch_device, int(action_space.start)
        self.observation_dtype = "uint8" if observation_space.dtype == np.uint8 else "float32"
        self.observation_shape = observation_space.shape
        stacked = (config.frame_stack, *self.observation_shape) if config.frame_stack > 1 else self.observation_shape
        generator = torch_stream(config.seed, "network")
        self.network = self.network_type(stacked, int(action_space.n), config, generator).to(self.device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate, eps=config.adam_epsilon)
        self.updates = 0
        self._greedy = None

    @property
    def fields(self) -> dict[str, tuple]:
        """The columns of a row of the replay: what the network sees, then what came of it."""
        seen = {
            "observation": (self.observation_shape, self.observation_dtype, self.config.frame_stack),
            "previous_action": ((), "int64"),
            "previous_reward": ((), "float32"),
        }
        return seen | {"action": ((), "int64"), "reward": ((), "float32"), "terminated": ((), "bool")}

    def act(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Return greedy actions [B]; the recurrent state is kept from call to call, and forgotten in the rows where `first`."""
        if self._greedy is None or len(self._greedy.epsilon) != len(first):
            self._greedy = Actors(self, np.zeros(len(first)), numpy_stream(0, "unused"))
        seen = self._greedy.see(observation, reward, first)
        return self._greedy.act(seen, first)[0] + self.first_action

    def anneal(self, done: float) -> None:
        """Lower the learning rate to what it is when the part `done` of the training is over."""
        first, last = self.config.learning_rate, self.config.final_learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = first + (last - first) * done

    def improve(self, sequences: Sequences, replay_size: int) -> tuple[np.ndarray, dict[str, float]]:
        """Take one step of the optimizer; return the new priorities [B] of the sequences, and scalars to log."""
        config = self.config
        rows = {name: torch.from_numpy(column).to(self.device) for name, column in sequences.rows.items()}
        steps = {name: column[config.burn_in : -1] for name, column in rows.items()}  # [m, B, ...]
        mask = torch.arange(config.sequence_length, device=self.device)[:, None] < torch.from_numpy(sequences.length).to(self.device)
        mask = mask.float()

        q_online = self.values(self.network, rows, sequences)
        with torch.no_grad():
            targets = self.targets(steps, mask, q_online, self.values(self.target, rows, sequences))
        td_error = targets - q_online[:-1].gather(-1, steps["action"][..., None]).squeeze(-1)
        weight = importance_weights(torch.from_numpy(sequences.probability).to(self.device), replay_size, config.importance_exponent)
        loss = (weight.float() * mask * td_error.square()).sum() / mask.sum() / 2

        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.max_gradient_norm)
        self.optimizer.step()
        self.updates += 1
        if self.updates % config.target_period == 0:
            self.target.load_state_dict(self.network.state_dict())
        priority = sequence_priority(td_error.detach(), mask, config.priority_max_weight)
        return priority.cpu().numpy(), {"loss": loss.item(), "gradient_norm": norm.item(), "priority": priority.mean().item()}

    def values(self, network: nn.Module, rows: dict[str, Tensor], sequences: Sequences) -> Tensor:
        """Return the action values [m + 1, B, A] of the states of the sequences, after their burn-in."""
        inputs = {name: rows[name] for name in network.INPUTS}
        state = torch.from_numpy(sequences.state).to(self.device)
        if self.config.replayed_state == "zero":
            state = torch.zeros_like(state)
        length = self.config.burn_in
        if length:
            warm = torch.from_numpy(sequences.warm).to(self.device)
            state = burn_in(network, {name: column[:length] for name, column in inputs.items()}, state, warm)
        return network({name: column[length:] for name, column in inputs.items()}, state)[0]

    def targets(self, steps: dict[str, Tensor], mask: Tensor, q_online: Tensor, q_target: Tensor) -> Tensor:
        """Return the targets [m, B] of the steps, from the values [m + 1, B, A] of their states."""
        config = self.config
        discount = config.discount * (~steps["terminated"]).float()
        same_episode = torch.cat([mask[1:], torch.zeros_like(mask[:1])])  # after the last step of a sequence there is only padding
        if config.rewards == "clipped":
            reward = steps["reward"].clamp(-1, 1)
            return n_step_double_q_targets(reward, discount, same_episode, q_online[1:], q_target[1:], config.return_steps)
        return transformed_double_q_targets(
            steps["reward"], discount, same_episode, q_online[1:], q_target[1:], config.return_steps, config.rescale_epsilon
        )

    def state_dict(self) -> dict[str, Tensor]:
        networks = {"network": self.network, "target": self.target}
        tensors = {f"{name}.{key}": tensor for name, network in networks.items() for key, tensor in network.state_dict().items()}
        return tensors | {"updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, network in {"network": self.network, "target": self.target}.items():
            network.load_state_dict({key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")})
        self.updates = int(state["updates"])


def make_agent(observation_space: Space, action_space: Space, config: R2D2Config) -> Agent:
    """Return an untrained agent for environments with the given spaces of a single one.

    Raises:
        ValueError: the observations are not a Box, or the actions not Discrete.
    """
    expect_spaces(observation_space, action_space, Discrete)
    return Agent(observation_space, action_space, config)


def make_replay(agent: Agent, config: R2D2Config) -> SequenceReplay:
    """Return an empty replay for the agent's rows.

    Raises:
        ValueError: this machine has not enough memory for it.
    """
    try:
        return SequenceReplay(
            agent.fields,
            config.env_count,
            -(-config.replay_rows // config.env_count),
            config.replay_sequences,
            config.sequence_length,
            config.sequence_period,
            config.burn_in,
            agent.network.state_size,
            config.priority_exponent,
        )
    except MemoryError as error:
        raise ValueError(
            f"a replay of {config.replay_rows:,} rows does not fit into memory ({error}); choose fewer by --replay-rows"
        ) from error


def replay_discrepancy(agent: Agent, replay: SequenceReplay, sequences: Sequences) -> tuple[Tensor, Tensor]:
    """Return ΔQ at the first and at the last step of those sequences that have all m steps and start inside an episode, [K] each.

    The reference is the same network, unrolled from the first row of the episode. So only episodes that the replay still holds whole
    are used.
    """
    slot = sequences.key % len(replay.key)
    kept = replay.episode[slot] >= replay.store.written[replay.stream[slot]] - replay.store.rows
    use = np.flatnonzero(sequences.warm & (sequences.length == replay.length) & kept)
    if not len(use):
        return torch.zeros(0), torch.zeros(0)
    slot, start, end = slot[use], (replay.start - replay.episode)[slot[use]], (replay.start + replay.steps)[slot[use]]
    episode = replay.episode[slot]
    position = np.minimum(episode + np.arange(start.max() + replay.length)[:, None], end - 1)
    rows = replay.store.read(replay.stream[slot], position, episode)
    inputs = {name: torch.from_numpy(rows[name]).to(agent.device) for name in agent.network.INPUTS}
    chosen = Sequences(*(column[use] for column in sequences[:-1]), {name: column[:, use] for name, column in sequences.rows.items()})
    with torch.no_grad():
        whole = agent.network(inputs, torch.zeros(len(use), agent.network.state_size, device=agent.device))[0]
        reference = torch.stack([whole[t : t + replay.length, b] for b, t in enumerate(start)], 1)
        rows = {name: torch.from_numpy(column).to(agent.device) for name, column in chosen.rows.items()}
        replayed = agent.values(agent.network, rows, chosen)
    discrepancy = q_discrepancy(replayed[:-1], reference)
    return discrepancy[0], discrepancy[-1]


# %% [markdown]
# ## Training


# %%
def train(environments: VectorEnv, config: R2D2Config, monitor: npfl139.runs.Monitor) -> Agent:
    """Return an agent trained in the environments, one actor in each."""
    agent = make_agent(environments.single_observation_space, environments.single_action_space, config)
    replay = make_replay(agent, config)
    collector = Collector(environments, monitor.watch(agent, replay))
    epsilon = actor_epsilons(config.env_count, config.exploration_base, config.exploration_exponent)
    actors = Actors(agent, np.asarray(epsilon), numpy_stream(config.seed, "exploration", collector.steps))
    rng = numpy_stream(config.seed, "replay", collector.steps)

    while collector.steps + config.env_count <= config.steps:
        play(collector, actors, replay)
        while len(replay) and agent.updates * config.steps_per_update < collector.steps - config.learning_starts:
            sequences = replay.sample(rng.random(config.batch_size))
            agent.anneal(collector.steps / config.steps)
            priority, scalars = agent.improve(sequences, len(replay))
            replay.update_priorities(sequences.key, priority)
            monitor.log(collector.steps, **scalars)
    return agent


def play(collector: Collector, actors: Actors, replay: SequenceReplay) -> None:
    """Make one step in every environment, and store it."""
    seen = actors.see(collector.observation, collector.reward, collector.first)
    action, state = actors.act(seen, collector.first)
    step = collector.step(action + actors.agent.first_action)
    outcome = {"action": action, "reward": step.reward, "terminated": step.terminated}
    nothing = {name: np.zeros_like(column) for name, column in outcome.items()}
    successor = actors.see(step.next_observation, step.reward, np.zeros_like(step.terminated))
    replay.add(seen | outcome, state, collector.first, successor | nothing)
