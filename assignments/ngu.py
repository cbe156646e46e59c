# %% [markdown]
# # NGU: Never Give Up
#
# Where no reward guides it, an agent can be guided by its own curiosity. NGU pays two kinds of it. Within an episode, states that are
# unlike all that the episode has seen are worth visiting; over the whole training, states that nobody could predict yet are worth more.
# What a state *is* must not be its pixels, or a flickering wall would be interesting for ever: it is what the agent's actions can change.
#
# And one agent learns a family of policies, from one that is only curious about rewards to one that is mostly curious about the
# world. The former profits from what the latter find.

# %%
import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import VectorEnv
from torch import nn

import npfl139.runs
from npfl139.distributed.moments import joined, since
from npfl139.envs import expect_spaces
from npfl139.nets import MLP
from npfl139.recurrent.actors import Actors, making_tensors_on
from npfl139.recurrent.networks import Convolutions, Vectors
from npfl139.seeding import numpy_stream, torch_stream
from npfl139.shapes import expect_shape
from solutions import r2d2
from solutions.ppo import RunningMoments
from solutions.retrace import retrace_trace, transformed_off_policy_targets
from solutions.transformed_rewards import rescale, rescale_inverse

Tensor = torch.Tensor
Module = Callable[[Tensor], Tensor]


# %% [markdown]
# ## Controllable states


# %%
def inverse_dynamics_loss(
    embed: Module, classify: Module, observation: Tensor, observation_next: Tensor, action: Tensor, valid: Tensor
) -> Tensor:
    """Return the loss that teaches an embedding what the agent controls [ngu:inverse-dynamics].

        L = - mean over the valid rows of log p(a_t | f(x_t), f(x_{t+1})),    p = softmax(classify([f(x_t), f(x_{t+1})]))

    The action can be told from the two embeddings only by what the action changed. Whatever changes by itself, or never, does not help,
    and so f has no reason to keep it.

    Args:
        embed: f, maps [N, ...] to [N, P].
        classify: maps [N, 2 P], the embeddings of x_t and then of x_{t+1}, to logits [N, A].
        observation: [N, ...] x_t.
        observation_next: [N, ...] x_{t+1}.
        action: [N] a_t, int64.
        valid: [N] bool, false where x_{t+1} is not what a_t led to, such as across the end of an episode. Some row is valid.

    Returns:
        [] the loss. Its gradient flows into both networks, through both embeddings.

    Source: Badia et al. (2020), arXiv:2002.06038, Section 2; Pathak et al. (2017), arXiv:1705.05363.

    >>> x, x_next = torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [0.0]])
    >>> def classify(pair):  # how far x moved, as the logit of the second of two actions
    ...     return torch.stack([torch.zeros(len(pair)), pair[:, 1] - pair[:, 0]], 1)
    >>> inverse_dynamics_loss(torch.nn.Identity(), classify, x, x_next, torch.tensor([1, 0]), torch.tensor([True, False]))
    tensor(0.3133)
    """
    raise NotImplementedError("inverse_dynamics_loss")


# %% [markdown]
# ## Novelty within the episode


# %%
def inverse_kernel(squared_distance: Tensor, mean_squared_distance: Tensor, epsilon: float, cluster_distance: float) -> Tensor:
    """Return how similar a state is to each of its neighbours, from 0 to 1 [ngu:kernel].

        K = ε / (max(d² / d_m² - ξ, 0) + ε)

    Only distances relative to the usual one count, so an embedding twice as large changes nothing. What lies within ξ of a neighbour
    is the same state. Where d_m² is 0, all states seen so far were one, and K is 1.

    Args:
        squared_distance: [..., K] d², to each of the K neighbours; infinite where there is none.
        mean_squared_distance: [] d_m² ≥ 0, the mean of such squared distances so far.
        epsilon: ε > 0. It is the hidden scale of the rewards: a state at the usual distance of its 10 neighbours earns 30.5 for
            ε = 10⁻⁴, and 3.16 for 10⁻².
        cluster_distance: ξ ≥ 0.

    Returns:
        [..., K] in [0, 1].

    Source: Badia et al. (2020), Section 2, Eq. 3 and Algorithm 1. The paper gives three values for ε: 10⁻³ in Section 2, 10⁻⁴
    in Table 6, 10⁻² for mazes in Table 7.

    >>> inverse_kernel(torch.tensor([0.0, 4.0, 12.0]), torch.tensor(4.0), 0.5, 1.0)
    tensor([1.0000, 1.0000, 0.2000])
    """
    raise NotImplementedError("inverse_kernel")


