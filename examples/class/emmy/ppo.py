# %% [markdown]
# # Proximal policy optimization
#
# A policy-gradient step is right only near the policy that collected the steps. PPO (Schulman et al. 2017) makes many
# small steps on the same data all the same, by removing the reward for moving the probability of an action too far. You
# write the mathematics: nine functions, one equation each. The agent and the training loop are given; read them, they
# show where each of your functions is used.
#
# Conventions: arrays are time-major, `[T, B, ...]`. `discount` is γ, or 0 where the step terminated its episode;
# `same_episode` is 0 where the next row of the array belongs to another episode. A truncated episode (the time ran out)
# keeps its discount: its last state still has a value.

# %%
"""Proximal policy optimization."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import VectorEnv
from torch import Tensor, nn
from torch.nn import functional

import npfl139.config
import npfl139.runs
from npfl139.envs import expect_spaces
from npfl139.nets import MLP
from npfl139.policies import categorical_log_prob, categorical_sample, gaussian_sample
from npfl139.rollout import Collector, Rollout
from npfl139.runs import Monitor
from npfl139.schedules import linear
from npfl139.seeding import torch_stream

# %% [markdown]
# ## How good was an action?


# %%
def lambda_advantage(
    reward: Tensor, discount: Tensor, same_episode: Tensor, value: Tensor, value_next: Tensor, trace_lambda: float
) -> Tensor:
    """Return the generalized advantage estimates Â of consecutive steps [ppo:gae].

        δ_t = R_{t+1} + γ_t V(S_{t+1}) - V(S_t)
        Â_t = δ_t + γ_t λ c_t Â_{t+1},    Â_T = 0

    where γ_t is `discount`, c_t is `same_episode`, and S_{t+1} is the true successor: after a truncated episode its own
    last state, whose value δ includes, although the next row belongs to another episode, from which nothing may leak.

    Args:
        reward: [T, B] R_{t+1}, the reward of the action in row t.
        discount: [T, B] γ, or 0 where the step terminated the episode.
        same_episode: [T, B] 1, or 0 where the next row belongs to another episode (after termination and after truncation).
        value: [T, B] V(S_t).
        value_next: [T, B] V(S_{t+1}) of the true successors. Where the step terminated it may be anything finite.
        trace_lambda: λ in [0, 1].

    Returns:
        [T, B] Â. The arguments stay as they were.

    Source: Schulman et al. (2016), arXiv:1506.02438, Eq. 16; Schulman et al. (2017), arXiv:1707.06347, Eq. 11 and 12.

    >>> column = lambda *numbers: torch.tensor(numbers)[:, None]
    >>> reward, value, value_next = column(1.0, 2.0, 4.0), column(0.5, 1.0, 3.0), column(1.0, 6.0, 2.0)
    >>> lambda_advantage(reward, column(0.5, 0.5, 0.5), column(1.0, 1.0, 1.0), value, value_next, 0.5).flatten().tolist()
    [2.125, 4.5, 2.0]
    >>> lambda_advantage(reward, column(0.5, 0.5, 0.5), column(1.0, 0.0, 1.0), value, value_next, 0.5).flatten().tolist()  # truncated
    [2.0, 4.0, 2.0]
    >>> lambda_advantage(reward, column(0.5, 0.0, 0.5), column(1.0, 0.0, 1.0), value, value_next, 0.5).flatten().tolist()  # terminated
    [1.25, 1.0, 2.0]
    """
    td_error = reward + discount * value_next - value
    advantage = torch.zeros_like(reward)
    next_advantage = torch.zeros_like(reward[0])
    for step in range(reward.shape[0] - 1, -1, -1):
        next_advantage = td_error[step] + discount[step] * trace_lambda * next_advantage * same_episode[step]
        advantage[step] = next_advantage
    return advantage


# %%
def lambda_return(advantage: Tensor, value: Tensor) -> Tensor:
    """Return the λ-returns, which the values are trained towards.

        G^λ_t = Â_t + V(S_t)

    with the same λ and the same V as in the advantages: for λ = 1 the discounted rewards up to the end of the episode
    or of the rollout, for λ = 0 the one-step target R_{t+1} + γ_t V(S_{t+1}).

    Args:
        advantage: [T, B] Â, before any normalization.
        value: [T, B] V(S_t), the values that the advantages were computed with.

    Returns:
        [T, B] G^λ.

    Source: Schulman et al. (2016), arXiv:1506.02438, Section 5; Sutton and Barto (2018), Eq. 12.2.

    >>> lambda_return(torch.tensor([[2.0], [-1.0]]), torch.tensor([[0.5], [3.0]])).flatten().tolist()
    [2.5, 2.0]
    """
    return advantage + value


# %%
def normalized(advantage: Tensor) -> Tensor:
    """Return the advantages shifted and scaled to mean 0 and standard deviation 1, over all of their entries.

        (Â - μ) / (σ + 10⁻⁸),    μ = mean Â,    σ² = mean (Â - μ)²

    so that the same learning rate suits rewards of any size. σ divides by the number of entries, not by one less.

    Args:
        advantage: [...] of any shape; they may all be equal, then the result is 0.

    Returns:
        [...] of the same shape.

    Source: Andrychowicz et al. (2021), arXiv:2006.05990, Appendix B.9; Huang et al. (2022), The 37 implementation details of PPO, detail 7.

    >>> normalized(torch.tensor([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    >>> normalized(torch.tensor([[5.0], [5.0]])).tolist()
    [[0.0], [0.0]]
    """
    mean = advantage.mean()
    deviation = torch.sqrt(torch.mean((advantage - mean) ** 2))
    return (advantage - mean) / (deviation + 1e-8)


# %% [markdown]
# ## What is optimized


# %%
def clipped_surrogate(log_prob_new: Tensor, log_prob_old: Tensor, advantage: Tensor, clip_epsilon: float) -> Tensor:
    """Return the clipped surrogate objective, to be maximized [ppo:clip].

        L(θ) = mean over B of min(ρ Â, clip(ρ, 1 - ε, 1 + ε) Â),    ρ = π_θ(a|s) / π_old(a|s)

    It is never larger than the plain surrogate, the mean of ρ Â: moving ρ beyond the clip range earns nothing more, but
    moving it the wrong way costs in full.

    Args:
        log_prob_new: [B] log π_θ(a|s), carries the gradient.
        log_prob_old: [B] log π_old(a|s) of the policy that acted, a constant.
        advantage: [B] Â, a constant.
        clip_epsilon: ε > 0.

    Returns:
        [] scalar; negate it to obtain a loss.

    Source: Schulman et al. (2017), arXiv:1707.06347, Eq. 7.

    >>> p = torch.tensor([0.5, 0.5])
    >>> round(clipped_surrogate((1.5 * p).log(), p.log(), torch.tensor([1.0, -1.0]), 0.2).item(), 4)
    -0.15
    """
    ratio = torch.exp(log_prob_new - log_prob_old)
    policy_loss_1 = advantage * ratio
    policy_loss_2 = advantage * torch.clamp(ratio, 1 - clip_epsilon, 1 + clip_epsilon)
    return -torch.min(policy_loss_1, policy_loss_2).mean()


# %%
def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of the values, to be minimized.

        L^VF = mean over B of (V(s) - G)²

    without a factor ½ (the weight c₁ is applied by the agent), without Huber's kink and without clipping: neither helps.

    Args:
        value: [B] V(s), carries the gradient.
        target: [B] G, a constant.

    Returns:
        [] scalar.

    Source: Schulman et al. (2017), arXiv:1707.06347, below Eq. 8; Andrychowicz et al. (2021), arXiv:2006.05990, Section 3.2.

    >>> value_loss(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 3.0])).item()
    2.5
    """
    return functional.mse_loss(value, target)


# %%
def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of every categorical distribution, in nats.

        H(p) = -Σ_a p(a) log p(a),    p = softmax(logits)

    Adding the same number to all logits of a row changes nothing, and logits of any finite size must not give NaN or infinity.

    Args:
        logits: [..., A] unnormalized log-probabilities.

    Returns:
        [...] between 0 and log A.

    >>> [abs(round(h, 4)) for h in entropy(torch.tensor([[1.0, 1.0], [0.0, 1000.0], [-500.0, -501.0]])).tolist()]
    [0.6931, 0.0, 0.5822]
    """
    probs = torch.softmax(logits, dim=-1)
    log_probs = torch.log_softmax(logits, dim=-1)
    return -(probs * log_probs).sum(dim=-1)


# %%
def tanh_gaussian_log_prob(pre_tanh: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return the log-density of squashed Gaussian actions a = tanh(u) in (-1, 1)^A [ppo:tanh].

        log π(a|s) = Σ over A of [log N(u; μ, σ²) - log(1 - tanh²(u))]

    The second term is the change of variables: da/du = 1 - tanh²(u). For |u| of about 9 or more, 1 - tanh²(u) is 0 in
    float32, and its logarithm useless; the result must be exact for every u, up to hundreds. (Find a form of log(1 -
    tanh²(u)) made of exponentials that cannot overflow.)

    Args:
        pre_tanh: [..., A] u, the actions before squashing.
        mean: [..., A] μ.
        std: [..., A] σ > 0.

    Returns:
        [...] log-densities, summed over the A components.

    Source: Haarnoja et al. (2018), arXiv:1801.01290, Appendix C, Eq. 21; Andrychowicz et al. (2021), arXiv:2006.05990, Appendix B.8.

    >>> zero = torch.zeros(1, 2)
    >>> round(tanh_gaussian_log_prob(zero, zero, torch.ones(1, 2)).item(), 4)
    -1.8379
    >>> round(tanh_gaussian_log_prob(torch.tensor([[40.0]]), torch.tensor([[40.0]]), torch.tensor([[1.0]])).item(), 3)
    77.695
    """
    log_prob = torch.distributions.Normal(mean, std).log_prob(pre_tanh).sum(dim=-1)
    log_prob -= (2 * (np.log(2) - pre_tanh - functional.softplus(-2 * pre_tanh))).sum(dim=-1)
    return log_prob


# %% [markdown]
# ## In which order, and at which scale


# %%
def minibatches(count: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Return the numbers 0 ... count - 1 in random order, cut into consecutive minibatches.

    Every number occurs exactly once, and every order is equally likely. If `batch_size` does not divide `count`, the
    last minibatch is smaller; it is not dropped.

    Args:
        count: how many rows there are, at least 1.
        batch_size: M, the rows of a minibatch, at least 1.
        generator: the only source of randomness; the results live on its device.

    Returns:
        ⌈count / M⌉ index tensors [M] of int64.

    Source: Schulman et al. (2017), arXiv:1707.06347, Algorithm 1.

    >>> [len(rows) for rows in minibatches(10, 4, torch.Generator().manual_seed(1))]
    [4, 4, 2]
    >>> sorted(torch.cat(minibatches(10, 4, torch.Generator().manual_seed(1))).tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    indices = torch.randperm(count, generator=generator, device=generator.device)
    batches = []
    for start in range(0, count, batch_size):
        batches.append(indices[start : start + batch_size])
    return batches


# %%
class RunningMoments(nn.Module):
    """Mean and variance, per column, of all rows seen so far; calling it normalizes rows by them.

    Buffers, in float64: `count` [] how many rows were seen, `mean` [D], `variance` [D] (divided by the count, not by
    one less). Before the first row they are 0, 0 and 1, so that nothing is changed.
    """

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))

    def update(self, rows: Tensor) -> None:
        """Include further rows: afterwards the moments are those of all rows ever given, as if they had come at once [ppo:moments].

            n = n_a + n_b,    d = μ_b - μ_a
            μ = μ_a + d n_b / n
            n σ² = n_a σ_a² + n_b σ_b² + d² n_a n_b / n

        where a stands for what was seen before (`self.count`, `self.mean`, `self.variance`) and b for the new rows.
        Sums of squares, Σ x² - n μ², would be wrong: they lose all digits when the mean is large compared with the
        standard deviation.

        Args:
            rows: [N, D] with N ≥ 1, of any floating dtype; compute in float64.

        Source: Chan, Golub and LeVeque (1983), The American Statistician 37(3), Eq. 2.1; Welford (1962) for one row at a time.

        >>> moments = RunningMoments(1)
        >>> moments.update(torch.tensor([[1.0], [3.0]]))
        >>> moments.update(torch.tensor([[8.0]]))
        >>> moments.count.item(), moments.mean.tolist(), [round(variance, 4) for variance in moments.variance.tolist()]
        (3.0, [4.0], [8.6667])
        """
        rows = rows.double()
        batch_mean, batch_var, batch_count = rows.mean(0), rows.var(0, unbiased=False), rows.shape[0]
        delta = batch_mean - self.mean
        tot_count = self.count + batch_count
        self.mean = self.mean + delta * batch_count / tot_count
        m_2 = self.variance * self.count + batch_var * batch_count + delta**2 * self.count * batch_count / tot_count
        self.variance = m_2 / tot_count
        self.count = tot_count

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows [..., D] normalized and limited to ±10, in float32."""
        return ((rows - self.mean) * (self.variance + 1e-8).rsqrt()).float().clamp(-10, 10)


# %% [markdown]
# ## The agent


# %%
@dataclass(frozen=True)
class PPOConfig(npfl139.config.Config):
    """Defaults for a task about which nothing is known."""

    steps: int = 1_000_000  # environment steps in all
    env_count: int = 16  # N
    rollout_length: int = 128  # T, Algorithm 1
    epochs: int = 4  # K, Algorithm 1
    minibatch_size: int = 256  # M ≤ N T, Algorithm 1
    discount: float = 0.99  # γ
    trace_lambda: float = 0.95  # λ, Eq. 11
    clip_epsilon: float = 0.2  # ε, Eq. 7
    value_weight: float = 0.5  # c₁, Eq. 9
    entropy_weight: float = 0.0  # c₂, Eq. 9
    learning_rate: float = 3e-4  # of Adam, annealed linearly to 0
    adam_epsilon: float = 1e-5  # of Adam
    gradient_norm: float = 0.5  # the gradient is scaled down to this norm
    policy_hidden: tuple[int, ...] = (64, 64)  # tanh layers of the policy
    value_hidden: tuple[int, ...] = (64, 64)  # tanh layers of the value network, which shares nothing with the policy
    value_scale: float = 1.0  # unit of the value network's outputs, of the order of the returns, so that its weights need not be large
    initial_std: float = 0.5  # of continuous actions before squashing, Andrychowicz et al. (2021), Section 3.2


# %%
class CategoricalPolicy:
    """Distributions over the actions 0 ... A - 1, parametrized by logits [..., A]."""

    def __init__(self, action_space: Discrete, config: PPOConfig):
        self.size, self.start = int(action_space.n), int(action_space.start)

    def sample(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        return categorical_sample(logits, generator)

    def mode(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        return categorical_log_prob(logits, action)

    def entropy(self, logits: Tensor) -> Tensor:
        return entropy(logits)

    def execute(self, action: np.ndarray) -> np.ndarray:
        """Return the environment's actions."""
        return action + self.start


class TanhGaussianPolicy:
    """Gaussians squashed by tanh and stretched to the Box, parametrized by [..., 2 A]. Its actions are those before squashing."""

    def __init__(self, action_space: Box, config: PPOConfig):
        if not action_space.is_bounded() or len(action_space.shape) != 1:
            raise ValueError(f"continuous actions must be a bounded vector, got {action_space}")
        self.size = 2 * action_space.shape[0]
        self.low, self.high = action_space.low, action_space.high
        self.offset = math.log(math.expm1(config.initial_std))  # softplus(offset) = initial_std

    def moments(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and σ, [..., A] each."""
        mean, raw = parameters.chunk(2, -1)
        return mean, functional.softplus(raw + self.offset) + 1e-3

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        return gaussian_sample(*self.moments(parameters), generator)

    def mode(self, parameters: Tensor) -> Tensor:
        return self.moments(parameters)[0]

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        # The stretching to the Box adds the same constant to every log-probability; it cancels in the ratio.
        return tanh_gaussian_log_prob(action, *self.moments(parameters))

    def entropy(self, parameters: Tensor) -> Tensor:
        # Deviation: the entropy of the Gaussian before squashing; that of the squashed one has no closed form.
        return (self.moments(parameters)[1].log() + math.log(2 * math.pi * math.e) / 2).sum(-1)

    def execute(self, action: np.ndarray) -> np.ndarray:
        """Return the environment's actions."""
        return (self.low + (self.high - self.low) * (np.tanh(action) + 1) / 2).astype(self.low.dtype)


# %%
class Agent(nn.Module):
    """A policy network, a value network, the moments of the observations, and the optimizer of both networks."""

    def __init__(self, observation_space: Box, action_space: Discrete | Box, config: PPOConfig):
        super().__init__()
        self.config, self.device = config, config.torch_device
        size, initial = math.prod(observation_space.shape), torch_stream(config.seed, "networks")
        self.distribution = (
            CategoricalPolicy(action_space, config) if isinstance(action_space, Discrete) else TanhGaussianPolicy(action_space, config)
        )
        self.moments = RunningMoments(size)
        self.policy = MLP(size, config.policy_hidden, self.distribution.size, initial, output_scale=0.01)
        self.value = MLP(size, config.value_hidden, 1, initial)
        self.to(self.device)
        self.weights = [*self.policy.parameters(), *self.value.parameters()]
        self.optimizer = torch.optim.Adam(self.weights, config.learning_rate, eps=config.adam_epsilon, fused=True)
        self.action_generator = torch_stream(config.seed, "actions", device=self.device)
        self.batch_generator = torch_stream(config.seed, "minibatches", device=self.device)

    def normalized(self, observation: Tensor) -> Tensor:
        """Return observations [N, ...] as normalized rows [N, D]."""
        return self.moments(observation.flatten(1))

    def values(self, row: Tensor) -> Tensor:
        """Return V [N] of normalized observations [N, D]."""
        return self.config.value_scale * self.value(row).squeeze(-1)

    def parameters_of(self, observation: np.ndarray) -> Tensor:
        """Return the policy's distribution parameters [B, ...] for the environments' observations."""
        return self.policy(self.normalized(torch.as_tensor(observation, device=self.device)))

    @torch.no_grad()
    def sample(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Return random actions [B, ...] to learn from, before squashing if they are continuous."""
        return self.distribution.sample(self.parameters_of(observation), self.action_generator).cpu().numpy()

    @torch.no_grad()
    def act(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Return the most probable actions [B, ...], as the environment takes them."""
        return self.execute(self.distribution.mode(self.parameters_of(observation)).cpu().numpy())

    def execute(self, action: np.ndarray) -> np.ndarray:
        """Return sampled actions [B, ...] as the environment takes them."""
        return self.distribution.execute(action)

    @torch.no_grad()
    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return log π(a|s) [N] of actions, under the networks and the moments as they are now."""
        return self.distribution.log_prob(self.policy(self.normalized(observation)), action)

    @torch.no_grad()
    def estimated(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Return the advantages and the targets of the values, [T, B] each, under the present value network."""
        value, value_next = rollout.values(lambda observation: self.values(self.normalized(observation)))
        discount, same_episode = rollout.discount(self.config.discount), rollout.same_episode
        advantage = lambda_advantage(rollout.reward, discount, same_episode, value, value_next, self.config.trace_lambda)
        return normalized(advantage), lambda_return(advantage, value)

    def anneal(self, done: float) -> None:
        """Lower the learning rate linearly, to 0 when `done`, the part of the training that is over, is 1."""
        for group in self.optimizer.param_groups:
            group["lr"] = linear(self.config.learning_rate, 0.0, done)

    def improve(self, row: Tensor, action: Tensor, log_prob_old: Tensor, advantage: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Make one step on a minibatch: normalized observations [M, D], actions [M, ...], and numbers [M]; return statistics."""
        parameters = self.policy(row)
        log_prob = self.distribution.log_prob(parameters, action)
        surrogate = clipped_surrogate(log_prob, log_prob_old, advantage, self.config.clip_epsilon)
        error = value_loss(self.values(row) / self.config.value_scale, target / self.config.value_scale)
        spread = self.distribution.entropy(parameters).mean()
        loss = -surrogate + self.config.value_weight * error - self.config.entropy_weight * spread
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, self.config.gradient_norm)
        self.optimizer.step()
        with torch.no_grad():
            log_ratio = log_prob - log_prob_old
            return {"surrogate": surrogate, "value_loss": error, "entropy": spread, "kl": (log_ratio.expm1() - log_ratio).mean()}


# %%
def make_agent(observation_space: Space, action_space: Space, config: PPOConfig) -> Agent:
    """Return an untrained agent.

    Raises:
        ValueError: observations are not a Box, or actions neither Discrete nor a bounded vector.
    """
    return Agent(*expect_spaces(observation_space, action_space), config)


# %% [markdown]
# ## Algorithm 1


# %%
def train(environments: VectorEnv, config: PPOConfig, monitor: Monitor) -> Agent:
    """Train an agent by PPO, Algorithm 1 of Schulman et al. (2017)."""
    agent = make_agent(environments.single_observation_space, environments.single_action_space, config)
    collector = Collector(environments, monitor.watch(agent), agent.execute)
    for rollout in collector.rollouts(agent.sample, config.rollout_length, config.steps, agent.device):
        observation, action = rollout.observation.flatten(0, 1), rollout.action.flatten(0, 1)
        log_prob_old = agent.log_prob(observation, action)
        agent.moments.update(observation.flatten(1))
        row = agent.normalized(observation)
        agent.anneal((collector.steps - len(row)) / config.steps)
        for _ in range(config.epochs):
            advantage, target = (estimate.flatten() for estimate in agent.estimated(rollout))  # anew in each epoch
            for batch in minibatches(len(row), config.minibatch_size, agent.batch_generator):
                statistics = agent.improve(row[batch], action[batch], log_prob_old[batch], advantage[batch], target[batch])
        monitor.log(collector.steps, **{name: value.item() for name, value in statistics.items()})
    return agent


# %%
# Found on one seed or two each, then measured on others. "paper" is by name, the rest are by environment.
CONFIGS = {
    "CartPole-v1": PPOConfig(
        steps=30_720, rollout_length=64, epochs=8, trace_lambda=0.9, learning_rate=4e-3, value_scale=25.0,
    ),
    "LunarLander-v3": PPOConfig(
        steps=409_600, env_count=32, epochs=6, minibatch_size=512, discount=0.999, trace_lambda=0.98, entropy_weight=0.01,
        learning_rate=2e-3, value_scale=100.0,
    ),
    "Pendulum-v1": PPOConfig(
        steps=102_400, rollout_length=64, epochs=8, discount=0.97, trace_lambda=0.9, learning_rate=2e-3, value_scale=100.0,
    ),
    "InvertedPendulum-v5": PPOConfig(
        steps=30_720, rollout_length=64, epochs=8, trace_lambda=0.9, learning_rate=3e-3, value_scale=50.0,
    ),
    "npfl139/Collect-v0": PPOConfig(
        steps=40_960, rollout_length=64, epochs=8, discount=0.97, trace_lambda=0.9, learning_rate=3e-3, value_scale=2.0,
    ),
    "npfl139/CollectContinuous-v0": PPOConfig(
        steps=40_960, rollout_length=64, epochs=8, discount=0.97, trace_lambda=0.9, learning_rate=3e-3, value_scale=2.0,
    ),
    "paper": PPOConfig(env_count=1, rollout_length=2048, epochs=10, minibatch_size=64),  # for MuJoCo, Table 3
}  # fmt: skip

# %%
if __name__ == "__main__":
    npfl139.runs.main(train)
