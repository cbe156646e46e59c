"""The hidden checks of `transformed_rewards`."""

import dataclasses
import math
from functools import partial
from typing import cast

import gymnasium
import numpy as np
import torch

from grader.contract.disguises import Relabelled
from grader.contract.expect import Wrong, elementwise, expect, expect_close, expect_error, expect_numbers, normal, uniform
from grader.contract.naive import h, h_inverse
from grader.contract.served import serve
from grader.contract.spec import Attempt, Topic, Training, check, checks_of
from grader.contract.student import Student
from grader.contract.training import checked_policy, smoothed
from npfl139 import envs
from npfl139.envs.treasure import SCALES, TREASURE, TreasureChainVector
from npfl139.evaluation import evaluate
from npfl139.seeding import derived_seed, numpy_stream
from npfl139.tabular import random_process
from solutions.transformed_rewards import DQNConfig

TREASURE_CHAIN, CONFIG = "npfl139/TreasureChain-v0", DQNConfig(n=3, replay_capacity=8_000)
EPSILONS = (1e-3, 1e-2, 1e-1)
FLOAT32_ACCURACY = 2e-6  # what the exercises ask for is 1e-6; the direct forms err by 1e-5 up to more than 1


def transform_pair(epsilon):
    """Return h and h⁻¹ as callbacks."""
    return elementwise(lambda x: h(x, epsilon)), elementwise(lambda x: h_inverse(x, epsilon))


def signed_magnitudes(rng, count, low, high):
    """Return numbers of both signs whose magnitudes are spread evenly over the powers of ten from low to high."""
    return rng.choice([-1.0, 1.0], count) * 10 ** rng.uniform(low, high, count)


def markov_decision_process(rng, states, actions, successors, gamma=0.9):
    """Return the arrays of a random process some of whose transitions end the episode."""
    return random_process(rng, states, actions, successors, gamma, ending=0.2, reward_scale=5.0)


def backed_up(q, transition, reward, discount, transform, inverse):
    """Return T_h q by loops over its definition."""
    result = np.zeros(q.shape)
    for state, action, successor in np.ndindex(*transition.shape):
        value = inverse(max(q[successor].tolist()))
        target = reward[state, action, successor] + discount[state, action, successor] * value
        result[state, action] += transition[state, action, successor] * float(transform(target.item()))
    return result


@check("rescale")
def check_rescale_follows_its_definition(student, rng):
    """h(x) is sign(x)(√(|x| + 1) - 1) + εx for arguments of both signs and any shape."""
    for shape, epsilon in (((7,), 1e-3), ((2, 3), 0.1), ((), 1e-2), ((5, 1), 0.0)):
        x = torch.as_tensor(signed_magnitudes(rng, shape, -1, 4))
        expect_close(student.rescale(x, epsilon), h(x, epsilon), "h(x)")


@check("rescale")
def check_rescale_keeps_its_digits(student, rng):
    """In float32, h(x) has a relative error of at most 1e-6, for small |x| too."""
    for epsilon in EPSILONS:
        x = torch.as_tensor(signed_magnitudes(rng, 400, -3, 6), dtype=torch.float32)
        expect_close(student.rescale(x, epsilon), h(x.double(), epsilon), "h(x) in float32", FLOAT32_ACCURACY, 0)


@check("rescale")
def check_rescale_is_odd_and_zero_at_zero(student, rng):
    """h(-x) = -h(x), and h(0) = 0."""
    x = torch.as_tensor(signed_magnitudes(rng, 20, -2, 3))
    expect_close(student.rescale(torch.zeros(3), 1e-2), np.zeros(3), "h(0)")
    positive, negative = student.rescale(x.abs(), 1e-2), student.rescale(-x.abs(), 1e-2)
    expect_close(positive, h(x.abs(), 1e-2), "h(x) for x > 0")
    expect_close(negative, -h(x.abs(), 1e-2), "h(x) for x < 0")


@check("rescale_inverse")
def check_inverse_undoes_rescale(student, rng):
    """h(h⁻¹(y)) = y for arguments of both signs and any shape."""
    for shape, epsilon in (((7,), 1e-3), ((2, 3), 0.1), ((), 1e-2), ((5, 1), 0.3)):
        x = signed_magnitudes(rng, shape, -1, 4)
        expect_close(student.rescale_inverse(torch.as_tensor(h(x, epsilon)), epsilon), x, "h⁻¹(h(x))")


