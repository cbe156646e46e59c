# %% [markdown]
# # Transformed rewards
#
# The rewards of one Atari game differ from those of another by four orders of magnitude. Clipping them to [-1, 1] makes them
# alike, and changes the task. Here the *values* are squeezed instead, by an invertible function $h$, and the agent still
# maximizes the true return. The exercises build $h$ and its inverse, study the transformed Bellman operator on tabular
# Markov decision processes, and end in the targets of a double DQN agent.

# %%
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv

import npfl139.runs
from npfl139.config import Config
from npfl139.envs import expect_spaces
from npfl139.film import Scene
from npfl139.nets import MLP
from npfl139.replay import StreamStore
from npfl139.rollout import Collector, Transition
from npfl139.schedules import linear
from npfl139.seeding import numpy_stream, torch_stream
from npfl139.shapes import expect_shape

Tensor = torch.Tensor
Elementwise = Callable[[Tensor], Tensor]  # a real function, applied to every element of a tensor


# %% [markdown]
# ## The transformation


# %%
def rescale(x: Tensor, epsilon: float) -> Tensor:
    """Return h(x), elementwise [transformed_rewards:rescale].

        h(x) = sign(x) (√(|x| + 1) - 1) + ε x

    h is odd and strictly increasing, close to x/2 for small |x| and to √|x| for large |x|, until ε|x| takes over.

    √(|x| + 1) - 1 subtracts two nearly equal numbers when |x| is small: in float32 half of the digits are gone at |x| = 1e-3.
    Find an algebraically equal form without this cancellation. The result must have a relative error of at most 1e-6 in
    float32 for 1e-6 ≤ |x| ≤ 1e6 and 1e-3 ≤ ε ≤ 1e-1.

    Args:
        x: [...] any shape.
        epsilon: ε ≥ 0, the slope that remains for large |x|.

    Returns:
        [...] of the same shape.

    Source: Pohlen et al. (2018), arXiv:1805.11593, Section 3.2.

    >>> rescale(torch.tensor([-3.0, 0.0, 3.0, 99.0]), 0.1)
    tensor([-1.3000,  0.0000,  1.3000, 18.9000])
    >>> rescale(torch.tensor([2e-6]), 0.0)  # x/2, up to a relative difference of x/4
    tensor([1.0000e-06])
    """
    raise NotImplementedError("rescale")


def rescale_inverse(x: Tensor, epsilon: float) -> Tensor:
    """Return h⁻¹(x), elementwise, the inverse of `rescale` [transformed_rewards:inverse].

        h⁻¹(x) = sign(x) (((√(1 + 4ε(|x| + 1 + ε)) - 1) / (2ε))² - 1)

    Computed as it is printed, this form has no correct digit left in float32 at ε = 1e-3 and |x| = 1e-4: it subtracts nearly
    equal numbers twice, and divides by 2ε in between. Derive an equal form that only adds. A hint: substitute 1 + w for the
    square root √(|y| + 1) in |h(y)| = |x|, and solve the quadratic equation for w ≥ 0 in the way that does not cancel. The
    result must have a relative error of at most 1e-6 in float32 wherever 1e-6 ≤ |h⁻¹(x)| ≤ 1e6 and 1e-3 ≤ ε ≤ 1e-1, and be
    right for ε = 0, too.

    Args:
        x: [...] any shape.
        epsilon: ε ≥ 0.

    Returns:
        [...] of the same shape.

    Source: Pohlen et al. (2018), arXiv:1805.11593, Appendix A.

    >>> rescale_inverse(torch.tensor([-1.3, 0.0, 1.3, 18.9]), 0.1).round(decimals=3)
    tensor([-3.,  0.,  3., 99.])
    >>> x = torch.tensor([-1e6, -1e-4, 1e-4, 1.0, 1e6])
    >>> bool(((rescale_inverse(rescale(x, 1e-3), 1e-3) - x).abs() <= 1e-6 * x.abs()).all())
    True
    >>> rescale_inverse(torch.tensor([2.0]), 0.0)  # at ε = 0 it is (|x| + 1)² - 1
    tensor([8.])
    """
    raise NotImplementedError("rescale_inverse")


# %% [markdown]
# ## Operators on tabular Markov decision processes
#
# A Markov decision process is three arrays indexed by state, action and successor: the probability of the transition,
# its reward, and its discount, which is γ, or 0 where the transition ends the episode.


