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
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import VectorEnv
from torch import nn

import npfl139.runs
from npfl139.checkpoints import Part, load_parts, state_of_parts
from npfl139.config import Config
from npfl139.envs import expect_spaces
from npfl139.nets import MLP
from npfl139.recurrent.actors import Actors, experiences, making_tensors_on
from npfl139.recurrent.networks import RecurrentNetwork
from npfl139.recurrent.sequences import Sequences, SequenceTable
from npfl139.schedules import linear
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


class SequenceReplay(SequenceTable):
    """Prioritized replay of overlapping sequences with stored recurrent states, in memory that is allocated once.

    Environments produce streams of rows. A row is kept once, in `store`, although sequences overlap. In each episode the
    sequences start at its steps 0, period, 2·period, … and have m steps (`length`), except that the last one ends with the episode. A
    sequence never crosses an episode's boundary. One that starts inside an episode also owns the l rows before it (`burn_in`), and the
    recurrent state from before those.

    A sequence is a slot in a table: `key` (its number, or -1 in a slot that holds none), `stream`, `start` (the row of its step 0,
    counted as `store` does), `steps` (how many there are), `episode` (the first row of its episode), `state`. Sequence number k is in
    slot k modulo the table's size. `tree` holds the weight of each slot, priority^exponent.

    What is known of the running episode of each stream: `count`, its rows so far; `next_start`, the step at which its next sequence starts;
    `covered`, how many of its steps are in some sequence.

    Memory: streams · rows · (bytes of a row + 8) + sequences · (4·S + 80) + streams · (l + m + 2) · 4·S bytes, `nbytes`, whatever
    happens. With the paper's 4·10⁶ rows of one 84 × 84 frame and 10⁵ sequences with the states of an LSTM of 512 units that is 28.9 GB.
    """

    def add(
        self, stream: np.ndarray, row: Mapping[str, np.ndarray], state: np.ndarray, ended: np.ndarray, successor: Mapping[str, np.ndarray]
    ) -> None:
        """Store one step of some streams, and the sequences that it completes [r2d2:sequences].

        First append the row of every one of the streams; to those that ended also append their successor, a row that holds only what
        the network sees after the last step. Call `self.append` for both; it also makes room by evicting.

        Then a sequence that starts at step s of its episode is stored as soon as the row after its last step is there: when the
        episode has at least s + m + 1 rows. The next one starts a period later. When an episode ends with steps that are in no
        sequence yet, one more is stored, which starts where the next one would have and ends with the episode, so it may be shorter
        than m. Call `self.insert(stream, start, steps)`, three arrays [K], for the K streams where a sequence is complete.

        In the end call `self.restart(stream)` for the streams that ended: it sets their counters to 0, since their next row starts an
        episode. Streams that made no step are left as they are; not all actors deliver at the same time.

        Args:
            stream: [B] the numbers of the streams that made a step.
            row: by name [B, ...], the step of each.
            state: [B, S] the recurrent state before the network saw the row.
            ended: [B] bool, whether the episode terminated or was truncated with this step.
            successor: by name [B, ...], like `row`; read only where the episode ended.

        Source: Kapturowski et al. (2019), Section 2.3.

        >>> replay = SequenceReplay({"x": ((), "float32")}, 1, 20, 5, length=4, period=2, burn_in=0, state_size=1, priority_exponent=1.0)
        >>> for t in range(7):  # an episode of 7 steps: sequences of its steps 0-3, 2-5 and 4-6
        ...     replay.add(np.array([0]), {"x": np.array([t])}, np.zeros((1, 1)), np.array([t == 6]), {"x": np.array([t + 1])})
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


# %% [markdown]
# ## The recurrent state


# %%
def unroll(network: Network, inputs: dict[str, Tensor], state: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return the action values along sequences that may hold several episodes, and the final state [r2d2:unroll].

        h_{t-1} ← 0 where an episode starts with row t;    q_t, h_t = network(x_t, h_{t-1})

    The network takes any number of rows at once, and is fastest if called seldom: it need be called only once where no episode starts
    after row 0. It knows nothing of episodes, so a state must be set to zero before the network sees the first row of one. Gradients flow
    through the states, from every row back to `state` or to the start of its episode: that is how a memory learns what to keep.

    Args:
        network: maps (inputs [T, B, ...], state [B, S]) to (q [T, B, A], state [B, S]), for any T ≥ 1.
        inputs: by name [T, B, ...], what the network sees.
        state: [B, S] before row 0; it is not changed in place.
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

    A stored state is stale: older parameters computed it. Some rows later most of that is gone. No gradient flows through the burn-in,
    neither into the network nor into `state`. A sequence that starts its episode has no burn-in: its rows here are only padding, and it
    keeps the state it has.

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
    # Deviation: R2D2's paper names no bound. This one is of Badia et al. (2020), arXiv:2002.06038, Table 6; Wang et al. (2016) have 10.
    max_gradient_norm: float = 40.0
    target_period: int = 25  # updates between two copies into the target network
    exploration_base: float = 0.4  # ε, Horgan et al. (2018)
    exploration_exponent: float = 3.0  # α; 7 in Horgan et al. (2018)
    # What changes little from step to step must be large for a new LSTM to see the change.
    observation_scale: tuple[float, ...] = ()  # multiplies each number of observations that are vectors; () leaves them
    torso_sizes: tuple[int, ...] = ()  # hidden layers before the LSTM, for observations that are vectors
    torso_precision: str = "float32"  # float32 or bfloat16 (fast and rounded): in what the convolutions of images compute
    memory_size: int = 64  # units of the LSTM
    memory_span: float = 30.0  # steps over which a new LSTM remembers at most, Tallec and Ollivier (2018)
    head_size: int = 64  # units of the hidden layer of each dueling head
    frame_stack: int = 1  # observations that the network sees together
    # A limit that is no part of the task hides a future that has a value; one that is part of it and short is the end of the task.
    time_limit: str = "bootstrapped"  # bootstrapped, or end: an episode that ran out of time is stored as terminated

    def __post_init__(self):
        super().__post_init__()
        allowed = {
            "rewards": ("rescaled", "clipped"),
            "memory": ("lstm", "none"),
            "replayed_state": ("stored", "zero"),
            "time_limit": ("bootstrapped", "end"),
            "torso_precision": ("float32", "bfloat16"),
        }
        for field, choices in allowed.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be {' or '.join(choices)}, got {getattr(self, field)!r}")


CONFIGS = {
    "npfl139/TwoRooms-v0": R2D2Config(sequence_length=20, sequence_period=10, burn_in=4),
    "npfl139/CueRecall-v0": R2D2Config(steps=100_000, sequence_length=30, sequence_period=15, burn_in=5, time_limit="end"),
    "npfl139/MaskedCartPole-v0": R2D2Config(
        steps=250_000,
        sequence_length=20,
        sequence_period=10,
        burn_in=5,
        return_steps=10,
        batch_size=64,
        learning_rate=1e-3,
        target_period=20,
        replay_rows=50_000,
        observation_scale=(4.0, 20.0),  # the position lies within ±2.4, the angle within ±0.21
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


class RecurrentQNetwork(RecurrentNetwork):
    """Action values of a history: torso, then the LSTM, which also sees the previous action and reward, then dueling heads.

    Called with `inputs` of time-major tensors and a state [B, S], returns q [T, B, A] and the next state.
    """

    def __init__(self, observation_shape: Sequence[int], action_count: int, config: R2D2Config, generator: torch.Generator):
        super().__init__(observation_shape, action_count, config, generator)
        self.rescale_epsilon = config.rescale_epsilon
        self.value = MLP(config.memory_size, (config.head_size,), 1, generator, activation=torch.relu)
        self.advantage = MLP(config.memory_size, (config.head_size,), action_count, generator, activation=torch.relu)

    def extra(self, inputs: dict[str, Tensor]) -> Tensor:
        # Deviation: the paper feeds the previous reward itself. Rewards of very different sizes are inputs of similar sizes after h.
        return super().extra(inputs | {"previous_reward": rescale(inputs["previous_reward"], self.rescale_epsilon)})

    def forward(self, inputs: dict[str, Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, state = super().forward(inputs, state)
        return dueling(self.value(hidden), self.advantage(hidden)), state


class Batch(NamedTuple):
    """A batch of B sequences as tensors, on the agent's device."""

    rows: dict[str, Tensor]  # [l + m + 1, B, ...], as in `Sequences`
    steps: dict[str, Tensor]  # [m, B, ...], the rows of the steps only
    mask: Tensor  # [m, B] 1 for the steps that there are, 0 for the padding after short sequences
    state: Tensor  # [B, S]
    warm: Tensor  # [B] bool
    probability: Tensor  # [B]