@check("rescale_inverse")
def check_inverse_keeps_its_digits(student, rng):
    """In float32, h⁻¹(x) has a relative error of at most 1e-6, for small ε and small |x| too."""
    for epsilon in EPSILONS:
        y = torch.as_tensor(h(signed_magnitudes(rng, 400, -3, 6), epsilon), dtype=torch.float32)
        expect_close(student.rescale_inverse(y, epsilon), h_inverse(y.double(), epsilon), "h⁻¹(x) in float32", FLOAT32_ACCURACY, 0)


@check("rescale_inverse")
def check_inverse_of_negative_arguments(student, rng):
    """h⁻¹(-x) = -h⁻¹(x), and h⁻¹(0) = 0."""
    y = torch.as_tensor(10 ** rng.uniform(-1, 2, 20))
    expect_close(student.rescale_inverse(torch.zeros(3), 1e-2), np.zeros(3), "h⁻¹(0)")
    expect_close(student.rescale_inverse(y, 1e-2), h_inverse(y, 1e-2), "h⁻¹(x) for x > 0")
    expect_close(student.rescale_inverse(-y, 1e-2), -h_inverse(y, 1e-2), "h⁻¹(x) for x < 0")


@check("rescale_inverse")
def check_inverse_in_the_limit(student, rng):
    """For ε = 0 the inverse is sign(x)((|x| + 1)² - 1)."""
    y = torch.as_tensor(signed_magnitudes(rng, 20, -1, 2))
    expect_close(student.rescale_inverse(y, 0.0), y.sign() * ((y.abs() + 1) ** 2 - 1), "h⁻¹(x) for ε = 0")


@check("bellman_operator")
def check_bellman_operator_by_loops(student, rng):
    """Each backed-up value is the expectation of r + γ max q over the successors, for any numbers of states and actions."""
    for states, actions, successors in ((4, 3, 2), (2, 5, 2), (6, 1, 4), (1, 2, 1)):
        arrays = markov_decision_process(rng, states, actions, successors)
        q = normal(rng, states, actions, dtype=torch.float64) * 10
        expect_close(student.bellman_operator(q, *arrays), backed_up(q, *arrays, float, float), "T q")


@check("bellman_operator")
def check_bellman_operator_stops_at_the_end(student, rng):
    """Where every transition ends the episode, T q is the expected reward, whatever q is."""
    transition, reward, discount = markov_decision_process(rng, 5, 3, 3)
    q = 100 + normal(rng, 5, 3, dtype=torch.float64)
    expected = (transition * reward).sum(-1)
    expect_close(student.bellman_operator(q, transition, reward, torch.zeros_like(discount)), expected, "T q")
    discount[2] = 0  # a state that every action leaves for good, among others
    expect_close(student.bellman_operator(q, transition, reward, discount)[2], expected[2], "T q where the episode ends")


@check("bellman_operator")
def check_bellman_operator_keeps_the_optimum(student, rng):
    """The optimal action values are left as they are, and others are not."""
    transition, reward, discount = markov_decision_process(rng, 5, 3, 2, gamma=0.8)
    q = torch.zeros(5, 3, dtype=torch.float64)
    for _ in range(90):  # 0.8⁹⁰ is 2e-9
        q = torch.as_tensor(backed_up(q, transition, reward, discount, float, float))
    expect_close(student.bellman_operator(*(array.float() for array in (q, transition, reward, discount))), q, "T q*")
    more = backed_up(q + 1, transition, reward, discount, float, float)
    expect_close(student.bellman_operator(q + 1, transition, reward, discount), more, "T (q* + 1)")


@check("transformed_bellman_operator")
def check_transformed_operator_by_loops(student, rng):
    """Each backed-up value is the expectation of h(r + γ max h⁻¹(q)) in stochastic processes."""
    for states, actions, successors, epsilon in ((4, 3, 2, 1e-2), (2, 5, 2, 0.1), (6, 1, 4, 1e-3)):
        arrays = markov_decision_process(rng, states, actions, successors)
        q = normal(rng, states, actions, dtype=torch.float64) * 3
        expected = backed_up(q, *arrays, lambda x, epsilon=epsilon: h(x, epsilon), lambda x, epsilon=epsilon: h_inverse(x, epsilon).item())
        expect_close(student.transformed_bellman_operator(q, *arrays, *transform_pair(epsilon)), expected, "T_h q")


@check("transformed_bellman_operator")
def check_transformed_operator_scales(student, rng):
    """For h(z) = αz the operator is T, with values α times as large."""
    arrays = markov_decision_process(rng, 5, 2, 3)
    q = normal(rng, 5, 2, dtype=torch.float64) * 10
    for alpha in (0.1, 3.0):
        scaled = elementwise(lambda x, alpha=alpha: alpha * x), elementwise(lambda x, alpha=alpha: x / alpha)
        expected = alpha * backed_up(q, *arrays, float, float)
        expect_close(student.transformed_bellman_operator(alpha * q, *arrays, *scaled), expected, "T_h (α q)")