# %%
def bellman_operator(q: Tensor, transition: Tensor, reward: Tensor, discount: Tensor) -> Tensor:
    """Return T q, one exact backup of all action values [transformed_rewards:bellman].

        (T q)(s, a) = Σ_s' p(s'|s, a) (r(s, a, s') + γ(s, a, s') max_a' q(s', a'))

    Args:
        q: [S, A] action values.
        transition: [S, A, S] p(s'|s, a); sums to 1 over the last axis.
        reward: [S, A, S] r(s, a, s').
        discount: [S, A, S] γ, or 0 where the transition ends the episode.

    Returns:
        [S, A] the backed-up action values.

    Source: Pohlen et al. (2018), arXiv:1805.11593, Section 3.2.

    >>> transition = torch.tensor([[[0.75, 0.25]], [[0.0, 1.0]]])  # two states, a single action
    >>> reward = torch.tensor([[[4.0, 8.0]], [[1.0, 1.0]]])
    >>> discount = torch.tensor([[[0.5, 0.0]], [[0.5, 0.5]]])  # going from state 0 to state 1 ends the episode
    >>> bellman_operator(torch.tensor([[8.0], [100.0]]), transition, reward, discount)
    tensor([[ 8.],
            [51.]])
    """
    raise NotImplementedError("bellman_operator")


def transformed_bellman_operator(
    q: Tensor, transition: Tensor, reward: Tensor, discount: Tensor, transform: Elementwise, inverse: Elementwise
) -> Tensor:
    """Return T_h q, one exact backup of action values that live on the scale of h [transformed_rewards:operator].

        (T_h q)(s, a) = Σ_s' p(s'|s, a) h(r(s, a, s') + γ(s, a, s') max_a' h⁻¹(q(s', a')))

    The expectation is that of the transformed values, because it is what a network trained by regression on transformed
    targets learns. In a deterministic process the place of the expectation makes no difference; in a stochastic one it does.

    Args:
        q: [S, A] transformed action values.
        transition: [S, A, S] p(s'|s, a); sums to 1 over the last axis.
        reward: [S, A, S] r(s, a, s').
        discount: [S, A, S] γ, or 0 where the transition ends the episode.
        transform: h, strictly increasing, applied elementwise to a tensor of any shape.
        inverse: h⁻¹, applied elementwise to a tensor of any shape.

    Returns:
        [S, A] the backed-up transformed action values.

    Source: Pohlen et al. (2018), arXiv:1805.11593, Section 3.2.

    >>> transition = torch.tensor([[[0.75, 0.25]], [[0.0, 1.0]]])
    >>> reward = torch.tensor([[[7.0, 16.0]], [[1.0, 1.0]]])
    >>> discount = torch.tensor([[[0.5, 0.0]], [[0.5, 0.5]]])
    >>> transformed_bellman_operator(torch.tensor([[2.0], [4.0]]), transition, reward, discount, torch.sqrt, torch.square)
    tensor([[3.2500],
            [3.0000]])
    """
    raise NotImplementedError("transformed_bellman_operator")


def fixed_point(operator: Callable[[Tensor], Tensor], start: Tensor, tolerance: float, max_iterations: int) -> Tensor:
    """Return the limit of start, O start, O O start, ... for an operator O [transformed_rewards:iteration].

    Stops at the first application that changes no element by more than the tolerance, and returns its result. If O is a
    contraction with modulus κ in the maximum norm, that result is within tolerance · κ / (1 - κ) of the fixed point.

    Args:
        operator: maps a tensor to a tensor of the same shape.
        start: [...] where to start; it must stay unchanged.
        tolerance: the largest change, in absolute value, at which to stop.
        max_iterations: how many times the operator may be applied.

    Returns:
        [...] the result of the last application.

    Raises:
        RuntimeError: max_iterations applications were not enough.

    >>> fixed_point(lambda x: 1 + x / 2, torch.tensor([0.0, 4.0]), tolerance=0.3, max_iterations=10)
    tensor([1.7500, 2.2500])
    """
    raise NotImplementedError("fixed_point")


def contraction_bound(epsilon: float, largest_value: float) -> float:
    """Return the discount factor below which T_h is a contraction [transformed_rewards:bound].

        1 / (L_h L_h⁻¹)

    where L_h and L_h⁻¹ are the Lipschitz constants of `rescale` on |x| ≤ V and of `rescale_inverse` on its image. Derive them
    from the largest and the smallest slope of h on that interval. With V = ∞ they are the constants of the paper.

    Args:
        epsilon: ε > 0.
        largest_value: V ≥ 0, a bound on the untransformed values, at least max |r| / (1 - γ); may be infinite.

    Returns:
        The bound, in (0, 1].

    Source: Pohlen et al. (2018), arXiv:1805.11593, Section 3.2 and Appendix A.

    >>> round(contraction_bound(0.5, math.inf), 4), round(contraction_bound(0.5, 8.0), 4)
    (0.5, 0.6667)
    """
    raise NotImplementedError("contraction_bound")


