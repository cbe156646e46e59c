# %% [markdown]
# # Agent57
#
# NGU made an agent explore; Agent57 asks three questions about it. One network adds two returns of very different scales: why not learn
# each by itself? All policies of the family act equally often: why not let each task choose, and choose anew as learning goes on? And if
# horizons can be chosen, why not offer longer ones? With the answers, one agent exceeds the human score in all 57 games.

# %%
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import VectorEnv
from torch import nn

import npfl139.runs
from npfl139.envs import expect_spaces
from npfl139.seeding import numpy_stream
from npfl139.shapes import expect_shape
from solutions import ngu, r2d2
from solutions.ngu import epsilon_greedy
from solutions.retrace import retrace_trace, transformed_off_policy_targets
from solutions.transformed_rewards import rescale, rescale_inverse

Tensor = torch.Tensor
Elementwise = Callable[[Tensor], Tensor]  # a real function, applied to every element of a tensor


# %% [markdown]
# ## Two values instead of one


# %%
def combined_q(extrinsic: Tensor, intrinsic: Tensor, weight: Tensor) -> Tensor:
    """Return the action values of a policy that wants both rewards, from the values of each [agent57:combined].

        q(x, a) = q^e(x, a) + β_j q^i(x, a)

    Args:
        extrinsic: [..., A] q^e, the return of the task's rewards.
        intrinsic: [..., A] q^i, the return of the intrinsic rewards, not weighted by β.
        weight: [...] β_j of the policy.

    Returns:
        [..., A].

    Source: Badia et al. (2020), arXiv:2003.13350, Section 3.1.

    >>> combined_q(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([[4.0, 1.0], [4.0, 1.0]]), torch.tensor([0.0, 0.5]))
    tensor([[1.0000, 2.0000],
            [3.0000, 2.5000]])
    """
    return extrinsic + weight[..., None] * intrinsic


def transformed_combined_q(extrinsic: Tensor, intrinsic: Tensor, weight: Tensor, transform: Elementwise, inverse: Elementwise) -> Tensor:
    """Return the combination of *transformed* action values [agent57:transformed-combined].

        q(x, a) = h(h⁻¹(q^e(x, a)) + β_j h⁻¹(q^i(x, a)))

    Returns add up; transformed returns do not.

    Args:
        extrinsic: [..., A] transformed q^e.
        intrinsic: [..., A] transformed q^i.
        weight: [...] β_j.
        transform: h, applied elementwise.
        inverse: h⁻¹, applied elementwise.

    Returns:
        [..., A] transformed values.

    Source: Badia et al. (2020), arXiv:2003.13350, Section 3.1. Its experiments use [agent57:combined] on the transformed values and
    find no difference (Appendix H.3).

    >>> transformed_combined_q(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0]), torch.tensor(1.0), torch.sqrt, torch.square)
    tensor([5., 5.])
    """
    return transform(combined_q(inverse(extrinsic), inverse(intrinsic), weight))