@check("transformed_bellman_operator")
def check_transformed_operator_in_deterministic_processes(student, rng):
    """In a deterministic process T_h (h∘q) = h∘(T q)."""
    arrays = markov_decision_process(rng, 6, 3, 1)
    q = normal(rng, 6, 3, dtype=torch.float64) * 10
    actual = student.transformed_bellman_operator(torch.as_tensor(h(q, 1e-2)), *arrays, *transform_pair(1e-2))
    expect_close(actual, h(backed_up(q, *arrays, float, float), 1e-2), "T_h (h∘q)")


class Operator:
    """An operator on tensors of one shape that checks what it is applied to, and counts its applications."""

    def __init__(self, shape, function):
        self.shape, self.function, self.applications = tuple(shape), function, 0

    def __call__(self, x):
        self.applications += 1
        if type(x) not in (torch.Tensor, np.ndarray) or tuple(x.shape) != self.shape:
            raise Wrong(f"the operator must be applied to tensors of the shape {list(self.shape)}")
        x = torch.as_tensor(x)
        return self.function(x.double()).to(x.dtype)


@check("fixed_point")
def check_fixed_point_of_an_affine_map(student, rng):
    """The iteration of an affine contraction reaches its fixed point from above and from below."""
    matrix = rng.uniform(-1, 1, (4, 4))
    matrix = torch.as_tensor(0.7 * matrix / np.abs(matrix).sum(1, keepdims=True))
    offset = normal(rng, 4, 1, dtype=torch.float64)
    expected = torch.linalg.solve(torch.eye(4, dtype=torch.float64) - matrix, offset)
    for distance in (-10.0, 10.0):
        operator = Operator((4, 1), lambda x: matrix @ x + offset)
        actual = student.fixed_point(operator, expected + distance, 1e-9, 200)
        expect_close(actual, expected, "the fixed point")


@check("fixed_point")
def check_fixed_point_stops_in_time(student, rng):
    """The iteration stops at the first application that changes nothing by more than the tolerance, and returns its result."""
    cases = (([0.0, 4.0, 100.0], 0.5, 0.3), ([-64.0, 2.0, 2.0], -0.5, 2.0), ([2.0, 2.0, 1.9], 0.5, 0.3))
    exact = (([10.0, 2.0, 2.0], 0.5, 1.0), ([10.0, 10.0, -6.0], 0.5, 1.0))  # one changes by the tolerance itself, or all do
    answers = []
    for start, slope, tolerance in (*cases, *exact):
        operator = Operator((3,), lambda x, slope=slope: 1 + slope * x)
        expected, count, change = torch.tensor(start, dtype=torch.float64), 0, math.inf
        while change > tolerance:
            previous, expected, count = expected, 1 + slope * expected, count + 1
            change = (expected - previous).abs().max()
        answers.append((student.fixed_point(operator, torch.tensor(start), tolerance, 50), expected, operator, count))
    for actual, expected, operator, count in answers:
        expect_close(actual, expected, "the returned iterate")
        expect(operator.applications == count, "the operator was not applied as often as needed, and no more")


@check("fixed_point")
def check_fixed_point_gives_up(student, rng):
    """An iteration that does not converge within the allowed number of applications raises a RuntimeError."""
    operator = Operator((2,), lambda x: 2 * x)
    expect_error(lambda: student.fixed_point(operator, torch.ones(2), 1e-3, 7), "RuntimeError", "values that keep doubling")
    expect(operator.applications == 7, "the operator was not applied exactly as often as allowed before giving up")


@check("contraction_bound")
def check_bound_from_slopes(student, rng):
    """On a bounded interval the bound is the ratio of the smallest and the largest slope of h."""
    for epsilon in (1e-3, 1e-2, 0.4):
        for largest_value in (0.5, 30.0, 1e4):
            x = np.linspace(0, largest_value, 1001)
            step = 1e-5 * (x + 1)
            slopes = (h(x + step, epsilon) - h(x, epsilon)) / step
            bound = student.contraction_bound(epsilon, largest_value)
            expect_close(bound, slopes.min() / slopes.max(), "the bound", relative=1e-3, absolute=0)