def episodic_bonus(similarity: Tensor, pseudo_count: float, max_similarity: float) -> Tensor:
    """Return the reward for a state's novelty within the episode [ngu:episodic].

        r = 1 / s, but 0 where s > s_m,    s = √(Σ_k K_k) + c

    Σ K estimates how often the episode has been here, and the reward for the n-th visit falls as 1/√n, as visit counts have it.

    Args:
        similarity: [..., K] of the state to each of its nearest neighbours, in [0, 1].
        pseudo_count: c > 0, which bounds the reward.
        max_similarity: s_m, above which a state is known. With the paper's 10 neighbours s never exceeds √10 + c, so that its s_m = 8
            never matters.

    Returns:
        [...] r.

    Source: Badia et al. (2020), Section 2, Eq. 2 and Algorithm 1.

    >>> episodic_bonus(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.25, 0.0, 0.0, 0.0]]), 0.5, 2.0)
    tensor([0., 1.])
    """
    raise NotImplementedError("episodic_bonus")


class EpisodicMemory:
    """What the running episode of each of B rows has seen, as embeddings; a state far from all of it is novel.

    `embeddings` [B, C, P] holds in row b the last min(n, C) of the n = `count`[b] states that its episode has stored, in any order: the
    n-th one replaces the one C before it. `squared_distance` is the mean, over all rows and all episodes, of the squared
    distances of states to their nearest neighbours: `RunningMoments` of one column.
    """

    def __init__(
        self,
        rows: int,
        size: int,
        capacity: int,
        neighbours: int,
        kernel_epsilon: float = 1e-4,
        cluster_distance: float = 0.008,
        pseudo_count: float = 1e-3,
        max_similarity: float = 8.0,
    ):
        """Make an empty memory.

        Args:
            rows: B.
            size: P, of an embedding.
            capacity: C, of the states of an episode that are remembered.
            neighbours: k.
            kernel_epsilon: ε.
            cluster_distance: ξ.
            pseudo_count: c.
            max_similarity: s_m.
        """
        self.embeddings, self.count = torch.zeros(rows, capacity, size), torch.zeros(rows, dtype=torch.int64)
        self.neighbours, self.kernel_epsilon, self.cluster_distance = neighbours, kernel_epsilon, cluster_distance
        self.pseudo_count, self.max_similarity = pseudo_count, max_similarity
        self.squared_distance = RunningMoments(1)

    def bonus(self, embedding: Tensor) -> Tensor:
        """Return the episodic reward of the state that each row is in now; then remember it [ngu:memory].

        For row b, of whose episode m = min(n, C) states are remembered: find the k' = min(k, m) of them that are nearest to
        f(x), by the squared Euclidean distance d². Include the d² of all rows in the moments of `squared_distance`, if there is
        any; only then turn each into a similarity by `inverse_kernel`, with d_m² the mean, and those into the reward by
        `episodic_bonus`. A state with nothing to be compared with earns 0. Last of all, `self.store` the states of all rows.

        Args:
            embedding: [B, P] f(x).

        Returns:
            [B] r.

        Source: Badia et al. (2020), Algorithm 1. Section 2 has the distance of the k-th neighbour alone in the mean d_m², Algorithm 1
        those of all k; the latter holds here.

        >>> memory = EpisodicMemory(1, 1, capacity=9, neighbours=1, kernel_epsilon=1.0, cluster_distance=0.0, pseudo_count=0.0)
        >>> [round(memory.bonus(torch.tensor([[x]])).item(), 4) for x in (0.0, 2.0, 2.0, 4.0)]  # d_m² = -, 4, 2, 8/3
        [0.0, 1.4142, 1.0, 1.5811]
        """
        raise NotImplementedError("EpisodicMemory.bonus")

    def reset(self, rows: Tensor) -> None:
        """Forget the episodes of some rows, which have ended [ngu:reset].

        The mean squared distance stays: it belongs to the embedding, not to an episode.

        Args:
            rows: [B] bool.

        Source: Badia et al. (2020), Section 2: the memory is emptied at the start of an episode.

        >>> memory = EpisodicMemory(2, 1, capacity=9, neighbours=1)
        >>> _ = memory.bonus(torch.zeros(2, 1))
        >>> memory.reset(torch.tensor([True, False]))
        >>> memory.count.tolist()
        [0, 1]
        """
        raise NotImplementedError("EpisodicMemory.reset")

    def store(self, rows: Tensor, embedding: Tensor) -> None:
        """Remember the states [B, P] of the rows where `rows` [B] is true, such as those in which an episode begins."""
        (chosen,) = rows.nonzero(as_tuple=True)
        self.embeddings[chosen, self.count[chosen] % self.embeddings.shape[1]] = embedding[chosen]
        self.count[chosen] += 1


# %% [markdown]
# ## Novelty over the whole training


