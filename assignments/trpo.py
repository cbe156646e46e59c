# %% [markdown]
# # Natural policy gradient and trust regions
#
# The plain policy gradient is the steepest direction in the space of *parameters*, so what it does depends on how the policy
# happens to be parametrized. The natural gradient is the steepest direction in the space of *policies*, where distance is
# measured by the Kullback-Leibler divergence. The exercises build what three algorithms need: the natural policy gradient
# (NPG), its matrix-free version (TNPG), and trust region policy optimization (TRPO), which adds a constraint and a line search.

# %%
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import VectorEnv

import npfl139.runs
from npfl139.config import Config
from npfl139.envs import expect_spaces
from npfl139.nets import MLP
from npfl139.policies import categorical_log_prob, categorical_sample, gaussian_sample
from npfl139.rollout import Collector, Rollout
from npfl139.runs import Monitor
from npfl139.seeding import torch_stream

Tensor = torch.Tensor


# %% [markdown]
# ## The surrogate objective and the distance between policies


# %%
def policy_surrogate(log_prob_new: Tensor, log_prob_old: Tensor, advantage: Tensor) -> Tensor:
    """Return the importance-weighted surrogate objective, to be maximized [trpo:surrogate].

        L(θ) = mean over N of ρ Â,    ρ = π_θ(a|s) / π_old(a|s)

    The actions were sampled from π_old; the ratio ρ makes the mean an estimate of what π_θ would have got in the same states.
    At θ = θ_old its gradient is the policy gradient.

    Args:
        log_prob_new: [N] log π_θ(a|s), carries the gradient.
        log_prob_old: [N] log π_old(a|s), a constant.
        advantage: [N] Â, a constant.

    Returns:
        [] scalar.

    Source: Schulman et al. (2015), arXiv:1502.05477, Eq. 14, with q = π_old.

    >>> p_new, p_old = torch.tensor([0.75, 0.1]), torch.tensor([0.5, 0.2])
    >>> policy_surrogate(p_new.log(), p_old.log(), torch.tensor([1.0, -2.0])).round(decimals=4)
    tensor(0.2500)
    """
    raise NotImplementedError("policy_surrogate")