# %% [markdown]
# ## Targets for learning


# %%
def double_q_value(q: Tensor, q_target: Tensor) -> Tensor:
    """Return the double Q-learning estimate of the value of each state [transformed_rewards:double].

        q_target(s, argmax_a q(s, a))

    The network that chooses the action is not the one that says what it is worth, so that an overestimate
    is not chosen *because* it is one.

    Args:
        q: [..., A] action values of the network being trained, which choose.
        q_target: [..., A] action values of the target network, which evaluate.

    Returns:
        [...] the values.

    Source: van Hasselt et al. (2016), arXiv:1509.06461, Equation 4.

    >>> double_q_value(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[6.0, 4.0, 5.0]]))
    tensor([4.])
    """
    raise NotImplementedError("double_q_value")


def transformed_n_step_targets(
    reward: Tensor, discount: Tensor, same_episode: Tensor, value_next: Tensor, n: int, transform: Elementwise, inverse: Elementwise
) -> Tensor:
    """Return the n-step targets of transformed action values for each step of a rollout [transformed_rewards:targets].

        y_t = h(R_t + γ_t R_{t+1} + … + γ_t ⋯ γ_{t+m-2} R_{t+m-1} + γ_t ⋯ γ_{t+m-1} h⁻¹(v_{t+m}))

    where v_{t+m} is `value_next[t + m - 1]` and m ≤ n is the largest number of steps that stay in the episode of step t and in the
    rollout: fewer than n steps where the episode, or the rollout, ends earlier. h is applied once, to the whole return.

    Args:
        reward: [T, B] R_t.
        discount: [T, B] γ_t, or 0 where step t terminated its episode.
        same_episode: [T, B] 1 where row t + 1 continues the episode of row t, 0 where it belongs to another.
        value_next: [T, B] *transformed* value of the true successor of step t, also where the episode was truncated there.
        n: how many rewards at most, at least 1.
        transform: h, applied elementwise.
        inverse: h⁻¹, applied elementwise.

    Returns:
        [T, B] the targets.

    Raises:
        ValueError: the shapes differ, or n < 1.

    Source: Kapturowski et al. (2019), Recurrent Experience Replay in Distributed Reinforcement Learning, Section 2.3.

    >>> reward, value_next = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[3.0], [4.0], [5.0]])
    >>> discount, same_episode = torch.full([3, 1], 0.5), torch.ones(3, 1)
    >>> square, root = torch.square, torch.sqrt
    >>> transformed_n_step_targets(reward, discount, same_episode, value_next, 2, root, square).square().T
    tensor([[ 6.0000, 10.2500, 16.5000]])
    >>> discount[1] = same_episode[1] = 0.0
    >>> transformed_n_step_targets(reward, discount, same_episode, value_next, 2, root, square).square().round(decimals=3).T
    tensor([[ 2.0000,  2.0000, 16.5000]])
    """
    raise NotImplementedError("transformed_n_step_targets")


# %% [markdown]
# ## The agent
#
# One double DQN, and three ways of bringing rewards of any size to a scale that a network can learn.


# %%
def identity(x: Tensor) -> Tensor:
    """Return x."""
    return x


@dataclass(frozen=True)
class Treatment:
    """What is done about the scale of the rewards: a function of each reward, and the transformation of the values."""

    of_reward: Elementwise = identity
    transform: Elementwise = identity  # h
    inverse: Elementwise = identity  # h⁻¹


TREATMENTS: dict[str, Callable[["DQNConfig"], Treatment]] = {
    "rescale": lambda config: Treatment(
        transform=partial(rescale, epsilon=config.epsilon), inverse=partial(rescale_inverse, epsilon=config.epsilon)
    ),
    "clip": lambda config: Treatment(of_reward=partial(torch.clamp, min=-1, max=1)),
    "scale": lambda config: Treatment(of_reward=lambda reward: config.reward_scale * reward),
}