# %%
def prediction_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return how badly a network predicts a fixed random one, state by state: random network distillation [ngu:rnd].

        err(x) = ‖ĝ(x) - g(x)‖²

    ĝ is trained on the states that are visited, to make it small; where it is large, few have been.

    Args:
        prediction: [N, P] ĝ(x), carries the gradient.
        target: [N, P] g(x), a constant: no gradient flows into it.

    Returns:
        [N].

    Source: Badia et al. (2020), Section 2; Burda et al. (2019), arXiv:1810.12894.

    >>> prediction_error(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    tensor([ 4., 25.])
    """
    raise NotImplementedError("prediction_error")


def life_long_modulator(error: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return by how much a state's novelty over the whole training raises its reward, as standard scores around 1 [ngu:modulator].

        α = 1 + (err - μ) / σ

    Where σ is 0 there is nothing to compare, and α is 1.

    Args:
        error: [...] err(x).
        mean: [] μ, of the errors so far.
        std: [] σ ≥ 0, of the errors so far.

    Returns:
        [...] α, which may be negative.

    Source: Badia et al. (2020), Section 2.

    >>> life_long_modulator(torch.tensor([1.0, 5.0]), torch.tensor(3.0), torch.tensor(4.0))
    tensor([0.5000, 1.5000])
    """
    raise NotImplementedError("life_long_modulator")


def intrinsic_reward(episodic: Tensor, modulator: Tensor, maximum: float) -> Tensor:
    """Return the intrinsic reward: the episodic one, raised where a state is new to the whole training [ngu:intrinsic].

        r^i = r^episodic · min(max(α, 1), L)

    So the life-long novelty can multiply the curiosity of an episode, but never take it away.

    Args:
        episodic: [...] r^episodic ≥ 0.
        modulator: [...] α.
        maximum: L ≥ 1.

    Returns:
        [...] r^i.

    Source: Badia et al. (2020), Eq. 1.

    >>> intrinsic_reward(torch.tensor([2.0, 2.0, 2.0]), torch.tensor([-1.0, 3.0, 9.0]), 5.0)
    tensor([ 2.,  6., 10.])
    """
    raise NotImplementedError("intrinsic_reward")


# %% [markdown]
# ## A family of policies
#
# Policy $j$ of $N$ maximizes $r^e + \beta_j r^i$, discounted by $\gamma_j$. The first one cares for the task alone, with the longest
# horizon; curious ones get short horizons, since novelty is everywhere.


# %%
def exploration_weights(count: int, maximum: float) -> Tensor:
    """Return how curious each policy of the family is [ngu:weights].

        β_0 = 0,    β_i = β σ(10 (2i - (N - 2)) / (N - 2)) for 0 < i < N - 1,    β_{N-1} = β

    with the logistic function σ. Most policies lie close to one end or the other. One policy alone is curious, [β]; two are [0, β].

    Args:
        count: N ≥ 1.
        maximum: β.

    Returns:
        [N] of float32.

    Source: Badia et al. (2020), Appendix A.

    >>> exploration_weights(4, 1.0)
    tensor([0.0000, 0.5000, 1.0000, 1.0000])
    """
    raise NotImplementedError("exploration_weights")


def discounts(count: int, longest: float, shortest: float) -> Tensor:
    """Return the discount of each policy of the family, evenly spaced in log(1 - γ) [ngu:discounts].

        γ_i = 1 - exp(((N - 1 - i) log(1 - γ_max) + i log(1 - γ_min)) / (N - 1))

    1 / (1 - γ) is a horizon in steps, and horizons are compared by their ratio. One policy alone has γ_max.

    Args:
        count: N ≥ 1.
        longest: γ_max < 1, of policy 0.
        shortest: γ_min ≤ γ_max, of policy N - 1.

    Returns:
        [N] of float32.

    Source: Badia et al. (2020), Appendix A.

    >>> discounts(3, 0.99, 0.0)
    tensor([0.9900, 0.9000, 0.0000])
    """
    raise NotImplementedError("discounts")


def epsilon_greedy(q: Tensor, epsilon: Tensor) -> Tensor:
    """Return the probabilities of the ε-greedy policy [ngu:epsilon-greedy].

        π(a) = ε / A, and 1 - ε more for the greedy action, the first one of several

    Args:
        q: [..., A] action values.
        epsilon: [...] ε in [0, 1], or [] the same everywhere.

    Returns:
        [..., A]; sums to 1 over the last axis.

    >>> epsilon_greedy(torch.tensor([[1.0, 3.0, 3.0, 0.0]]), torch.tensor(0.4))
    tensor([[0.1000, 0.7000, 0.1000, 0.1000]])
    """
    raise NotImplementedError("epsilon_greedy")


def conditioned(
    arm: Tensor,
    previous_action: Tensor,
    previous_extrinsic: Tensor,
    previous_intrinsic: Tensor,
    first: Tensor,
    arm_count: int,
    action_count: int,
) -> Tensor:
    """Return what the network of the whole family is told besides the observation [ngu:conditioned].

        [one-hot(j), one-hot(a_{t-1}), r^e_{t-1}, r^i_{t-1}],    all but the first zero where an episode starts

    One network stands for N policies, since it is told which one to be; and it needs the rewards to keep track of what has been paid
    for already.

    Args:
        arm: [T, B] j, int64, the policy of the episode.
        previous_action: [T, B] a_{t-1}, int64; arbitrary where `first`.
        previous_extrinsic: [T, B] r^e_{t-1}; arbitrary where `first`.
        previous_intrinsic: [T, B] r^i_{t-1}; arbitrary where `first`.
        first: [T, B] bool, whether an episode starts with the row.
        arm_count: N.
        action_count: A.

    Returns:
        [T, B, N + A + 2] of float32.

    Source: Badia et al. (2020), Section 3.

    >>> one = torch.ones(2, 1)
    >>> conditioned(one.long(), one.long(), 5 * one, 7 * one, torch.tensor([[True], [False]]), 2, 3).squeeze(1)
    tensor([[0., 1., 0., 0., 0., 0., 0.],
            [0., 1., 0., 1., 0., 5., 7.]])
    """
    raise NotImplementedError("conditioned")


def ngu_targets(
    q_online: Tensor,
    q_target: Tensor,
    action: Tensor,
    behaviour: Tensor,
    extrinsic: Tensor,
    intrinsic: Tensor,
    weight: Tensor,
    discount: Tensor,
    same_episode: Tensor,
    trace_lambda: float,
    target_epsilon: float,
    epsilon: float,
) -> Tensor:
    """Return the targets of NGU: transformed Retrace of the reward that each policy of the family maximizes [ngu:targets].

        r_t = r^e_t + β_j r^i_t,    π = ε-greedy in the online values,    c_t = λ min(1, π(a_t|x_t) / μ(a_t|x_t))
        y = the targets [retrace:transformed] of r, π and c, with h and the values of the target network

    The online network says what the policy is, the target network what it is worth, as in double Q-learning. The replay tells with which
    probability the actor took its action: it was another, older policy.

    Args:
        q_online: [T + 1, B, A] transformed values of the online network at x_0 … x_T.
        q_target: [T + 1, B, A] the same of the target network.
        action: [T, B] a_t, int64.
        behaviour: [T, B] μ(a_t|x_t) > 0, as it was when the actor acted.
        extrinsic: [T, B] r^e_t.
        intrinsic: [T, B] r^i_t, for the step that led to the novel state.
        weight: [B] β_j of the policy that each sequence is learnt for.
        discount: [T, B] γ_j of that policy, or 0 where step t terminated its episode.
        same_episode: [T, B] 1 where row t + 1 continues the episode of row t, else 0.
        trace_lambda: λ.
        target_epsilon: ε of the target policy π.
        epsilon: ε of h, `rescale`, and of h⁻¹, `rescale_inverse`.

    Returns:
        [T, B] constants, through which no gradient flows.

    Raises:
        ValueError: the shapes of the arguments do not fit one another.

    Source: Badia et al. (2020), Section 3 and Appendix E. The h⁻¹ printed there lacks the square of its fraction, and has ε = 10⁻²; Table 6
    has 10⁻³.

    >>> q_online, q_target = torch.tensor([[[0.0, 1.0]]] * 2), torch.tensor([[[1.0, 2.0]]] * 2)
    >>> one, weight = torch.ones(1, 1), torch.tensor([3.0])
    >>> ngu_targets(q_online, q_target, one.long(), one, one, 2 * one, weight, one, one, 0.9, 0.0, 0.0)  # h(1 + 3 · 2 + h⁻¹(2)), h⁻¹(2) = 8
    tensor([[3.]])
    """
    raise NotImplementedError("ngu_targets")


# %% [markdown]
# ## The agent
#
# NGU is R2D2 with four things more: networks that say what is novel, an intrinsic reward between each step and its storage, a family of
# policies in one network, and other targets.


# %%
@dataclass(frozen=True)
class NGUConfig(r2d2.R2D2Config):
    """Hyperparameters; the defaults suit small mazes, `CONFIGS["paper"]` is the paper's column for Atari."""

    steps: int = 60_000  # environment steps in all
    policies: int = 1  # N
    exploration_weight: float = 0.3  # β, Badia et al. (2020), Table 6
    discount: float = 0.8  # γ_max, of policy 0; 0.997 in the paper
    shortest_discount: float = 0.8  # γ_min, of policy N - 1; 0.99 in the paper
    trace_lambda: float = 0.95  # λ, Table 6
    target_epsilon: float = 0.01  # ε of the target policy, Table 6
    # Not in the paper: the share of each batch that is learnt for another policy of the family, drawn at random (off-policy, by Retrace).
    cross_mixture: float = 0.0
    embedding: str = "controllable"  # controllable, or random: f stays as it was made, for the ablation
    novelty: str = "both"  # both, episodic, life-long (without the episodic memory) or none
    # Deviation: in the paper the scale of r^i is what ε, k and P make it. Divided by its root mean square, one β suits all tasks.
    intrinsic_scale: str = "unit"  # unit, or raw as in the paper
    intrinsic_input: str = "shown"  # shown: the network sees the previous r^i as in the paper; hidden: 0 in its place
    # What g and ĝ see: every number normalized as in Burda et al. (2019), or raw; in the paper we found nothing about it. Where the same
    # pixels always show where the agent is, normalized ones tell how seldom it was there.
    life_long_input: str = "normalized"
    embedding_size: int = 16  # P; 32 in the paper
    novelty_sizes: tuple[int, ...] = (64,)  # hidden layers of f, of its classifier, of g and ĝ
    neighbours: int = 5  # k; 10 in the paper
    kernel_epsilon: float = 1e-2  # ε of the kernel, Table 7; 1e-4 for Atari
    cluster_distance: float = 0.008  # ξ, Table 6
    pseudo_count: float = 1e-3  # c, Table 6
    max_similarity: float = 8.0  # s_m, Table 6
    memory_capacity: int = 128  # C, of the states of an episode; 30,000 in the paper
    max_modulation: float = 5.0  # L, Table 6
    novelty_learning_rate: float = 2e-3  # of Adam for f and ĝ; 5e-4 in the paper
    novelty_steps: int = 5  # the last steps of each sequence teach f and ĝ, Appendix A
    classifier_decay: float = 1e-5  # L2 penalty of the classifier, Appendix A
    # Deviation: the paper's networks start from the first update of R2D2. Our tasks are too short for curiosity about noise.
    novelty_warmup: int = 300  # updates of f and ĝ alone, on the first, random steps
    flat_images: bool = True  # whether images are taken as vectors: small ones need no convolutions

    def __post_init__(self):
        super().__post_init__()
        allowed = {"embedding": ("controllable", "random"), "novelty": ("both", "episodic", "life-long", "none")}
        allowed |= {"intrinsic_scale": ("unit", "raw"), "intrinsic_input": ("shown", "hidden"), "life_long_input": ("normalized", "raw")}
        for field, choices in allowed.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be {' or '.join(choices)}, got {getattr(self, field)!r}")

    @property
    def weights(self) -> Tensor:
        """[N] β_j."""
        return exploration_weights(self.policies, self.exploration_weight)

    @property
    def discounts(self) -> Tensor:
        """[N] γ_j."""
        return discounts(self.policies, self.discount, self.shortest_discount)


class Encoder(nn.Module):
    """A feed-forward network of observations, [N, ...] -> [N, P]."""

    def __init__(self, shape: Sequence[int], sizes: Sequence[int], size: int, generator: torch.Generator):
        super().__init__()
        self.torso = Convolutions(shape, generator) if len(shape) > 1 else Vectors(math.prod(shape), (), (), generator)
        self.layers = MLP(self.torso.output_size, sizes, size, generator, activation=torch.relu)

    def forward(self, observation: Tensor) -> Tensor:
        return self.layers(self.torso(observation[None])[0])


class Novelty(nn.Module):
    """What says how novel a state is: f with its classifier, the random network g with its predictor ĝ, and what they are relative to."""

    def __init__(self, shape: Sequence[int], action_count: int, config: NGUConfig, generator: torch.Generator):
        super().__init__()
        self.config, size = config, config.embedding_size
        self.embed, self.predict, self.random = (Encoder(shape, config.novelty_sizes, size, generator) for _ in range(3))
        self.random.requires_grad_(False)
        self.classify = MLP(2 * size, config.novelty_sizes, action_count, generator, activation=torch.relu)
        self.observations = RunningMoments(math.prod(shape))
        self.distances, self.errors, self.squared_rewards = RunningMoments(1), RunningMoments(1), RunningMoments(1)

    def errors_of(self, observation: Tensor) -> Tensor:
        """Return err(x) [N]; gradients flow into ĝ."""
        if self.config.life_long_input == "normalized":
            observation = self.observations(observation.flatten(1)).view(observation.shape)
        return prediction_error(self.predict(observation), self.random(observation))

    def memory(self, rows: int) -> EpisodicMemory:
        """Return an empty memory for episodes in `rows` rows, which shares its mean distance with all others."""
        config = self.config
        with making_tensors_on(self.distances.mean.device):
            memory = EpisodicMemory(
                rows,
                config.embedding_size,
                config.memory_capacity,
                config.neighbours,
                config.kernel_epsilon,
                config.cluster_distance,
                config.pseudo_count,
                config.max_similarity,
            )
        memory.squared_distance = self.distances
        return memory

    @torch.no_grad()
    def reward(self, memory: EpisodicMemory, observation: Tensor) -> Tensor:
        """Return r^i [B] of the states that the rows of a memory have just reached."""
        if self.config.novelty == "none":
            return torch.zeros(len(observation))
        episodic, modulator = torch.ones(len(observation)), torch.ones(len(observation))
        if self.config.novelty != "life-long":
            episodic = memory.bonus(self.embed(observation))
        if self.config.novelty != "episodic":
            self.observations.update(observation.flatten(1))
            error = self.errors_of(observation)
            self.errors.update(error[:, None])
            modulator = life_long_modulator(error, self.errors.mean.float(), self.errors.variance.sqrt().float())
        if self.config.novelty == "life-long":
            reward = modulator.clamp(0, self.config.max_modulation)
        else:
            reward = intrinsic_reward(episodic, modulator, self.config.max_modulation)
        if self.config.intrinsic_scale == "raw":
            return reward
        self.squared_rewards.update(reward.square()[:, None])
        return reward / self.squared_rewards.mean.sqrt().float().clamp(min=1e-6)

    def loss(self, observation: Tensor, observation_next: Tensor, action: Tensor, valid: Tensor) -> Tensor:
        """Return the loss [] of f, its classifier and ĝ, on rows [N, ...]."""
        loss = self.errors_of(observation_next)[valid].mean()
        if self.config.embedding == "controllable":
            loss = loss + inverse_dynamics_loss(self.embed, self.classify, observation, observation_next, action, valid)
        return loss


def controllable_states(observation: Tensor, observation_next: Tensor, action: Tensor, valid: Tensor, updates: int, seed: int) -> Encoder:
    """Return an embedding f that rows [N, P] have taught; every action occurs among them. The training check calls this function."""
    generator, size = torch_stream(seed, "embedding"), NGUConfig.embedding_size
    embed = Encoder(observation.shape[1:], NGUConfig.novelty_sizes, size, generator)
    classify = MLP(2 * size, NGUConfig.novelty_sizes, int(action.max()) + 1, generator, activation=torch.relu)
    optimizer = torch.optim.Adam([*embed.parameters(), *classify.parameters()], NGUConfig.novelty_learning_rate)
    for _ in range(updates):
        rows = torch.randint(len(action), (256,), generator=generator)
        loss = inverse_dynamics_loss(embed, classify, observation[rows], observation_next[rows], action[rows], valid[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return embed.requires_grad_(False)


class ConditionedQNetwork(r2d2.RecurrentQNetwork):
    """R2D2's network for a whole family of policies: it is told which one to be, and both previous rewards."""

    INPUTS = ("observation", "previous_action", "previous_reward", "previous_intrinsic", "arm")

    def __init__(self, observation_shape: Sequence[int], action_count: int, config: NGUConfig, generator: torch.Generator):
        super().__init__(flattened(observation_shape, config), action_count, config, generator)
        self.arm_count, self.intrinsic_input = config.policies, config.intrinsic_input

    @classmethod
    def extra_size(cls, action_count: int, config: NGUConfig) -> int:
        return config.policies + action_count + 2

    def extra(self, inputs: dict[str, Tensor]) -> Tensor:
        arm, action, extrinsic, intrinsic = (inputs[name] for name in ("arm", "previous_action", "previous_reward", "previous_intrinsic"))
        extrinsic = rescale(extrinsic, self.rescale_epsilon)  # as in our R2D2
        if self.intrinsic_input == "hidden":
            intrinsic = torch.zeros_like(intrinsic)
        return conditioned(arm, action, extrinsic, intrinsic, action < 0, self.arm_count, self.action_count)


def flattened(shape: Sequence[int], config: NGUConfig) -> Sequence[int]:
    """Return the shape of observations, or of vectors of the same size where the configuration takes images as such."""
    return (math.prod(shape),) if config.flat_images else shape


class CuriousActors(Actors):
    """Actors each of which follows one policy of the family, and rewards itself for what is novel."""

    agent: "Agent"

    def __init__(self, agent: "Agent", epsilon: np.ndarray, rng: np.random.Generator):
        super().__init__(agent, epsilon, rng)
        self.novelty = agent.novelty
        self.memory, self.learning = self.novelty.memory(len(epsilon)), True
        # The paper has j mod (N - 1), by which the last policy would never act.
        self.arm = np.arange(agent.first_row, agent.first_row + len(epsilon)) % agent.config.policies
        self.intrinsic = np.zeros(len(epsilon), np.float32)

    def begin(self, observation: np.ndarray, first: np.ndarray) -> None:
        if first.all() and not self.learning:  # a copy, since to look at what is novel makes it less so
            self.novelty = copy.deepcopy(self.agent.novelty)
            self.memory = self.novelty.memory(len(first))
        if first.any():
            rows = torch.from_numpy(first).to(self.agent.device)
            self.memory.reset(rows)
            with torch.no_grad():
                self.memory.store(rows, self.novelty.embed(self.agent.seen(observation)))

    def see(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
        intrinsic = np.where(first, 0, self.intrinsic).astype(np.float32)
        return super().see(observation, reward, first) | {"previous_intrinsic": intrinsic, "arm": self.arm.copy()}

    def act(self, seen: dict[str, np.ndarray], first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = self.epsilon
        if not self.agent.updates:  # f learns first of all from random steps, which go everywhere
            self.epsilon = np.ones_like(own)
        action, state = super().act(seen, first)
        self.epsilon = own
        return action, state

    def experience(self, next_observation: np.ndarray, reward: np.ndarray) -> dict[str, np.ndarray]:
        # Deviation: the actors' copies of f and ĝ are refreshed once an episode in the paper; here they are always the newest.
        self.intrinsic = self.novelty.reward(self.memory, self.agent.seen(next_observation)).cpu().numpy()
        return {"intrinsic": self.intrinsic}


class Agent(r2d2.Agent):
    """NGU: R2D2's agent with a family of policies that are rewarded for what is novel."""

    config: NGUConfig
    network_type: type[Any] = ConditionedQNetwork
    actors_type: type[CuriousActors] = CuriousActors
    acting: tuple[str, ...] = ("network", "novelty")

    def __init__(self, observation_space: Box, action_space: Discrete, config: NGUConfig):
        super().__init__(observation_space, action_space, config)
        shape = flattened(self.observation_shape, config)
        self.novelty = Novelty(shape, self.action_count, config, torch_stream(config.seed, "novelty")).to(self.device)
        self.parts["novelty"] = self.novelty
        learnt: list[Tensor] = [*self.novelty.embed.parameters(), *self.novelty.predict.parameters()]
        classifier: dict[str, Any] = {"params": self.novelty.classify.parameters(), "weight_decay": config.classifier_decay}
        self.optimizers["novelty"] = torch.optim.Adam([{"params": learnt}, classifier], config.novelty_learning_rate, fused=True)
        self.arm_weights, self.arm_discounts = config.weights.to(self.device), config.discounts.to(self.device)
        self.rng = numpy_stream(config.seed, "cross mixture")
        self.known = self.moments()

    @property
    def fields(self) -> dict[str, tuple]:
        number = ((), "float32")
        more = {"previous_intrinsic": number, "arm": ((), "int64"), "intrinsic": number, "behaviour": number}
        return super().fields | more

    def seen(self, observation: np.ndarray) -> Tensor:
        """Return observations [B, ...] as the networks of novelty take them."""
        tensor = torch.from_numpy(observation.astype(self.observation_dtype, copy=False)).to(self.device)
        return self.scaled(tensor)

    def scaled(self, observation: Tensor) -> Tensor:
        """Return observations [N, ...], images as numbers up to 1, and as vectors if they are taken as such."""
        observation = observation / 255 if observation.dtype == torch.uint8 else observation
        return observation.flatten(1) if self.config.flat_images else observation

    def moments(self) -> dict[str, dict[str, Tensor]]:
        """Return what rewards are relative to, which actors measure and the learner joins."""
        names = ("observations", "distances", "errors", "squared_rewards")
        return {name: {key: t.cpu().clone() for key, t in getattr(self.novelty, name).state_dict().items()} for name in names}

    def load_weights(self, weights: dict[str, dict[str, Tensor]]) -> None:
        super().load_weights(weights)
        self.known = self.moments()

    def news(self) -> dict[str, Any]:
        before, self.known = self.known, self.moments()
        return {"moments": {name: since(before[name], self.known[name]) for name in before}}

    def hear(self, news: dict[str, Any]) -> None:
        for name, mine in self.moments().items():
            getattr(self.novelty, name).load_state_dict(joined(mine, news["moments"][name]))

    def evaluators(self, count: int) -> CuriousActors:
        """Return actors of policy 0, who teach nobody what is novel."""
        actors = self.actors_type(self, np.zeros(count), numpy_stream(0, "unused"))
        actors.arm[:], actors.learning = 0, False
        actors.novelty = copy.deepcopy(self.novelty)
        actors.memory = actors.novelty.memory(count)
        return actors

    def prepare(self, replay: r2d2.SequenceReplay, rng: np.random.Generator) -> None:
        for _ in range(self.config.novelty_warmup if self.config.novelty != "none" else 0):
            self.learn_novelty(self.batch(replay.sample(rng.random(self.config.batch_size // 4))), self.config.sequence_length)

    def learn_from(self, batch: r2d2.Batch, replay_size: int) -> tuple[np.ndarray, dict[str, float]]:
        priority, scalars = super().learn_from(batch, replay_size)
        if self.config.novelty != "none":
            scalars["novelty_loss"] = self.learn_novelty(batch, self.config.novelty_steps)
        return priority, scalars

    def learn_novelty(self, batch: r2d2.Batch, steps: int) -> float:
        """Take a step of f, its classifier and ĝ on the last steps of each sequence; return the loss."""
        length = batch.mask.sum(0).long()
        step = length - 1 - torch.arange(steps, device=self.device)[:, None]  # [steps, B]
        row, column = (step.clamp(min=0) + self.config.burn_in).flatten(), torch.arange(len(length), device=self.device).repeat(steps)
        observation = batch.rows["observation"]
        before, after = (self.scaled(observation[row + later, column]) for later in (0, 1))
        loss = self.novelty.loss(before, after, batch.rows["action"][row, column], (step >= 0).flatten())
        self.optimizers["novelty"].zero_grad()
        loss.backward()
        self.optimizers["novelty"].step()
        return loss.item()

    def batch(self, sequences: r2d2.Sequences) -> r2d2.Batch:
        batch = super().batch(sequences)
        if self.config.cross_mixture:
            mixed = torch.from_numpy(self.rng.random(len(sequences.key)) < self.config.cross_mixture).to(self.device)
            other = torch.from_numpy(self.rng.integers(self.config.policies, size=len(sequences.key))).to(self.device)
            batch.rows["arm"][:, mixed] = other[mixed]
        return batch

    def targets(self, batch: r2d2.Batch, q_online: Tensor, q_target: Tensor) -> Tensor:
        steps, arm = batch.steps, batch.steps["arm"][0]
        return ngu_targets(
            q_online,
            q_target,
            steps["action"],
            steps["behaviour"],
            steps["reward"],
            steps["intrinsic"],
            self.arm_weights[arm],
            self.arm_discounts[arm] * (~steps["terminated"]).float(),
            r2d2.same_episode(batch.mask),
            self.config.trace_lambda,
            self.config.target_epsilon,
            self.config.rescale_epsilon,
        )


MAZE = NGUConfig(
    env_count=64,
    sequence_length=30,
    sequence_period=15,
    burn_in=5,
    learning_starts=2_000,
    steps_per_update=64,
    batch_size=16,
    learning_rate=4e-3,
    target_period=10,
    novelty_warmup=200,
)
CONFIGS = {
    # ε of the kernel: Badia et al. (2020), Section 2.
    "npfl139/SmallDiscoMaze-v0": replace(
        MAZE, steps=24_000, sequence_length=20, sequence_period=10, burn_in=0, batch_size=32, target_period=5, kernel_epsilon=1e-3
    ),
    "npfl139/DiscoMaze-v0": MAZE,
    "npfl139/DiscoGoal-v0": replace(MAZE, policies=4, exploration_weight=0.1, discount=0.97, cross_mixture=0.5),
    # Badia et al. (2020), Tables 6 and 8; what those leave open is R2D2's. 256 actors at 260 steps/s and 5 updates/s make 13,312 steps per
    # update, and 35·10⁹ frames are a quarter as many steps.
    # Deviation: as R2D2's, the actors share one process with the learner.
    "paper": NGUConfig(
        **vars(r2d2.CONFIGS["paper"])
        | {
            "steps": 8_750_000_000,
            "policies": 32,
            "exploration_weight": 0.3,
            "discount": 0.997,
            "shortest_discount": 0.99,
            "burn_in": 0,
            "replay_rows": 5_000_000,
            "replay_sequences": 125_000,
            "learning_starts": 250_000,  # 6250 sequences
            "adam_epsilon": 1e-4,
            "target_period": 1500,
            "frame_stack": 1,
            "embedding_size": 32,
            "neighbours": 10,
            "kernel_epsilon": 1e-4,
            "memory_capacity": 30_000,
            "novelty_sizes": (128,),
            "novelty_learning_rate": 5e-4,
            "novelty_warmup": 0,
            "intrinsic_scale": "raw",
            "flat_images": False,
        }
    ),
}


def make_agent(observation_space: Space, action_space: Space, config: NGUConfig) -> Agent:
    """Return an untrained agent for environments with the given spaces of a single one.

    Raises:
        ValueError: the observations are not a Box, or the actions not Discrete.
    """
    return Agent(*expect_spaces(observation_space, action_space, Discrete), config)


# %% [markdown]
# ## Training


# %%
def train(environments: VectorEnv, config: NGUConfig, monitor: npfl139.runs.Monitor) -> Agent:
    """Return an agent trained in the environments, one actor in each."""
    return r2d2.learn(make_agent(environments.single_observation_space, environments.single_action_space, config), environments, monitor)


# %%
if __name__ == "__main__":
    npfl139.runs.main(train)