@check("contraction_bound")
def check_bound_without_limit(student, rng):
    """Without a bound on the values the bound is that of the paper's Lipschitz constants; with the values at 0 only, it is 1."""
    for epsilon in (1e-3, 1e-2, 0.5, 2.0):
        expect_close(student.contraction_bound(epsilon, math.inf), epsilon / (0.5 + epsilon), "the bound for V = ∞", absolute=0)
        expect_close(student.contraction_bound(epsilon, 0.0), 1.0, "the bound for V = 0")


@check("double_q_value")
def check_double_q_by_loops(student, rng):
    """The value is that of the target network for the action that the trained network prefers."""
    for shape in ((5, 3), (4, 2, 6), (2,)):
        q, q_target = normal(rng, *shape), normal(rng, *shape)
        expected = np.zeros(shape[:-1])
        for index in np.ndindex(*shape[:-1]):
            expected[index] = q_target[index][max(range(shape[-1]), key=lambda action, index=index: q[index][action])]
        expect_close(student.double_q_value(q, q_target), expected, "the values")


@check("double_q_value")
def check_double_q_of_one_network(student, rng):
    """With one network in both roles the value is its maximum; with opposite networks, the minimum of the target network."""
    q = normal(rng, 4, 3, 5)
    expect_close(student.double_q_value(q, q), q.amax(-1), "the values of one network")
    expect_close(student.double_q_value(-q, q), q.amin(-1), "the values of opposite networks")


def rollout(rng, length, count, ending=0.25, gamma=0.9):
    """Return reward, discount, same_episode, value_next [T, B]; where episodes end, half of them are truncated."""
    reward, value_next = 20 * normal(rng, length, count), 4 * normal(rng, length, count)
    ended = uniform(rng, length, count) < ending
    terminated = ended & (uniform(rng, length, count) < 0.5)
    return reward, gamma * (~terminated).float(), (~ended).float(), value_next


def n_step_return(reward, discount, same_episode, value_next, row, column, n, inverse):
    """Return one untransformed n-step return, reward after reward."""
    total, weight = 0.0, 1.0
    for later in range(row, len(reward)):
        total += weight * reward[later, column].item()
        weight *= discount[later, column].item()
        if later == row + n - 1 or later == len(reward) - 1 or not same_episode[later, column]:
            return total + weight * inverse(value_next[later, column].item())


def n_step_targets(arrays, n, epsilon):
    """Return the targets by loops over the definition."""
    targets = np.zeros(arrays[0].shape)
    for row, column in np.ndindex(*targets.shape):
        targets[row, column] = h(n_step_return(*arrays, row, column, n, lambda y: h_inverse(y, epsilon).item()), epsilon)
    return targets


@check("transformed_n_step_targets")
def check_targets_within_one_episode(student, rng):
    """Within an episode the target is h of n discounted rewards and the bootstrap, of fewer towards the end of the rollout."""
    for length, count, n in ((6, 2, 3), (5, 3, 1), (3, 1, 5), (1, 2, 2)):
        arrays = rollout(rng, length, count, ending=0)
        actual = student.transformed_n_step_targets(*arrays, n, *transform_pair(1e-2))
        expect_close(actual, n_step_targets(arrays, n, 1e-2), f"the target for n = {n}")


@check("transformed_n_step_targets")
def check_targets_at_episode_ends(student, rng):
    """No target looks beyond the end of its episode: it bootstraps at a truncation, and does not after a termination."""
    for length, count, n in ((9, 4, 3), (12, 3, 5), (6, 5, 1)):
        arrays = rollout(rng, length, count)
        actual = student.transformed_n_step_targets(*arrays, n, *transform_pair(1e-3))
        expect_close(actual, n_step_targets(arrays, n, 1e-3), f"the target for n = {n}")


@check("transformed_n_step_targets")
def check_targets_without_transformation(student, rng):
    """With the identity for h the targets are ordinary n-step returns."""
    reward, discount, same_episode = torch.tensor([[1.0], [10.0], [100.0]]), torch.full((3, 1), 0.5), torch.ones(3, 1)
    same = elementwise(lambda x: x)
    actual = student.transformed_n_step_targets(reward, discount, same_episode, torch.tensor([[8.0], [16.0], [32.0]]), 2, same, same)
    expect_close(actual, [[1 + 5 + 4], [10 + 50 + 8], [100 + 16]], "the target")


