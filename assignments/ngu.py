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
import math
from collections.abc import Callable

import torch
from torch import nn

from npfl139.shapes import expect_shape
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