def categorical_kl(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """Return KL(p ‖ q) of categorical distributions, row by row [trpo:categorical_kl].

        KL(p ‖ q) = Σ_a p(a) (log p(a) - log q(a))

    The logits are finite, of any size, and not normalized: adding a constant to a row changes nothing.

    Args:
        logits_p: [N, A] of p = softmax(logits_p).
        logits_q: [N, A] of q = softmax(logits_q).

    Returns:
        [N], not negative up to rounding; the gradient flows into both arguments.

    >>> p = torch.tensor([[0.5, 0.5]]).log()
    >>> q = torch.tensor([[0.25, 0.75]]).log()
    >>> categorical_kl(p, q), categorical_kl(q, p)
    (tensor([0.1438]), tensor([0.1308]))
    >>> categorical_kl(p, q + 1000)
    tensor([0.1438])
    """
    raise NotImplementedError("categorical_kl")


def gaussian_kl(mean_p: Tensor, log_std_p: Tensor, mean_q: Tensor, log_std_q: Tensor) -> Tensor:
    """Return KL(p ‖ q) of Gaussian distributions with diagonal covariance, row by row [trpo:gaussian_kl].

        KL(p ‖ q) = ∫ p(a) (log p(a) - log q(a)) da

    The integral has a closed form in the means μ and the standard deviations σ: derive it for one dimension. The dimensions are
    independent, so their divergences add up.

    Args:
        mean_p: [N, D] μ_p.
        log_std_p: [N, D] log σ_p.
        mean_q: [N, D] μ_q.
        log_std_q: [N, D] log σ_q.

    Returns:
        [N], not negative up to rounding; the gradient flows into all arguments.

    >>> zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    >>> gaussian_kl(zero, zero, one, zero)
    tensor([0.5000])
    >>> gaussian_kl(zero, zero, zero, one), gaussian_kl(zero, one, zero, zero)
    (tensor([0.5677]), tensor([2.1945]))
    """
    raise NotImplementedError("gaussian_kl")


# %% [markdown]
# ## Policies
#
# A policy maps observations to the parameters of a distribution over actions: logits, or means and logarithms of standard deviations.


# %%
class Policy(torch.nn.Module, ABC):
    """A differentiable stochastic policy. A distribution is a tuple of tensors, one row per observation."""

    @abstractmethod
    def forward(self, observation: Tensor) -> tuple[Tensor, ...]:
        """Return the distributions over actions for observations [N, O]."""

    @abstractmethod
    def log_prob(self, distribution: tuple[Tensor, ...], action: Tensor) -> Tensor:
        """Return log π(a|s), [N]."""

    @abstractmethod
    def kl(self, p: tuple[Tensor, ...], q: tuple[Tensor, ...]) -> Tensor:
        """Return KL(p ‖ q) row by row, [N]."""

    @abstractmethod
    def sample(self, distribution: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Return one random action per row."""

    @abstractmethod
    def mode(self, distribution: tuple[Tensor, ...]) -> Tensor:
        """Return the most likely action of each row."""

    def flat(self) -> Tensor:
        """Return a copy of all parameters as one vector [P], in the order of `parameters()`."""
        return flattened(parameter.detach() for parameter in self.parameters())

    @torch.no_grad()
    def load(self, vector: Tensor) -> None:
        """Set all parameters from one vector [P], in the order of `parameters()`."""
        parameters = list(self.parameters())
        for parameter, part in zip(parameters, vector.split([parameter.numel() for parameter in parameters]), strict=True):
            parameter.copy_(part.view_as(parameter))


class CategoricalPolicy(Policy):
    """π(a|s) = softmax of the outputs of a network; a distribution is (logits [N, A],)."""

    def __init__(self, observation_size: int, action_count: int, hidden_sizes: Sequence[int], generator: torch.Generator):
        super().__init__()
        self.network = MLP(observation_size, hidden_sizes, action_count, generator, output_scale=0.01)

    def forward(self, observation):
        return (self.network(observation),)

    def log_prob(self, distribution, action):
        (logits,) = distribution
        return categorical_log_prob(logits, action)

    def kl(self, p, q):
        return categorical_kl(*p, *q)

    def sample(self, distribution, generator):
        (logits,) = distribution
        return categorical_sample(logits, generator)

    def mode(self, distribution):
        (logits,) = distribution
        return logits.argmax(dim=-1)


class GaussianPolicy(Policy):
    """π(a|s) = N(μ(s), σ²) with σ independent of the state; a distribution is (means [N, D], log standard deviations [N, D])."""

    def __init__(self, observation_size: int, action_size: int, hidden_sizes: Sequence[int], generator: torch.Generator):
        super().__init__()
        self.network = MLP(observation_size, hidden_sizes, action_size, generator, output_scale=0.01)
        self.log_std = torch.nn.Parameter(torch.zeros(action_size))

    def forward(self, observation):
        mean = self.network(observation)
        return mean, self.log_std.expand_as(mean)

    def log_prob(self, distribution, action):
        mean, log_std = distribution
        return torch.distributions.Normal(mean, log_std.exp()).log_prob(action).sum(dim=-1)

    def kl(self, p, q):
        return gaussian_kl(*p, *q)

    def sample(self, distribution, generator):
        mean, log_std = distribution
        return gaussian_sample(mean, log_std.exp(), generator)

    def mode(self, distribution):
        return distribution[0]


def flattened(tensors: Iterable[Tensor]) -> Tensor:
    """Return the elements of all tensors as one vector [P]."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


# %% [markdown]
# ## Solving F d = g without ever forming F


# %%
def fisher_vector_product(policy: Policy, observation: Tensor, vector: Tensor, damping: float) -> Tensor:
    """Return (F + damping I) v by differentiating the divergence twice [trpo:fvp].

        F = ∇²_θ' D(θ') at θ' = θ,    D(θ') = mean over N of KL(π_θ(·|s) ‖ π_θ'(·|s))
        F v = ∇_θ' (∇_θ' D · v)

    F has P² elements, too many for a network; the product needs only two gradients. θ is a constant in D: only θ' is
    differentiated, although both have the same value. With a few states the rank of F is far below P, so that F alone could
    not be inverted; that is what the damping is for.

    Args:
        policy: `policy(observation)` gives the distributions as a tuple, `policy.kl(p, q)` the divergences of two such tuples, [N].
        observation: [N, O].
        vector: [P] v, in the order of `policy.parameters()`, each parameter flattened.
        damping: ≥ 0.

    Returns:
        [P], without a gradient. The parameters and their `.grad` stay as they are.

    Source: Schulman et al. (2015), arXiv:1502.05477, Appendix C.

    >>> policy = CategoricalPolicy(1, 2, [], torch.Generator())   # logits = w s + b with w = b = 0: p = (½, ½)
    >>> policy.load(torch.zeros(4))
    >>> state = torch.tensor([[1.0], [3.0]])
    >>> fisher_vector_product(policy, state, torch.tensor([1.0, 0.0, 0.0, 0.0]), 0.0)  # ¼ · mean of (s², -s², s, -s)
    tensor([ 1.2500, -1.2500,  0.5000, -0.5000])
    >>> fisher_vector_product(policy, state, torch.tensor([1.0, 0.0, 0.0, 0.0]), 0.1)
    tensor([ 1.3500, -1.2500,  0.5000, -0.5000])
    """
    raise NotImplementedError("fisher_vector_product")


def conjugate_gradient(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int, tolerance: float) -> Tensor:
    """Return an approximate solution x of A x = b, using A only to multiply [trpo:conjugate_gradient].

    A is symmetric and positive definite. Start from x = 0 with the residual r = b and the search direction p = b, then repeat

        α = rᵀr / pᵀA p,    x ← x + α p,    r' = r - α A p,    β = r'ᵀr' / rᵀr,    p ← r' + β p,    r ← r'

    After k iterations x minimizes ½ xᵀA x - bᵀx over the span of b, A b, …, Aᵏ⁻¹ b; without rounding it is exact after
    as many iterations as A has different eigenvalues.

    Each iteration computes one product, and no product is computed outside of them. Stop early

    - as soon as ‖r‖ ≤ tolerance · ‖b‖, which is so at once for b = 0;
    - where pᵀA p is not positive: A is then not positive definite, or singular and blurred by rounding. Return the x of before.

    Args:
        product: v [P] ↦ A v [P].
        target: [P] b.
        iterations: the largest number of products.
        tolerance: ≥ 0.

    Returns:
        [P].

    Source: Hestenes and Stiefel (1952); Schulman et al. (2015), arXiv:1502.05477, Appendix C.

    >>> matrix, target = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([4.0, 7.0])
    >>> conjugate_gradient(lambda v: matrix @ v, target, 2, 1e-6).round(decimals=4)
    tensor([1., 2.])
    >>> conjugate_gradient(lambda v: matrix @ v, target, 1, 1e-6).round(decimals=4)
    tensor([1.1064, 1.9362])
    >>> conjugate_gradient(lambda v: matrix @ v, 0 * target, 2, 1e-6)
    tensor([0., 0.])
    """
    raise NotImplementedError("conjugate_gradient")


# %% [markdown]
# ## How far to go


# %%
def natural_step_size(gradient: Tensor, direction: Tensor, learning_rate: float) -> Tensor:
    """Return the step size of the (truncated) natural policy gradient [trpo:natural_step].

        λ / √(gᵀF⁻¹g)

    The direction d = F⁻¹g was computed already, so F is not needed again. The step λ/√(gᵀF⁻¹g) · d has the same length λ in
    the metric of F whatever the size of the gradient.

    Args:
        gradient: [P] g.
        direction: [P] d = F⁻¹g.
        learning_rate: λ > 0.

    Returns:
        [] the factor of d; 0 where gᵀF⁻¹g is not positive, as it is for g = 0.

    Source: Peters and Schaal (2008), Reinforcement learning of motor skills with policy gradients; Duan et al. (2016),
    arXiv:1604.06778, Section 4.

    >>> natural_step_size(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 10.0]), 0.7)  # F = diag(1, 0.4)
    tensor(0.1000)
    >>> natural_step_size(torch.zeros(2), torch.zeros(2), 0.7)
    tensor(0.)
    """
    raise NotImplementedError("natural_step_size")


def trust_region_step_size(direction: Tensor, fisher_direction: Tensor, max_kl: float) -> Tensor:
    """Return the largest step along d within the trust region, according to the quadratic model of the divergence [trpo:trust_region].

        the β with KL(θ ‖ θ + β d) ≈ ½ (β d)ᵀ F (β d) = δ

    Args:
        direction: [P] d.
        fisher_direction: [P] F d.
        max_kl: δ > 0.

    Returns:
        [] β ≥ 0, the factor of d; 0 where dᵀF d is not positive, as it is for d = 0.

    Source: Schulman et al. (2015), arXiv:1502.05477, Appendix C.

    >>> trust_region_step_size(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0]), 0.02).round(decimals=4)  # F = diag(2, ½)
    tensor(0.1000)
    >>> trust_region_step_size(torch.zeros(2), torch.zeros(2), 0.02)
    tensor(0.)
    """
    raise NotImplementedError("trust_region_step_size")


def backtracking_line_search(
    evaluate: Callable[[Tensor], tuple[float, float]], parameters: Tensor, step: Tensor, max_kl: float, shrink: float, attempts: int
) -> Tensor:
    """Return the first acceptable parameters on the way back from θ + step to θ [trpo:line_search].

        θ + step,    θ + shrink · step,    θ + shrink² · step,    …    (`attempts` candidates)

    The step came from a linear model of the surrogate and a quadratic model of the divergence. Both are wrong far from θ, so each
    candidate is measured: it is acceptable when its surrogate is *greater* than that of θ itself, and its divergence is at most δ.
    A candidate whose surrogate or divergence is NaN is not acceptable. When no candidate is acceptable, θ is returned.

    Args:
        evaluate: θ' [P] ↦ (surrogate L(θ'), divergence KL(θ ‖ θ')), two scalars.
        parameters: [P] θ, the old parameters.
        step: [P] the full step.
        max_kl: δ > 0.
        shrink: in (0, 1).
        attempts: the largest number of candidates, the full step included.

    Returns:
        [P] an acceptable candidate, or θ.

    Source: Schulman et al. (2015), arXiv:1502.05477, Appendix C.

    >>> theta, step = torch.tensor([0.0]), torch.tensor([4.0])
    >>> def evaluate(theta):
    ...     return 1 - (theta - 0.75).square().item(), 0.5 * theta.square().item()
    >>> backtracking_line_search(evaluate, theta, step, 3.0, 0.5, 10)      # at 4 and 2 the surrogate is worse than at 0
    tensor([1.])
    >>> backtracking_line_search(evaluate, theta, step, 0.2, 0.5, 10)      # at 1 the divergence is too large
    tensor([0.5000])
    >>> backtracking_line_search(evaluate, theta, -step, 3.0, 0.5, 10)     # no candidate is better
    tensor([0.])
    """
    raise NotImplementedError("backtracking_line_search")


# %% [markdown]
# ## Why it may work: two policies compared exactly
#
# In a small Markov decision process nothing needs to be sampled, and the theory behind the surrogate can be computed.


# %%
@dataclass(frozen=True)
class TabularMDP:
    """A finite Markov decision process; a policy is a matrix π(a|s) of shape [S, A]."""

    transition: Tensor  # [S, A, S] P(s'|s, a)
    reward: Tensor  # [S, A] R(s, a)
    start: Tensor  # [S] distribution of the first state
    discount: float  # γ < 1

    def state_values(self, policy: Tensor) -> Tensor:
        """Return v_π [S], which solves v = R_π + γ P_π v."""
        reward, transition = self._under(policy)
        return torch.linalg.solve(torch.eye(len(reward), dtype=reward.dtype) - self.discount * transition, reward)

    def performance(self, policy: Tensor) -> Tensor:
        """Return v_π = E over first states of v_π(s), []."""
        return self.start @ self.state_values(policy)

    def advantages(self, policy: Tensor) -> Tensor:
        """Return a_π(s, a) = q_π(s, a) - v_π(s), [S, A]."""
        values = self.state_values(policy)
        return self.reward + self.discount * self.transition @ values - values[:, None]

    def visitation(self, policy: Tensor) -> Tensor:
        """Return μ_π(s) = Σ_t γ^t P(S_t = s), [S]; it is not normalized and sums to 1/(1 - γ)."""
        _, transition = self._under(policy)
        return torch.linalg.solve(torch.eye(len(transition), dtype=transition.dtype) - self.discount * transition.T, self.start)

    def _under(self, policy: Tensor) -> tuple[Tensor, Tensor]:
        return (policy * self.reward).sum(dim=1), torch.einsum("sa,sat->st", policy, self.transition)


def performance_difference(mdp: TabularMDP, policy_old: Tensor, policy_new: Tensor) -> Tensor:
    """Return by how much π_new is better than π_old, from the advantages of π_old [trpo:performance_difference].

        v_new - v_old = Σ_s μ_new(s) Σ_a π_new(a|s) a_old(s, a)

    Args:
        mdp: gives `advantages(policy)` [S, A] and the visitation measure `visitation(policy)` [S].
        policy_old: [S, A] π_old.
        policy_new: [S, A] π_new.

    Returns:
        [] scalar.

    Source: Kakade and Langford (2002); Schulman et al. (2015), arXiv:1502.05477, Eq. 2.

    >>> stay, go = torch.eye(2), torch.eye(2).flip(0)             # action 0 stays, action 1 goes to the other state
    >>> mdp = TabularMDP(torch.stack([stay, go], dim=1), torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([1.0, 0.0]), 0.5)
    >>> never = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> leave = torch.tensor([[0.0, 1.0], [1.0, 0.0]])            # reaches the rewarding state after one step: γ / (1 - γ)
    >>> performance_difference(mdp, never, leave), mdp.performance(leave) - mdp.performance(never)
    (tensor(1.), tensor(1.))
    """
    raise NotImplementedError("performance_difference")


def improvement_bound(mdp: TabularMDP, policy_old: Tensor, policy_new: Tensor) -> Tensor:
    """Return what v_new cannot be smaller than, a bound that is tight at π_new = π_old [trpo:bound].

        v_new ≥ L_old(π_new) - 4εγ / (1 - γ)² · max_s KL(π_old(·|s) ‖ π_new(·|s)),    ε = max_{s,a} |a_old(s, a)|
        L_old(π_new) = v_old + Σ_s μ_old(s) Σ_a π_new(a|s) a_old(s, a)

    L differs from the performance difference only in the states: they are those that the *old* policy visits.

    Args:
        mdp: gives `performance(policy)` [], `advantages(policy)` [S, A] and `visitation(policy)` [S].
        policy_old: [S, A] π_old; it may contain zeros, and 0 log 0 is 0.
        policy_new: [S, A] π_new, positive wherever π_old is.

    Returns:
        [] scalar.

    Source: Schulman et al. (2015), arXiv:1502.05477, Theorem 1 and Eq. 3.

    >>> bandit = TabularMDP(torch.ones(1, 2, 1), torch.tensor([[0.0, 1.0]]), torch.ones(1), 0.5)
    >>> old, new = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.4, 0.6]])
    >>> improvement_bound(bandit, old, old), bandit.performance(old)
    (tensor(1.), tensor(1.))
    >>> improvement_bound(bandit, old, new), bandit.performance(new)     # 1.2 - 4 · ½ · ½ / ¼ · 0.0204
    (tensor(1.1184), tensor(1.2000))
    """
    raise NotImplementedError("improvement_bound")


# %% [markdown]
# ## The configuration


# %%
@dataclass(frozen=True)
class TRPOConfig(Config):
    """What a run is made of. The defaults are for CartPole-v1."""

    steps: int = 40_960
    env_count: int = 16  # N
    algorithm: str = "trpo"  # reinforce, npg, tnpg or trpo
    rollout_length: int = 128  # T
    discount: float = 0.98  # γ
    horizon: int = 128  # rewards in a return before the value function takes over; as many as the rollout is long: Monte Carlo
    hidden_sizes: tuple[int, ...] = (32, 32)  # of the policy; empty for a linear one
    max_kl: float = 0.02  # δ; Schulman et al. (2015), Section 8, use 0.01
    damping: float = 0.1  # added to the diagonal of F
    conjugate_gradient_iterations: int = 10  # Schulman et al. (2015), Appendix C; Duan et al. (2016), Section 4
    conjugate_gradient_tolerance: float = 1e-5  # of the residual, relative to the gradient
    line_search_shrink: float = 0.5  # factor between two candidates
    line_search_attempts: int = 10  # candidates, the full step included
    policy_learning_rate: float = 0.01  # of Adam, in REINFORCE only
    value_hidden_sizes: tuple[int, ...] = (32, 32)  # of the value function
    value_learning_rate: float = 5e-3  # of Adam
    value_epochs: int = 10  # passes over a rollout
    value_batch_size: int = 512
    normalize_observations: bool = False  # by the mean and standard deviation of all observations so far

    @property
    def natural_learning_rate(self) -> float:
        """λ of NPG and TNPG, chosen such that TNPG takes the full step of TRPO: the length of a step is then √(2δ) in the metric of F."""
        return (2 * self.max_kl) ** 0.5


_MUJOCO = TRPOConfig(
    env_count=4, rollout_length=512, discount=0.99, horizon=20, hidden_sizes=(64, 64), value_hidden_sizes=(64, 64), value_epochs=20,
    normalize_observations=True,
)  # fmt: skip

CONFIGS = {
    "InvertedPendulum-v5": replace(_MUJOCO, steps=50_000),
    "Swimmer-v5": replace(_MUJOCO, steps=200_000, discount=0.9999, horizon=100),
    "Hopper-v5": replace(_MUJOCO, steps=200_000),
}


# %% [markdown]
# ## The agents
#
# All of them estimate the same gradient from the same batch; they differ only in the step that they take.


# %%
class Batch(NamedTuple):
    """The steps of a rollout, prepared for an update."""

    observation: Tensor  # [N, O] normalized
    action: Tensor  # [N] or [N, D]
    advantage: Tensor  # [N] with mean 0; their scale changes no algorithm below
    target: Tensor  # [N] normalized returns, what the value function should have said


class Agent(torch.nn.Module, ABC):
    """A stochastic policy, and a value function that is subtracted from the returns as a baseline."""

    def __init__(self, observation_space: Box, action_space: Discrete | Box, config: TRPOConfig):
        super().__init__()
        self.config, self.device, self.action_space = config, config.torch_device, action_space
        observation_size, initial = int(np.prod(observation_space.shape)), torch_stream(config.seed, "initial")
        if isinstance(action_space, Discrete):
            self.policy: Policy = CategoricalPolicy(observation_size, int(action_space.n), config.hidden_sizes, initial)
        else:
            self.policy = GaussianPolicy(observation_size, action_space.shape[0], config.hidden_sizes, initial)
        self.value = MLP(observation_size, config.value_hidden_sizes, 1, initial)
        self.observation_scale, self.return_scale = Scale(observation_size), Scale(1)
        self.to(self.device)
        self.value_optimizer = torch.optim.Adam(self.value.parameters(), config.value_learning_rate)
        self.action_noise = torch_stream(config.seed, "action", device=self.device)
        self.order = torch_stream(config.seed, "order", device=self.device)

    @abstractmethod
    def improve(self, batch: Batch) -> None:
        """Take one step in the parameters of the policy."""

    @torch.no_grad()
    def act(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Return the most likely actions [B, ...], within the bounds of the action space."""
        return self.execute(self.policy.mode(self._distribution(observation)).cpu().numpy())

    @torch.no_grad()
    def explore(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Return random actions [B, ...] as the policy means them: continuous ones may be out of bounds."""
        return self.policy.sample(self._distribution(observation), self.action_noise).cpu().numpy()

    def execute(self, action: np.ndarray) -> np.ndarray:
        """Return the policy's actions [B, ...] as the environment takes them: continuous ones clipped to their bounds."""
        if isinstance(self.action_space, Box):
            return np.clip(action, self.action_space.low, self.action_space.high)
        return action + self.action_space.start

    @torch.no_grad()
    def prepared(self, rollout: Rollout) -> Batch:
        """Return the batch of a rollout."""
        observation = rollout.observation.flatten(0, 1)
        if self.config.normalize_observations:
            # Deviation: the policy now sees other numbers than when it acted. They differ little after the first few rollouts.
            self.observation_scale.update(observation.flatten(1))
        value, value_next = rollout.values(self.state_values)
        discount = rollout.discount(self.config.discount)
        returns = n_step_returns(rollout.reward, discount, rollout.same_episode, value_next, self.config.horizon)
        self.return_scale.update(returns.reshape(-1, 1))
        advantage = (returns - value).flatten()
        target = self.return_scale.normalized(returns.flatten())
        return Batch(self._normalized(observation), rollout.action.flatten(0, 1), advantage - advantage.mean(), target)

    def state_values(self, observation: Tensor) -> Tensor:
        """Return what the value function says about observations [N, ...] of the environment, [N]."""
        return self.return_scale.restored(self.value(self._normalized(observation)).squeeze(-1))

    def fit_value(self, batch: Batch) -> float:
        """Fit the value function to the returns; return the mean squared error of the last epoch, relative to their variance."""
        for _ in range(self.config.value_epochs):
            errors = []
            for rows in torch.randperm(len(batch.target), generator=self.order, device=self.device).split(self.config.value_batch_size):
                loss = (self.value(batch.observation[rows]).squeeze(-1) - batch.target[rows]).square().mean()
                self.value_optimizer.zero_grad()
                loss.backward()
                self.value_optimizer.step()
                errors.append(loss.item())
        return sum(errors) / len(errors)

    def _normalized(self, observation: Tensor) -> Tensor:
        return self.observation_scale.normalized(observation.flatten(1).float())

    def _distribution(self, observation: np.ndarray) -> tuple[Tensor, ...]:
        return self.policy(self._normalized(torch.as_tensor(observation, device=self.device)))


class Reinforce(Agent):
    """The plain policy gradient with a baseline (Williams, 1992), followed by Adam."""

    def __init__(self, observation_space: Box, action_space: Discrete | Box, config: TRPOConfig):
        super().__init__(observation_space, action_space, config)
        self.policy_optimizer = torch.optim.Adam(self.policy.parameters(), config.policy_learning_rate)

    def improve(self, batch: Batch) -> None:
        self.policy_optimizer.zero_grad()
        (-surrogate_at_old(self.policy, batch)).backward()
        self.policy_optimizer.step()


class NPG(Agent):
    """The natural policy gradient (Kakade, 2002), with all P² elements of F: for policies with few parameters."""

    def improve(self, batch: Batch) -> None:
        gradient = flattened(torch.autograd.grad(surrogate_at_old(self.policy, batch), list(self.policy.parameters())))
        self.policy.load(self.policy.flat() + self.step(batch, gradient, self.natural_direction(batch, gradient)))

    def fisher_product(self, batch: Batch, vector: Tensor) -> Tensor:
        """Return (F + damping I) v."""
        return fisher_vector_product(self.policy, batch.observation, vector, self.config.damping)

    def natural_direction(self, batch: Batch, gradient: Tensor) -> Tensor:
        """Return d = F⁻¹ g."""
        fisher = torch.stack([self.fisher_product(batch, unit) for unit in torch.eye(len(gradient), device=self.device)])
        return torch.linalg.solve(fisher, gradient)

    def step(self, batch: Batch, gradient: Tensor, direction: Tensor) -> Tensor:
        """Return the change of the parameters."""
        return natural_step_size(gradient, direction, self.config.natural_learning_rate) * direction


class TNPG(NPG):
    """The truncated natural policy gradient (Duan et al., 2016): products with F only, and an approximate solution."""

    def natural_direction(self, batch: Batch, gradient: Tensor) -> Tensor:
        iterations, tolerance = self.config.conjugate_gradient_iterations, self.config.conjugate_gradient_tolerance
        return conjugate_gradient(lambda vector: self.fisher_product(batch, vector), gradient, iterations, tolerance)


class TRPO(TNPG):
    """Trust region policy optimization (Schulman et al., 2015): the step is as long as the divergence allows, and then verified."""

    def step(self, batch: Batch, gradient: Tensor, direction: Tensor) -> Tensor:
        config, parameters = self.config, self.policy.flat()
        longest = trust_region_step_size(direction, self.fisher_product(batch, direction), config.max_kl) * direction
        accepted = backtracking_line_search(
            evaluation(self.policy, batch), parameters, longest, config.max_kl, config.line_search_shrink, config.line_search_attempts
        )
        return accepted - parameters


ALGORITHMS: dict[str, Callable[[Box, Discrete | Box, TRPOConfig], Agent]] = {"reinforce": Reinforce, "npg": NPG, "tnpg": TNPG, "trpo": TRPO}


def surrogate_at_old(policy: Policy, batch: Batch) -> Tensor:
    """Return the surrogate [] at θ = θ_old; its gradient is the policy gradient."""
    log_prob = policy.log_prob(policy(batch.observation), batch.action)
    return policy_surrogate(log_prob, log_prob.detach(), batch.advantage)


def evaluation(policy: Policy, batch: Batch) -> Callable[[Tensor], tuple[float, float]]:
    """Return a function θ' ↦ (L(θ'), mean KL(θ ‖ θ')), where θ are the parameters of the policy now. It leaves θ' in the policy."""
    with torch.no_grad():
        old = policy(batch.observation)
        log_prob_old = policy.log_prob(old, batch.action)

    @torch.no_grad()
    def evaluate(parameters: Tensor) -> tuple[float, float]:
        policy.load(parameters)
        new = policy(batch.observation)
        surrogate = policy_surrogate(policy.log_prob(new, batch.action), log_prob_old, batch.advantage)
        return float(surrogate), float(policy.kl(old, new).mean())

    return evaluate


def n_step_returns(reward: Tensor, discount: Tensor, same_episode: Tensor, value_next: Tensor, horizon: int) -> Tensor:
    """Return the discounted rewards of the next `horizon` steps plus the value of the state reached then, [T, B].

    Where an episode goes on beyond the rollout, or was truncated, the value of the state that follows comes in earlier.

    Args:
        reward: [T, B].
        discount: [T, B] γ, or 0 where the episode terminated.
        same_episode: [T, B] 0 where the next row belongs to another episode.
        value_next: [T, B] V(s') of the true successors.
        horizon: ≥ 1; with T or more it is the Monte Carlo return.
    """
    rest = value_next
    for _ in range(min(horizon, len(reward))):
        returns = reward + discount * rest
        rest = torch.where(same_episode > 0, torch.cat([returns[1:], value_next[-1:]]), value_next)
    return returns


class Scale(torch.nn.Module):
    """The mean and standard deviation of all rows seen so far.

    They come from sums in float64 of the rows and their squares, less the mean of the first rows: without that shift the squares
    would lose the digits of a small deviation from a large mean. The class is not in the library, because a later topic has the
    students find moments themselves.
    """

    count: Tensor
    origin: Tensor
    total: Tensor
    total_of_squares: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        for name in ("origin", "total", "total_of_squares"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def update(self, rows: Tensor) -> None:
        """Take rows [N, size] into account.

        >>> scale = Scale(1)
        >>> scale.update(torch.tensor([[1.0], [3.0]]))
        >>> scale.update(torch.tensor([[5.0], [7.0]]))
        >>> scale.mean.tolist(), round(scale.std.item() ** 2, 4)
        ([4.0], 5.0)
        """
        rows = rows.double()
        if self.count == 0:
            self.origin.copy_(rows.mean(dim=0))
        shifted = rows - self.origin
        self.count += len(shifted)
        self.total += shifted.sum(dim=0)
        self.total_of_squares += shifted.square().sum(dim=0)
        mean = self.total / self.count
        self.mean.copy_(self.origin + mean)
        self.std.copy_((self.total_of_squares / self.count - mean.square()).clamp(min=1e-8).sqrt())

    def normalized(self, values: Tensor) -> Tensor:
        """Return values [..., size] less the mean, divided by the standard deviation."""
        return (values - self.mean) / self.std

    def restored(self, values: Tensor) -> Tensor:
        """Return the values [..., size] of which these are the normalized ones."""
        return values * self.std + self.mean


# %% [markdown]
# ## Training


# %%
def make_agent(observation_space: Space, action_space: Space, config: TRPOConfig) -> Agent:
    """Return an untrained agent for the spaces of a single environment.

    Raises:
        ValueError: it cannot handle the spaces, or there is no such algorithm.
    """
    spaces = expect_spaces(observation_space, action_space)
    if isinstance(action_space, Box) and len(action_space.shape) != 1:
        raise ValueError(f"continuous actions must be vectors, got {action_space}")
    if config.algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {config.algorithm!r}")
    return ALGORITHMS[config.algorithm](*spaces, config)


def train(environments: VectorEnv, config: TRPOConfig, monitor: Monitor) -> Agent:
    """Return an agent trained for `config.steps` environment steps."""
    agent = make_agent(environments.single_observation_space, environments.single_action_space, config)
    collector = Collector(environments, monitor.watch(agent), agent.execute)
    for rollout in collector.rollouts(agent.explore, config.rollout_length, config.steps, agent.device):
        batch = agent.prepared(rollout)
        evaluate = evaluation(agent.policy, batch)
        agent.improve(batch)
        surrogate, kl = evaluate(agent.policy.flat())
        monitor.log(collector.steps, surrogate=surrogate, kl=kl, value_loss=agent.fit_value(batch))
    return agent


# %%
if __name__ == "__main__":
    npfl139.runs.main(train)