@check("transformed_n_step_targets")
def check_targets_refuse_bad_arguments(student, rng):
    """Arguments of different shapes, or an n below 1, raise a ValueError."""
    pair = transform_pair(1e-2)
    student.transformed_n_step_targets(*rollout(rng, 4, 2), 2, *pair)
    for odd, name in enumerate(("reward", "discount", "same_episode", "value_next")):
        arrays = rollout(rng, 4, 2)
        for wrong in (arrays[odd][:1], arrays[odd][:, :1]):  # both would broadcast
            call = partial(student.transformed_n_step_targets, *arrays[:odd], wrong, *arrays[odd + 1 :], 2, *pair)
            expect_error(call, "ValueError", f"a {name} of another shape than the rest")
    for n in (0, -1):
        expect_error(partial(student.transformed_n_step_targets, *rollout(rng, 4, 2), n, *pair), "ValueError", f"n = {n}")


class ShareOfBest(gymnasium.vector.VectorWrapper):
    """Rewards as shares of the best return of the episode, which makes the scales comparable."""

    def step(self, actions: np.ndarray) -> tuple:
        best = cast(TreasureChainVector, self.env).best_return  # before an ended row starts its next episode
        observation, reward, terminated, truncated, info = self.env.step(actions)
        return observation, reward / best, terminated, truncated, info


EPISODES = 400  # some twenty of each scale and torch
ROOMS, COINS, BURNT = (4, 5), (4, 5), 4  # ranges of the rooms and of the coins worth taking; how far a torch may have burnt at the start


def learns_every_scale(student: Student, seed: int) -> Attempt:
    """Train on a chain whose lengths the seed draws; the score is the worst of nine shares.

    For each of five torches, which have burnt for 0 to 4 steps when an episode starts, it is the share of the best return: the number
    of coins to take must be read off the observation, and one plan for all misses the treasure or leaves coins. For each of four
    scales it is how close the value that the agent expects at the start is to the best one: the ratio of the smaller to the larger.
    """
    rng = numpy_stream(seed, "lengths")
    rooms, coins = int(rng.integers(*ROOMS, endpoint=True)), int(rng.integers(*COINS, endpoint=True))

    def made(purpose: str, rows: int, wrap: type | None = None) -> gymnasium.vector.VectorEnv:
        lengths = {"rooms": rooms, "torch_steps": rooms + coins, "burnt_at_start": BURNT}
        environments = envs.make(TREASURE_CHAIN, rows, derived_seed(seed, purpose), **lengths)
        return Relabelled(wrap(environments) if wrap else environments, numpy_stream(seed, "relabelling"))

    served = serve(made("training", CONFIG.env_count), CONFIG.steps)
    own = {"seed": derived_seed(seed, "student") % 2**31, "device": "cpu"}  # whoever has `seed` itself can undo the relabelling
    agent, scalars = student.train(served.description, **dataclasses.asdict(CONFIG) | own)
    starts = made("evaluation", EPISODES)
    observation, _ = starts.reset()
    chain = cast(TreasureChainVector, starts.unwrapped)
    expected = h_inverse(expect_numbers(agent.values(observation), (EPISODES,), "the values"), CONFIG.epsilon) / best_value(chain)
    ratios = [float(expected[chain.level == level].mean()) for level in range(len(SCALES))]
    evaluated = made("evaluation", EPISODES, ShareOfBest)  # in which the same episodes start
    shares = evaluate(checked_policy(agent, evaluated), evaluated, EPISODES)
    scores = [min(ratio, 1 / ratio) if ratio > 0 else 0.0 for ratio in ratios]
    scores += [float(shares[chain.burnt == burnt].mean()) for burnt in range(BURNT + 1)]
    return Attempt(min(scores), served.steps, smoothed(served.episodes, CONFIG.steps), scalars)


def best_value(chain: TreasureChainVector) -> np.ndarray:
    """Return the largest discounted return [B] from where the episodes have just started: first some coins, then the treasure."""
    gamma = CONFIG.discount
    coins = np.arange(chain.torch_steps - chain.rooms + 1)
    values = (1 - gamma**coins) / (1 - gamma) + TREASURE * gamma ** (coins + chain.rooms - 1)
    spare = chain.torch_steps - chain.burnt - chain.rooms
    return SCALES[chain.level] * np.where(coins <= spare[:, None], values, 0).max(1)


TOPIC = Topic(
    name="transformed_rewards",
    title="Transformed rewards",
    exercises=(
        "rescale",
        "rescale_inverse",
        "bellman_operator",
        "transformed_bellman_operator",
        "fixed_point",
        "contraction_bound",
        "double_q_value",
        "transformed_n_step_targets",
    ),
    checks=checks_of(__name__),
    trainings=(
        Training(
            "TreasureChain",
            "With transformed rewards the agent does well at all four scales of reward, and knows what to expect at each of them.",
            4,
            learns_every_scale,
            TREASURE_CHAIN,
        ),
    ),
)
