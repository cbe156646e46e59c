# %% [markdown]
# # Agent57
#
# NGU made an agent explore; Agent57 asks three questions about it. One network adds two returns of very different scales: why not learn
# each by itself? All policies of the family act equally often: why not let each task choose, and choose anew as learning goes on? And if
# horizons can be chosen, why not offer longer ones? With the answers, one agent exceeds the human score in all 57 games.

# %%
import math
from collections import deque
from collections.abc import Callable

import torch

from npfl139.shapes import expect_shape
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
    raise NotImplementedError("combined_q")


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
    raise NotImplementedError("transformed_combined_q")


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
    raise NotImplementedError("split_targets")


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
        self.window, self.pulls = deque(maxlen=window), 0

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
        raise NotImplementedError("SlidingWindowUCB.select")

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
        raise NotImplementedError("SlidingWindowUCB.update")

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
        raise NotImplementedError("SlidingWindowUCB.best")

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
    raise NotImplementedError("discounts")


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
    raise NotImplementedError("human_normalized_score")


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
    raise NotImplementedError("capped")


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
    raise NotImplementedError("benchmark_statistics")