def split_targets(
    online: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor],
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
) -> tuple[Tensor, Tensor]:
    """Return the targets of the two networks: each learns the return of its own reward, under one common policy [agent57:targets].

        π = ε-greedy in q^e + β_j q^i of the online networks,    c_t = λ min(1, π(a_t|x_t) / μ(a_t|x_t))
        y^e = the targets [retrace:transformed] of r^e, π, c with the values of the target network of q^e
        y^i = the same of r^i with those of q^i

    With h the identity, y^e + β y^i is the target of r^e + β r^i for q^e + β q^i: nothing is lost by splitting. What is gained is that
    each network sees rewards of one scale, whatever β is.

    Args:
        online: q^e and q^i of the online networks, [T + 1, B, A] each, transformed, at x_0 … x_T.
        target: the same of the target networks.
        action: [T, B] a_t, int64.
        behaviour: [T, B] μ(a_t|x_t) > 0, as it was when the actor acted.
        extrinsic: [T, B] r^e_t.
        intrinsic: [T, B] r^i_t.
        weight: [B] β_j of the policy that each sequence is learnt for.
        discount: [T, B] γ_j of that policy, or 0 where step t terminated its episode.
        same_episode: [T, B] 1 where row t + 1 continues the episode of row t, else 0.
        trace_lambda: λ.
        target_epsilon: ε of the target policy π.
        epsilon: ε of h, `rescale`, and of h⁻¹, `rescale_inverse`.

    Returns:
        y^e and y^i, [T, B] each; constants, through which no gradient flows.

    Raises:
        ValueError: the shapes of the arguments do not fit one another.

    Source: Badia et al. (2020), arXiv:2003.13350, Section 3.1 and Appendix B.

    >>> online = torch.tensor([[[0.0, 1.0]]] * 2), torch.tensor([[[2.0, 0.0]]] * 2)  # with β = 1, the first action is greedy
    >>> target = torch.tensor([[[1.0, 5.0]]] * 2), torch.tensor([[[2.0, 5.0]]] * 2)
    >>> one = torch.ones(1, 1)
    >>> split_targets(online, target, 0 * one.long(), one, 12 * one, 7 * one, torch.ones(1), one, one, 0.9, 0.0, 0.0)  # h(12 + 3), h(7 + 8)
    (tensor([[3.]]), tensor([[3.]]))
    """
    for name, q in (("online q^i", online[1]), ("target q^e", target[0]), ("target q^i", target[1])):
        expect_shape(name, q, *online[0].shape)
    expect_shape("online q^e", online[0], len(action) + 1, *action.shape[1:], online[0].shape[-1])
    expect_shape("weight", weight, action.shape[1])
    for name, tensor in (("behaviour", behaviour), ("extrinsic", extrinsic), ("intrinsic", intrinsic), ("discount", discount)):
        expect_shape(name, tensor, *action.shape)
    policy = epsilon_greedy(combined_q(*online, weight).detach(), torch.tensor(target_epsilon))
    taken = action[..., None]
    trace = retrace_trace(policy[:-1].gather(-1, taken).squeeze(-1), behaviour, trace_lambda)

    def targets(reward: Tensor, q: Tensor) -> Tensor:
        return transformed_off_policy_targets(
            reward,
            discount,
            same_episode,
            q[:-1].gather(-1, taken).squeeze(-1),
            q[1:],
            policy[1:],
            trace,
            lambda x: rescale(x, epsilon),
            lambda x: rescale_inverse(x, epsilon),
        )

    return targets(extrinsic, target[0].detach()), targets(intrinsic, target[1].detach())


# %% [markdown]
# ## Which policy to play
#
# Each policy of the family is the arm of a bandit, and what an episode with it returned is what the arm paid. The arms change while the
# networks learn, so only the last τ episodes count.