@dataclass(frozen=True)
class DQNConfig(Config):
    """Double DQN with n-step targets."""

    steps: int = 40_000  # environment steps in all
    env_count: int = 32  # N, environments stepped together
    treatment: str = "rescale"  # rescale (values, by h), clip (rewards, to [-1, 1]) or scale (rewards, by reward_scale)
    epsilon: float = 1e-3  # ε of h, Kapturowski et al. (2019), Table 2
    reward_scale: float = 1.0  # of the treatment "scale"; 1 leaves the rewards as they are
    discount: float = 0.99  # γ
    n: int = 1  # of the n-step targets
    learning_rate: float = 3e-3  # of Adam at the start; it falls to 0 linearly
    max_gradient_norm: float = 10.0  # to which gradients are clipped
    hidden_sizes: tuple[int, ...] = (64, 64)  # of the network
    batch_size: int = 128  # windows of n steps per update
    replay_capacity: int = 50_000  # steps of all environments
    learning_start: int = 1_000  # environment steps before the first update
    updates_per_step: int = 2  # after each step of all environments
    target_period: int = 100  # updates between copies of the network to the target network
    exploration_end: float = 0.05  # probability of a random action, at the end
    exploration_part: float = 0.5  # of all steps, in which that probability falls from 1 linearly

    def __post_init__(self):
        super().__post_init__()
        if self.treatment not in TREATMENTS:
            raise ValueError(f"treatment must be one of {', '.join(TREATMENTS)}, got {self.treatment!r}")

    def exploration(self, steps: int) -> float:
        """Return the probability of a random action after so many steps."""
        return linear(1.0, self.exploration_end, steps / (self.exploration_part * self.steps))


CONFIGS = {"CartPole-v1": DQNConfig(learning_rate=1e-3, n=3)}


class DQN:
    """Double DQN (van Hasselt et al., 2016) on values transformed as the configuration says."""

    def __init__(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, config: DQNConfig):
        observations, self.action_space = expect_spaces(observation_space, action_space, Discrete)
        self.config = config
        self.treatment = TREATMENTS[config.treatment](config)
        self.generator = torch_stream(config.seed, "exploration")
        sizes = int(np.prod(observations.shape)), config.hidden_sizes, int(self.action_space.n)
        self.network, self.target_network = (
            MLP(*sizes, torch_stream(config.seed, "network"), activation=torch.relu).to(config.torch_device) for _ in range(2)
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate)
        self.updates = 0

    def act(self, observation: np.ndarray, reward: np.ndarray | None, first: np.ndarray | None) -> np.ndarray:
        """Return the greedy actions [B]; h is increasing, so that the greedy action needs no inverse."""
        with torch.no_grad():
            return self.action_space.start + self.network(self.inputs(observation)).argmax(dim=-1).cpu().numpy()

    def values(self, observation: np.ndarray) -> np.ndarray:
        """Return the transformed values [B] of the greedy policy."""
        with torch.no_grad():
            return self.network(self.inputs(observation)).amax(dim=-1).cpu().numpy()

    def explore(self, observation: np.ndarray, probability: float) -> np.ndarray:
        """Return actions [B], each random with the given probability, greedy otherwise."""
        count = len(observation)
        random = self.action_space.start + torch.randint(int(self.action_space.n), (count,), generator=self.generator).numpy()
        is_random = torch.rand(count, generator=self.generator).numpy() < probability
        return np.where(is_random, random, self.act(observation, None, None))

    def improve(self, window: dict[str, Tensor], learning_rate: float) -> float:
        """Make one update on windows of n consecutive steps, tensors [n, B, ...]; return the loss."""
        with torch.no_grad():
            successor = window["next_observation"]
            value_next = double_q_value(self.network(successor), self.target_network(successor))
            target = transformed_n_step_targets(
                self.treatment.of_reward(window["reward"]),
                window["discount"],
                window["same_episode"],
                value_next,
                self.config.n,
                self.treatment.transform,
                self.treatment.inverse,
            )[0]
        q = self.network(window["observation"][0]).gather(-1, window["action"][0, :, None]).squeeze(-1)
        loss = torch.nn.functional.mse_loss(q, torch.as_tensor(target, dtype=q.dtype))
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_gradient_norm)
        self.optimizer.step()
        self.updates += 1
        if self.updates % self.config.target_period == 0:
            self.target_network.load_state_dict(self.network.state_dict())
        return loss.item()

    def inputs(self, observation: np.ndarray) -> Tensor:
        """Return observations [B, ...] as the network takes them, [B, features]."""
        return torch.as_tensor(observation, dtype=torch.float32, device=self.config.torch_device).flatten(1)

    def state_dict(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)
        self.target_network.load_state_dict(state)


def make_agent(observation_space: gymnasium.Space, action_space: gymnasium.Space, config: DQNConfig) -> DQN:
    return DQN(observation_space, action_space, config)