class Agent:
    """R2D2: the online and the target network, the optimizer, and an update on a batch of sequences.

    What an agent built on this one changes is a method of its own, or one of: `network_type`, `actors_type`; `fields`, what is stored of a
    step; `parts`, what a checkpoint holds; `acting`, which of the parts actors need; `optimizers`.
    """

    network_type: type[Any] = RecurrentQNetwork  # a module with `INPUTS` and `state_size`
    actors_type: type[Actors] = Actors
    acting: tuple[str, ...] = ("network",)

    def __init__(self, observation_space: Box, action_space: Discrete, config: R2D2Config):
        self.config, self.device = config, config.torch_device
        self.first_action, self.action_count = int(action_space.start), int(action_space.n)
        self.observation_dtype = "uint8" if observation_space.dtype == np.uint8 else "float32"
        self.observation_shape = observation_space.shape
        stacked = (config.frame_stack, *self.observation_shape) if config.frame_stack > 1 else self.observation_shape
        generator = torch_stream(config.seed, "network")
        self.network = self.network_type(stacked, self.action_count, config, generator).to(self.device)
        self.target = copy.deepcopy(self.network).requires_grad_(False).to(self.device)  # to: it joins the copied weights for cuDNN again
        self.parts: dict[str, Part] = {"network": self.network, "target": self.target}
        self.optimizers = {
            "network": torch.optim.Adam(self.network.parameters(), config.learning_rate, eps=config.adam_epsilon, fused=True)
        }
        self.updates, self.first_row = 0, 0  # the number of the first of its actors, where others act elsewhere
        self._evaluators: Actors | None = None

    @property
    def fields(self) -> dict[str, tuple]:
        """The columns of a row of the replay: what the network sees, then what came of it. They may also hold `behaviour`, μ(a|x)."""
        seen = {
            "observation": (self.observation_shape, self.observation_dtype, self.config.frame_stack),
            "previous_action": ((), "int64"),
            "previous_reward": ((), "float32"),
        }
        return seen | {"action": ((), "int64"), "reward": ((), "float32"), "terminated": ((), "bool")}

    def explorers(self, epsilon: np.ndarray, rng: np.random.Generator) -> Actors:
        """Return actors that explore with the given ε [B]."""
        return self.actors_type(self, epsilon, rng)

    def evaluators(self, count: int) -> Actors:
        """Return `count` actors that show what was learnt."""
        return self.actors_type(self, np.zeros(count), numpy_stream(0, "unused"))

    def act(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Return greedy actions [B]; the recurrent state is kept from call to call, and forgotten in the rows where `first`."""
        if self._evaluators is None or len(self._evaluators.epsilon) != len(first):
            self._evaluators = self.evaluators(len(first))
        actors = self._evaluators
        with making_tensors_on(self.device):
            actors.experience(observation, reward)
            actors.begin(observation, first)
            return actors.act(actors.see(observation, reward, first), first)[0] + self.first_action

    def action_values(self, inputs: dict[str, Tensor], state: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values [T, B, A] that actors act by, and the next state."""
        return unroll(self.network, inputs, state, first)

    def prepare(self, replay: SequenceReplay, rng: np.random.Generator) -> None:
        """Do what is to be done once, before the first update, with what the actors have seen so far."""

    def anneal(self, done: float) -> None:
        """Lower the learning rate to what it is when the part `done` of the training is over."""
        for group in self.optimizers["network"].param_groups:
            group["lr"] = linear(self.config.learning_rate, self.config.final_learning_rate, done)

    def improve(self, sequences: Sequences, replay_size: int) -> tuple[np.ndarray, dict[str, float]]:
        """Learn from sequences; return their new priorities [B], and scalars to log."""
        with making_tensors_on(self.device):
            return self.learn_from(self.batch(sequences), replay_size)

    def learn_from(self, batch: Batch, replay_size: int) -> tuple[np.ndarray, dict[str, float]]:
        """Take one step of the optimizer; return the new priorities [B] of the sequences, and scalars to log."""
        td_error = self.td_errors(batch)
        weight = importance_weights(batch.probability, replay_size, self.config.importance_exponent).float()
        loss = (weight * batch.mask * td_error.square()).sum() / batch.mask.sum() / 2
        norm = self.descend(loss)
        priority = sequence_priority(self.priority_error(td_error.detach(), batch), batch.mask, self.config.priority_max_weight)
        return priority.cpu().numpy(), {"loss": loss.item(), "gradient_norm": norm, "priority": priority.mean().item()}

    def batch(self, sequences: Sequences) -> Batch:
        """Return the sequences as tensors."""
        rows = {name: torch.from_numpy(column).to(self.device) for name, column in sequences.rows.items()}
        steps = {name: column[self.config.burn_in : -1] for name, column in rows.items()}
        length, state, warm, probability = (
            torch.from_numpy(array).to(self.device) for array in (sequences.length, sequences.state, sequences.warm, sequences.probability)
        )
        mask = torch.arange(self.config.sequence_length, device=self.device)[:, None] < length
        return Batch(rows, steps, mask.float(), state, warm, probability)

    def td_errors(self, batch: Batch) -> Tensor:
        """Return the TD errors [H, m, B] of all heads, of which R2D2 has one; gradients flow into the online network."""
        q_online = self.values(self.network, batch)
        with torch.no_grad():
            targets = self.targets(batch, q_online, self.values(self.target, batch))
        return (targets - chosen(q_online[:-1], batch.steps["action"]))[None]

    def priority_error(self, td_error: Tensor, batch: Batch) -> Tensor:
        """Return the errors [m, B] that make the priorities from those of the heads [H, m, B]."""
        return td_error.abs().sum(0)

    def descend(self, loss: Tensor) -> float:
        """Take a step of the optimizer, now and then copy the network into the target; return the norm of the gradient."""
        optimizer = self.optimizers["network"]
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_gradient_norm)
        optimizer.step()
        self.updates += 1
        if self.updates % self.config.target_period == 0:
            self.target.load_state_dict(self.network.state_dict())
        return norm.item()

    def values(self, network: Any, batch: Batch) -> Tensor:
        """Return the action values [m + 1, B, A] of the states of the sequences, after their burn-in."""
        inputs, length = {name: batch.rows[name] for name in network.INPUTS}, self.config.burn_in
        state = batch.state if self.config.replayed_state == "stored" else torch.zeros_like(batch.state)
        if length:
            state = burn_in(network, {name: column[:length] for name, column in inputs.items()}, state, batch.warm)
        inside = torch.zeros(self.config.sequence_length + 1, len(state), dtype=torch.bool, device=self.device)
        return unroll(network, {name: column[length:] for name, column in inputs.items()}, state, inside)[0]

    def targets(self, batch: Batch, q_online: Tensor, q_target: Tensor) -> Tensor:
        """Return the targets [m, B] of the steps, from the values [m + 1, B, A] of their states."""
        config, steps = self.config, batch.steps
        discount = config.discount * (~steps["terminated"]).float()
        arguments = discount, same_episode(batch.mask), q_online[1:], q_target[1:], config.return_steps
        if config.rewards == "clipped":
            return n_step_double_q_targets(steps["reward"].clamp(-1, 1), *arguments)
        return transformed_double_q_targets(steps["reward"], *arguments, config.rescale_epsilon)

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """Return what actors elsewhere need of the agent, for their `load_weights`."""
        return {name: dict(self.parts[name].state_dict()) for name in self.acting}

    def load_weights(self, weights: dict[str, dict[str, Tensor]]) -> None:
        """Act with the weights of another agent."""
        for name, state in weights.items():
            self.parts[name].load_state_dict(state)

    def news(self) -> dict[str, Any]:
        """Return what else the learner must know of what was seen since it was last asked, or since weights were loaded."""
        return {}

    def hear(self, news: dict[str, Any]) -> None:
        """Include the news of an agent that acts elsewhere."""

    def state_dict(self) -> dict[str, Tensor]:
        return state_of_parts(self.parts) | {"updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        load_parts(self.parts, state)
        self.updates = int(state["updates"])


AnyAgent = TypeVar("AnyAgent", bound=Agent)


def chosen(q: Tensor, action: Tensor) -> Tensor:
    """Return the values [...] of the actions [...] among q [..., A]."""
    return q.gather(-1, action[..., None]).squeeze(-1)


def same_episode(mask: Tensor) -> Tensor:
    """Return, for steps of sequences with the mask [m, B], 0 where the next step is padding, or beyond the sequence; else 1."""
    return torch.cat([mask[1:], torch.zeros_like(mask[:1])])


def make_agent(observation_space: Space, action_space: Space, config: R2D2Config) -> Agent:
    """Return an untrained agent for environments with the given spaces of a single one.

    Raises:
        ValueError: the observations are not a Box, or the actions not Discrete.
    """
    return Agent(*expect_spaces(observation_space, action_space, Discrete), config)


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
    used = Sequences._make([*(column[use] for column in sequences[:-1]), {name: column[:, use] for name, column in sequences.rows.items()}])
    with torch.no_grad():
        whole = agent.network(inputs, torch.zeros(len(use), agent.network.state_size, device=agent.device))[0]
        reference = torch.stack([whole[t : t + replay.length, b] for b, t in enumerate(start)], 1)
        replayed = agent.values(agent.network, agent.batch(used))
    discrepancy = q_discrepancy(replayed[:-1], reference)
    return discrepancy[0], discrepancy[-1]


# %% [markdown]
# ## Training


# %%
def train(environments: VectorEnv, config: R2D2Config, monitor: npfl139.runs.Monitor) -> Agent:
    """Return an agent trained in the environments, one actor in each."""
    return learn(make_agent(environments.single_observation_space, environments.single_action_space, config), environments, monitor)


def learn(agent: AnyAgent, environments: VectorEnv, monitor: npfl139.runs.Monitor) -> AnyAgent:
    """Train an agent of R2D2's kind in the environments, one actor in each; return it."""
    config = agent.config
    replay = make_replay(agent, config)
    epsilon = np.asarray(actor_epsilons(config.env_count, config.exploration_base, config.exploration_exponent))
    acted = experiences(agent, environments, epsilon, monitor.watch(agent, replay), replay.restart)
    rng = numpy_stream(config.seed, "replay", acted.steps)

    for streams, experience in acted:
        replay.add(streams, *experience)
        while len(replay) and agent.updates * config.steps_per_update < acted.steps - config.learning_starts:
            if not agent.updates:
                agent.prepare(replay, rng)
            sequences = replay.sample(rng.random(config.batch_size))
            agent.anneal(acted.steps / config.steps)
            priority, scalars = agent.improve(sequences, len(replay))
            replay.update_priorities(sequences.key, priority)
            monitor.log(acted.steps, **scalars)
    return agent


# %%
if __name__ == "__main__":
    npfl139.runs.main(train)