# %%
class SlidingWindowUCB:
    """A bandit that prefers the arms with the best mean over the last τ pulls, or with few of them.

    `window` holds the last τ pairs (arm, reward), the oldest first, and `pulls` how many there were in all.
    """

    def __init__(self, arms: int, window: int, coefficient: float = 1.0, epsilon: float = 0.5):
        """Make a bandit that has not been played.

        Args:
            arms: N.
            window: τ ≥ 1.
            coefficient: β of the bonus. 1 suits rewards with a standard deviation of about 1.
            epsilon: probability of a random arm.
        """
        self.arms, self.coefficient, self.epsilon = arms, coefficient, epsilon
        self.window: deque[tuple[int, float]] = deque(maxlen=window)
        self.pulls = 0

    def select(self, uniform: float, arm: int) -> int:
        """Return the arm to pull next [agent57:select].

            k while k < N;    with probability ε a random arm;    otherwise argmax_a μ̂_k(a, τ) + β √(1 / N_k(a, τ))

        where k is how many pulls there were (`self.pulls`), N(a, τ) how many of the last τ pulled arm a, and μ̂(a, τ) the mean of
        what these paid. An arm that none of them pulled comes first; of equals, the arm with the lowest number.

        Args:
            uniform: in [0, 1); the arm is random where it is less than ε.
            arm: the random arm.

        Source: Badia et al. (2020), arXiv:2003.13350, Section 3.2 and Appendix D, the simplified rule that its experiments use:
        unlike that of Garivier and Moulines (2008), it has no logarithm.

        >>> bandit = SlidingWindowUCB(2, window=3, coefficient=1.0, epsilon=0.0)
        >>> for reward in (1.0, 0.5, 1.0, 1.0):
        ...     bandit.update(bandit.select(0.9, 0), reward)
        >>> list(bandit.window), bandit.select(0.9, 0)
        ([(1, 0.5), (0, 1.0), (0, 1.0)], 0)
        """
        if self.pulls < self.arms:
            return self.pulls
        if uniform < self.epsilon:
            return arm
        count, mean = self._statistics()
        return int((mean + self.coefficient * count.rsqrt()).nan_to_num(nan=math.inf).argmax())

    def update(self, arm: int, reward: float) -> None:
        """Include what a pull paid, and forget the one τ pulls before it [agent57:update].

        Args:
            arm: the arm that was pulled.
            reward: what it paid; here the undiscounted extrinsic return of the episode, whatever the policy of the arm wanted.

        Source: Badia et al. (2020), arXiv:2003.13350, Section 3.2 and Appendix D.

        >>> bandit = SlidingWindowUCB(2, window=2)
        >>> for arm, reward in ((0, 9.0), (1, 1.0), (1, 2.0)):
        ...     bandit.update(arm, reward)
        >>> list(bandit.window), bandit.pulls
        ([(1, 1.0), (1, 2.0)], 3)
        """
        self.window.append((arm, reward))
        self.pulls += 1

    def best(self) -> int:
        """Return the arm with the best mean over the window, which is the one to evaluate [agent57:best].

        An arm that the window does not hold cannot be it; of equals, the arm with the lowest number; before the first pull, arm 0.

        Source: Badia et al. (2020), arXiv:2003.13350, Section 3.2.

        >>> bandit = SlidingWindowUCB(3, window=9)
        >>> for arm, reward in ((1, 3.0), (2, 2.0), (2, 3.5)):
        ...     bandit.update(arm, reward)
        >>> bandit.best()
        1
        """
        return int(self._statistics()[1].nan_to_num(nan=-math.inf).argmax())

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Return N(a, τ) and μ̂(a, τ), [N] each in float64; the mean of an arm without pulls is NaN."""
        arms = torch.tensor([arm for arm, _ in self.window], dtype=torch.int64)
        rewards = torch.tensor([reward for _, reward in self.window], dtype=torch.float64)
        count = torch.zeros(self.arms, dtype=torch.float64).index_add(0, arms, torch.ones_like(rewards))
        return count, torch.zeros_like(count).index_add(0, arms, rewards) / count


# %% [markdown]
# ## Longer horizons


# %%
def discounts(count: int, longest: float, middle: float, shortest: float) -> Tensor:
    """Return the discounts of Agent57's family: seven long horizons, then NGU's ever shorter ones [agent57:discounts].

        γ_0 = γ_max,    γ_j = γ_mid + (γ_max - γ_mid) σ(10 (6 - 2j) / 6) for 1 ≤ j ≤ 6,    γ_7 = γ_mid,
        γ_j = 1 - exp(((N - 1 - j) log(1 - γ_mid) + (j - 8) log(1 - γ_min)) / (N - 9)) for j ≥ 8

    with the logistic function σ. The discounts never rise with j.

    Args:
        count: N ≥ 10.
        longest: γ_max.
        middle: γ_mid ≤ γ_max.
        shortest: γ_min ≤ γ_mid.

    Returns:
        [N] of float32.

    Raises:
        ValueError: N is less than 10.

    Source: Badia et al. (2020), arXiv:2003.13350, Appendix G.1, whose print has two misprints: with 2j - 6 in place of 6 - 2j the
    discounts *rise* from j = 1 to 6, and with N - 9 in place of N - 1 - j they rise again from 8 on, to 0.99997.

    >>> discounts(32, 0.9999, 0.997, 0.99)[[0, 3, 7, 8, 31]]
    tensor([0.9999, 0.9984, 0.9970, 0.9970, 0.9900])
    """
    if count < 10:
        raise ValueError(f"the family needs at least 10 policies, got {count}")
    index = torch.arange(count, dtype=torch.float64)
    long = middle + (longest - middle) * torch.sigmoid(10 * (6 - 2 * index) / 6)
    short = 1 - torch.exp(((count - 1 - index) * math.log(1 - middle) + (index - 8) * math.log(1 - shortest)) / (count - 9))
    result = torch.where(index < 7, long, short)
    result[0], result[7] = longest, middle
    return result.float()


# %% [markdown]
# ## Scores
#
# Games have scores of all sizes. To speak of an average they are put on one scale: 0 for random play, 1 for a human's.


# %%
def human_normalized_score(agent: Tensor, random: Tensor, human: Tensor) -> Tensor:
    """Return an agent's scores as shares of a human's, both counted from random play [agent57:normalized].

        (agent - random) / (human - random)

    Args:
        agent: [...] the agent's scores.
        random: [...] those of random play.
        human: [...] those of a human, which differ from random play's.

    Returns:
        [...] 0 for random play, 1 for the human, also where scores are negative.

    Source: Badia et al. (2020), arXiv:2003.13350, Section 4; Mnih et al. (2015).

    >>> human_normalized_score(torch.tensor([-4202.6]), torch.tensor([-17098.1]), torch.tensor([-4336.9]))  # Skiing
    tensor([1.0105])
    """
    return (agent - random) / (human - random)


def capped(scores: Tensor) -> Tensor:
    """Return human-normalized scores limited to [0, 1], game by game [agent57:capped].

    A mean over games can be high through a few games with enormous scores. A capped mean of 1 says that *every* game is at human level.

    Args:
        scores: [...] human-normalized scores.

    Returns:
        [...] in [0, 1].

    Source: Badia et al. (2020), arXiv:2003.13350, Section 4.

    >>> capped(torch.tensor([-0.2, 0.5, 30.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return scores.clamp(0, 1)


PERCENTILES = (40, 30, 20, 10, 5)


def benchmark_statistics(scores: Tensor) -> dict[str, float]:
    """Return what the paper's Table 1 says about an agent [agent57:statistics].

    Args:
        scores: [G] human-normalized scores of G games, as shares.

    Returns:
        By name: "capped mean", "above human" (in how many games the score exceeds 1: a number), "mean", "median", and "40th percentile",
        "30th percentile", "20th percentile", "10th percentile", "5th percentile": the score that this percentage of the games
        does not exceed, interpolated linearly. All but the number are in percent.

    Source: Badia et al. (2020), arXiv:2003.13350, Table 1.

    >>> statistics = benchmark_statistics(torch.tensor([0.5, 1.0, 4.0]))
    >>> [round(statistics[name], 2) for name in ("capped mean", "above human", "mean", "median", "10th percentile")]
    [83.33, 1, 183.33, 100.0, 60.0]
    """
    percent = 100 * scores.double()
    return {
        "capped mean": 100 * capped(scores).double().mean().item(),
        "above human": int((scores > 1).sum()),
        "mean": percent.mean().item(),
        "median": percent.quantile(0.5).item(),
        **{f"{p}th percentile": percent.quantile(p / 100).item() for p in PERCENTILES},
    }


# %% [markdown]
# ## The agent
#
# Agent57 is NGU with three things more: a second network, a bandit that chooses the policy of each episode, and longer horizons.


# %%
@dataclass(frozen=True)
class Agent57Config(ngu.NGUConfig):
    """Hyperparameters; the defaults suit our suite of six tasks, `CONFIGS["paper"]` is the paper's column for Atari."""

    heads: str = "split"  # split, or shared: one network for both returns, as in NGU
    mixing: str = "identity"  # identity (combined_q), or transformed (transformed_combined_q)
    controller: str = "bandit"  # bandit, or uniform: every episode has a random policy, and policy 0 is evaluated, as in NGU
    bandit_window: int = 300  # τ, episodes; 160 in the paper, Section 4 (90 in its Table 3)
    bandit_coefficient: float = 0.7  # β of the bonus, in standard deviations of the returns; 1 in the paper
    bandit_epsilon: float = 0.1  # probability of a random policy; 0.5 in the paper
    policies: int = 4  # N; 32 in the paper
    # Deviation: the paper's family has one curve of (β_j, γ_j). Four policies can as well be all pairs of two β and two γ.
    family_weights: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0)  # β_j; () for those of `exploration_weights`
    family_discounts: tuple[float, ...] = (0.999, 0.75, 0.999, 0.75)  # γ_j; () for those of `discounts`
    discount: float = 0.9999  # γ_max, where the family is the paper's
    middle_discount: float = 0.997  # γ_mid
    shortest_discount: float = 0.99  # γ_min
    steps: int = 70_000  # environment steps in all
    env_count: int = 64
    # Deviation: the paper's network sees the previous r^i. Ours is relative to a mean that moves: a replayed one is no longer true.
    intrinsic_input: str = "hidden"
    learning_starts: int = 2_000
    steps_per_update: int = 96
    sequence_length: int = 20
    sequence_period: int = 10
    burn_in: int = 4
    replay_rows: int = 40_000
    replay_sequences: int = 8_000
    learning_rate: float = 4e-3
    final_learning_rate: float = 4e-4
    target_period: int = 5
    memory_size: int = 48
    head_size: int = 48
    cross_mixture: float = 0.2
    kernel_epsilon: float = 1e-3
    novelty_warmup: int = 200

    def __post_init__(self):
        super().__post_init__()
        allowed = {"heads": ("split", "shared"), "mixing": ("identity", "transformed"), "controller": ("bandit", "uniform")}
        for field, choices in allowed.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be {' or '.join(choices)}, got {getattr(self, field)!r}")
        for field in ("family_weights", "family_discounts"):
            if len(getattr(self, field)) not in (0, self.policies):
                raise ValueError(
                    f"{field} must have one number for each of the {self.policies} policies, or none, got {getattr(self, field)}"
                )

    @property
    def weights(self) -> Tensor:
        return torch.tensor(self.family_weights) if self.family_weights else super().weights

    @property
    def discounts(self) -> Tensor:
        if self.family_discounts:
            return torch.tensor(self.family_discounts)
        return discounts(self.policies, self.discount, self.middle_discount, self.shortest_discount)


SUITE = ("Vaults", "NoisyTelevision", "RandomCoin", "Patience", "Lottery", "ShortCueRecall")  # all with one configuration
CONFIGS = {
    **{f"npfl139/{task}-v0": Agent57Config() for task in SUITE},
    # Badia et al. (2020), arXiv:2003.13350, Table 3 and Section 4; the rest is NGU's. 78·10⁹ frames, after which the last game is passed.
    "paper": Agent57Config(
        **vars(ngu.CONFIGS["paper"])
        | {
            "steps": 19_500_000_000,
            "family_weights": (),
            "family_discounts": (),
            "discount": 0.9999,
            "sequence_length": 160,
            "sequence_period": 80,
            "replay_sequences": 62_500,
            "importance_exponent": 0.0,
            "bandit_window": 160,
            "bandit_coefficient": 1.0,
            "bandit_epsilon": 0.5,
        }
    ),
}


class SplitQNetwork(nn.Module):
    """Two of NGU's networks side by side, one for each return: q^e and q^i as [T, B, 2, A]."""

    INPUTS = ngu.ConditionedQNetwork.INPUTS

    def __init__(self, observation_shape: Sequence[int], action_count: int, config: Agent57Config, generator: torch.Generator):
        super().__init__()
        heads = [ngu.ConditionedQNetwork(observation_shape, action_count, config, generator) for _ in range(2)]
        self.heads, self.state_size = nn.ModuleList(heads), sum(head.state_size for head in heads)

    def forward(self, inputs: dict[str, Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
        results = [head(inputs, part) for head, part in zip(self.heads, state.chunk(2, -1), strict=True)]
        return torch.stack([q for q, _ in results], -2), torch.cat([state for _, state in results], -1)


class Controller:
    """Chooses the policy of every episode, for all actors.

    Deviation: in the paper each of 256 actors has a bandit of its own, since its ε changes which policy serves it best. Ours see a hundred
    episodes each, too few for that, and share one.
    """

    def __init__(self, config: Agent57Config):
        self.config, self.rng = config, numpy_stream(config.seed, "controller")
        self.bandit = SlidingWindowUCB(config.policies, config.bandit_window, config.bandit_coefficient, config.bandit_epsilon)

    def select(self, row: int) -> int:
        """Return the policy of the next episode in a row of environments."""
        arm = int(self.rng.integers(self.config.policies))
        if self.config.controller == "uniform":
            return arm
        if self.bandit.pulls < self.bandit.arms:  # many actors begin before any has finished
            return row % self.bandit.arms
        return self.bandit.select(self.rng.random(), arm)

    def standardize(self) -> None:
        """Make the bonus relative to how much the returns differ, as if they had been standardized."""
        deviation = np.std([episode_return for _, episode_return in self.bandit.window]) if self.bandit.window else 0
        self.bandit.coefficient = self.config.bandit_coefficient * float(deviation or 1)

    def best(self) -> int:
        """Return the policy to evaluate."""
        return self.bandit.best() if self.config.controller == "bandit" else 0

    def state_dict(self) -> dict[str, Tensor]:
        return {"window": torch.tensor(self.bandit.window, dtype=torch.float64).view(-1, 2), "pulls": torch.tensor(self.bandit.pulls)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.bandit.window.clear()
        self.bandit.window.extend((int(arm), episode_return) for arm, episode_return in state["window"].tolist())
        self.bandit.pulls = int(state["pulls"])


class ControlledActors(ngu.CuriousActors):
    """NGU's actors, whose policy is chosen anew for every episode; the undiscounted extrinsic return says how good the choice was."""

    agent: "Agent"

    def __init__(self, agent: "Agent", epsilon: np.ndarray, rng: np.random.Generator):
        super().__init__(agent, epsilon, rng)
        self.controller = agent.controller
        self.episode_return, self.started = np.zeros(len(epsilon)), False

    def begin(self, observation: np.ndarray, first: np.ndarray) -> None:
        if self.learning and first.any():
            self.controller.standardize()
        for row in np.flatnonzero(first):
            if self.learning and self.started:
                self.controller.bandit.update(int(self.arm[row]), float(self.episode_return[row]))
            self.arm[row] = self.controller.select(int(row)) if self.learning else self.controller.best()
        self.episode_return[first], self.started = 0, True
        super().begin(observation, first)

    def experience(self, next_observation: np.ndarray, reward: np.ndarray) -> dict[str, np.ndarray]:
        self.episode_return += reward
        return super().experience(next_observation, reward)


class Agent(ngu.Agent):
    """Agent57: NGU's agent with two networks and a bandit."""

    config: Agent57Config
    actors_type = ControlledActors
    acting = ("network", "novelty", "controller")

    def __init__(self, observation_space: Box, action_space: Discrete, config: Agent57Config):
        self.network_type = SplitQNetwork if config.heads == "split" else ngu.ConditionedQNetwork
        super().__init__(observation_space, action_space, config)
        self.controller = self.parts["controller"] = Controller(config)
        self.told = 0  # how many episodes the learner knows of

    def load_weights(self, weights: dict[str, dict[str, Tensor]]) -> None:
        super().load_weights(weights)
        self.told = self.controller.bandit.pulls

    def news(self) -> dict[str, Any]:
        bandit = self.controller.bandit
        new, self.told = bandit.pulls - self.told, bandit.pulls
        return super().news() | {"episodes": list(bandit.window)[len(bandit.window) - min(new, len(bandit.window)) :]}

    def hear(self, news: dict[str, Any]) -> None:
        super().hear(news)
        for episode in news["episodes"]:
            self.controller.bandit.update(*episode)

    def combined(self, q: Tensor, arm: Tensor) -> Tensor:
        """Return the values [..., A] that a policy acts by, from those of both returns [..., 2, A]."""
        weight, epsilon = self.arm_weights[arm], self.config.rescale_epsilon
        if self.config.mixing == "identity":
            return combined_q(q[..., 0, :], q[..., 1, :], weight)
        transforms = (lambda x: rescale(x, epsilon)), (lambda x: rescale_inverse(x, epsilon))
        return transformed_combined_q(q[..., 0, :], q[..., 1, :], weight, *transforms)

    def action_values(self, inputs: dict[str, Tensor], state: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        q, state = super().action_values(inputs, state, first)
        return self.combined(q, inputs["arm"]) if self.config.heads == "split" else q, state

    def td_errors(self, batch: r2d2.Batch) -> Tensor:
        if self.config.heads == "shared":
            return super().td_errors(batch)
        steps, arm = batch.steps, batch.steps["arm"][0]
        q = self.values(self.network, batch)
        with torch.no_grad():
            policy, values = self.combined(q, arm.expand(len(q), -1)), self.values(self.target, batch)
            targets = split_targets(
                (policy, torch.zeros_like(policy)),  # combined already, in whichever way
                (values[..., 0, :], values[..., 1, :]),
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
        return torch.stack([y - r2d2.chosen(q[:-1, :, head], steps["action"]) for head, y in enumerate(targets)])

    def priority_error(self, td_error: Tensor, batch: r2d2.Batch) -> Tensor:
        # The paper does not say how the two errors make one priority. This way an error counts as it counts in the combined value.
        weight = self.arm_weights[batch.steps["arm"][0]]
        weights = torch.stack([torch.ones_like(weight), weight])[: len(td_error)]
        return (td_error.abs() * weights[:, None]).sum(0)


def make_agent(observation_space: Space, action_space: Space, config: Agent57Config) -> Agent:
    """Return an untrained agent for environments with the given spaces of a single one.

    Raises:
        ValueError: the observations are not a Box, or the actions not Discrete.
    """
    return Agent(*expect_spaces(observation_space, action_space, Discrete), config)


# %% [markdown]
# ## Training


# %%
def train(environments: VectorEnv, config: Agent57Config, monitor: npfl139.runs.Monitor) -> Agent:
    """Return an agent trained in the environments, one actor in each."""
    return r2d2.learn(make_agent(environments.single_observation_space, environments.single_action_space, config), environments, monitor)


# %%
if __name__ == "__main__":
    npfl139.runs.main(train)