class WindowReplay:
    """The newest steps of B environments, from which windows of n consecutive steps are drawn uniformly."""

    def __init__(self, observation_shape: tuple[int, ...], rows: int, config: DQNConfig):
        fields = dict.fromkeys(("observation", "next_observation"), (observation_shape, "float32"))
        fields |= dict.fromkeys(("reward", "discount", "same_episode"), ((), "float32")) | {"action": ((), "int64")}
        self.store = StreamStore(fields, rows, max(config.n, config.replay_capacity // rows))
        self.streams, self.config = np.arange(rows), config
        self.generator = numpy_stream(config.seed, "replay")

    @property
    def steps(self) -> int:
        """How many consecutive steps of each environment are remembered."""
        return int(min(self.store.written[0], self.store.rows))

    def add(self, step: Transition, first_action: int) -> None:
        """Remember one step of all environments."""
        row = {name: getattr(step, name) for name in ("observation", "next_observation", "reward")}
        row["discount"] = self.config.discount * ~step.terminated
        row["same_episode"] = ~(step.terminated | step.truncated)
        self.store.append(self.streams, row | {"action": step.action - first_action})

    def sample(self) -> dict[str, Tensor]:
        """Return a batch of windows, drawn with replacement: tensors [n, batch_size, ...]."""
        newest = int(self.store.written[0])
        start = self.generator.integers(newest - self.steps, newest - self.config.n + 1, self.config.batch_size)
        stream = self.generator.integers(len(self.streams), size=self.config.batch_size)
        window = self.store.read(stream, start + np.arange(self.config.n)[:, None], start)
        return {name: torch.as_tensor(column, device=self.config.torch_device) for name, column in window.items()}


def train(environments: VectorEnv, config: DQNConfig, monitor: npfl139.runs.Monitor) -> DQN:
    """Return an agent trained for `config.steps` environment steps."""
    agent = make_agent(environments.single_observation_space, environments.single_action_space, config)
    collector = Collector(environments)
    replay = WindowReplay(collector.observation.shape[1:], environments.num_envs, config)
    while collector.steps < config.steps:
        exploration = config.exploration(collector.steps)
        replay.add(collector.step(agent.explore(collector.observation, exploration)), int(agent.action_space.start))
        if collector.steps >= config.learning_start and replay.steps >= config.n:
            for _ in range(config.updates_per_step):
                loss = agent.improve(replay.sample(), linear(config.learning_rate, 0.0, collector.steps / config.steps))
            monitor.log(collector.steps, loss=loss, exploration=exploration)
    return agent


# %% [markdown]
# ## To watch: npfl139 demo transformed_rewards


# %%
def demonstration() -> Scene:
    """Yield pictures of two tables of values, far apart, that the transformed Bellman operator draws together."""
    from matplotlib.figure import Figure

    states, iterations, discount, rng = 6, 40, 0.9, torch_stream(42, "demonstration")
    transition = torch.rand(states, 2, states, generator=rng, dtype=torch.float64).pow(8)
    transition /= transition.sum(-1, keepdim=True)
    reward = 100 * torch.rand(states, 2, states, generator=rng, dtype=torch.float64)
    transform, inverse = partial(rescale, epsilon=1e-2), partial(rescale_inverse, epsilon=1e-2)
    low, high = torch.zeros(states, 2, dtype=torch.float64), torch.full([states, 2], 45.0, dtype=torch.float64)
    figure = Figure(figsize=(7.2, 4.05))
    left, right = figure.subplots(1, 2)
    left.set(xlim=(-1, 2 * states), ylim=(0, 46), xlabel="state and action", title="h(q), from above and from below")
    right.set(xlim=(0, iterations), ylim=(-1.5, 2), xlabel="applications", title="log₁₀ of the largest distance")
    from_above, from_below = (left.plot([], [], mark, markersize=9)[0] for mark in "v^")
    ours, (plain,) = right.plot([], linewidth=3, label="$T_h$")[0], right.plot([], "--", label="γᵏ, the bound of T")
    right.legend(loc="upper right")
    distances: list[float] = []
    for iteration in range(iterations):
        distances.append(math.log10((high - low).abs().max().item()))
        from_above.set_data(range(2 * states), high.flatten())
        from_below.set_data(range(2 * states), low.flatten())
        ours.set_data(range(iteration + 1), distances)
        plain.set_data(range(iteration + 1), [distances[0] + power * math.log10(discount) for power in range(iteration + 1)])
        yield figure, f"The transformed Bellman operator: after {iteration} applications {10 ** distances[-1]:.3g} apart"
        low, high = (
            transformed_bellman_operator(q, transition, reward, torch.full_like(reward, discount), transform, inverse) for q in (low, high)
        )


# %%
if __name__ == "__main__":
    npfl139.runs.main(train)
