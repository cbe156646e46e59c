"""The hidden checks of `ppo`.

Where one mistake could be taken for another by the first answers alone, a check asks for all of its answers before it judges the first.
"""

import dataclasses
import itertools
import math

import numpy as np
import torch

from grader.contract.expect import expect, expect_close, expect_count, normal, uniform
from grader.contract.spec import Topic, check, checks_of
from grader.contract.training import learns
from solutions.ppo import CONFIGS

EXERCISES = (
    "lambda_advantage",
    "lambda_return",
    "normalized",
    "clipped_surrogate",
    "value_loss",
    "entropy",
    "tanh_gaussian_log_prob",
    "minibatches",
    "RunningMoments.update",
)
GAMMA = 0.9
COLLECT = "npfl139/CollectContinuous-v0"


def rollout(rng, length, count, ends=()):
    """Return (reward, discount, same_episode, value, value_next); `ends` lists (row, column, terminated)."""
    reward, value, value_next = (normal(rng, length, count) for _ in range(3))
    discount, same_episode = torch.full((length, count), GAMMA), torch.ones(length, count)
    ended = {(row, column) for row, column, _ in ends}
    for row, column, terminated in ends:
        same_episode[row, column] = 0
        discount[row, column] = 0 if terminated else GAMMA
    for row, column in np.ndindex(length - 1, count):
        if (row, column) not in ended:
            value_next[row, column] = value[row + 1, column]  # the true successor is the next row's state
    return reward, discount, same_episode, value, value_next


def advantage_from_the_definition(reward, discount, same_episode, value, value_next, trace_lambda):
    """Return Â as the sum over i of the product of the decays up to i times δ_{t+i}, in float64."""
    arrays = (reward, discount, same_episode, value, value_next)
    reward, discount, same_episode, value, value_next = (array.double().numpy() for array in arrays)
    advantage = np.zeros_like(reward)
    for row, column in np.ndindex(*reward.shape):
        weight = 1.0
        for later in range(row, len(reward)):
            delta = reward[later, column] + discount[later, column] * value_next[later, column] - value[later, column]
            advantage[row, column] += weight * delta
            weight *= trace_lambda * discount[later, column] * same_episode[later, column]
    return advantage


@check("lambda_advantage")
def check_advantage_within_one_episode(student, rng):
    """Within one episode the advantage is the sum of the later δ, each weighted by one more factor γλ, and the last row bootstraps
    from its successor."""
    for length, count, trace_lambda in ((7, 3, 0.8), (1, 4, 0.95), (12, 1, 0.5)):
        arrays = rollout(rng, length, count)
        expected = advantage_from_the_definition(*arrays, trace_lambda)
        expect_close(student.lambda_advantage(*arrays, trace_lambda), expected, "the advantage")


@check("lambda_advantage")
def check_advantage_at_the_limits_of_lambda(student, rng):
    """For λ = 0 the advantage is δ; for λ = 1 it is the discounted rewards up to the end of the rollout, with its bootstrap, minus
    V(S_t)."""
    reward, discount, same_episode, value, value_next = arrays = rollout(rng, 6, 3)
    zeros = torch.zeros(6, 3)
    parts = {"a reward": (reward, zeros, zeros), "V(S_t)": (zeros, value, zeros), "V(S_{t+1})": (zeros, zeros, value_next)}
    at_zero, at_one = student.lambda_advantage(*arrays, 0.0), student.lambda_advantage(*arrays, 1.0)
    for name, (rewards, values, values_next) in parts.items():
        actual = student.lambda_advantage(rewards, discount, same_episode, values, values_next, 0.0)
        expect_close(actual, rewards + GAMMA * values_next - values, f"the advantage for λ = 0 where only {name} is not 0")
    expect_close(at_zero, reward + GAMMA * value_next - value, "the advantage for λ = 0")
    returns = value_next[-1]
    expected = []
    for row in reversed(range(6)):
        returns = reward[row] + GAMMA * returns
        expected.insert(0, returns - value[row])
    expect_close(at_one, torch.stack(expected), "the advantage for λ = 1")


@check("lambda_advantage")
def check_advantage_after_termination(student, rng):
    """Where an episode terminated, its last state has no value, whatever `value_next` says, and nothing of the next episode counts."""
    arrays = rollout(rng, 8, 3, ends=[(2, 0, True), (5, 0, True), (4, 1, True), (7, 2, True)])
    arrays[4][[2, 4, 7], [0, 1, 2]] = 100.0
    expected = advantage_from_the_definition(*arrays, 0.7)
    expect_close(student.lambda_advantage(*arrays, 0.7), expected, "the advantage")


@check("lambda_advantage")
def check_advantage_after_truncation(student, rng):
    """Where an episode was truncated, the advantage bootstraps from its own last state, and nothing of the next episode leaks into it."""
    arrays = rollout(rng, 9, 4, ends=[(3, 0, False), (0, 1, False), (6, 1, False), (8, 2, False), (4, 3, True), (6, 3, False)])
    expected = advantage_from_the_definition(*arrays, 0.7)
    expect_close(student.lambda_advantage(*arrays, 0.7), expected, "the advantage")


@check("lambda_return")
def check_return_is_what_the_value_should_have_been(student, rng):
    """The λ-return is the advantage on top of the value that it was computed with."""
    for shape in ((5, 3), (1, 7)):
        advantage, value, zeros = normal(rng, *shape), 3 * normal(rng, *shape), torch.zeros(shape)
        actual = student.lambda_return(advantage, value)
        expect_close(student.lambda_return(zeros, value), value, "the return for advantages of 0")
        expect_close(student.lambda_return(advantage, zeros), advantage, "the return for values of 0")
        expect_close(actual, advantage.double() + value.double(), "the return")


@check("normalized")
def check_normalized_moments(student, rng):
    """All entries together, whatever the shape, have mean 0 and standard deviation 1, dividing by their number."""
    for shape in ((4, 3), (9,), (2, 1), (2, 3, 2)):
        advantage = 5 + 3 * normal(rng, *shape)
        expected = advantage.double() - advantage.double().mean()
        expected /= (expected**2).mean().sqrt()
        expect_close(student.normalized(advantage), expected, "the normalized advantage")


@check("normalized")
def check_normalized_constants(student, rng):
    """Advantages that are all equal, even a single one, become 0 and not NaN, and differences as small as 10⁻⁸ do not become large."""
    for shape in ((3, 4), (1,)):
        expect_close(student.normalized(torch.full(shape, 2.5)), torch.zeros(shape), "the normalized advantage")
    tiny = torch.tensor([[1e-8, -1e-8], [3e-8, -3e-8]])
    expect_close(student.normalized(tiny), tiny / (5**0.5 * 1e-8 + 1e-8), "the normalized advantage of tiny differences")


def surrogate_inputs(rng, count=64):
    log_prob_old = -2 * uniform(rng, count) - 0.1
    return log_prob_old + uniform(rng, count, low=-0.8, high=0.8), log_prob_old, normal(rng, count)


def surrogate_from_the_definition(log_prob_new, log_prob_old, advantage, clip_epsilon):
    terms = []
    for new, old, estimate in zip(log_prob_new.tolist(), log_prob_old.tolist(), advantage.tolist(), strict=True):
        ratio = math.exp(new - old)
        clipped = min(max(ratio, 1 - clip_epsilon), 1 + clip_epsilon)
        terms.append(min(ratio * estimate, clipped * estimate))
    return sum(terms) / len(terms)


@check("clipped_surrogate")
def check_surrogate_is_a_pessimistic_bound(student, rng):
    """The objective is the mean of the smaller of the clipped and the unclipped term, for advantages of both signs."""
    for clip_epsilon in (0.1, 0.25):
        arrays = surrogate_inputs(rng)
        expect_close(
            student.clipped_surrogate(*arrays, clip_epsilon), surrogate_from_the_definition(*arrays, clip_epsilon), "the objective"
        )


@check("clipped_surrogate")
def check_surrogate_without_clipping(student, rng):
    """For a huge ε the objective is the plain surrogate, the mean of ρ Â."""
    new, old, advantage = surrogate_inputs(rng)
    expected = ((new.double() - old.double()).exp() * advantage.double()).mean()
    expect_close(student.clipped_surrogate(new, old, advantage, 1e6), expected, "the objective")


@check("clipped_surrogate")
def check_surrogate_gradient(student, rng):
    """Moving the ratio further out of the clip range earns nothing, so the gradient vanishes there; moving it the wrong way costs in
    full."""
    old = torch.full((6,), -1.0)
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.0, 1.1])
    advantage = torch.tensor([2.0, -2.0, 3.0, -3.0, 1.0, -1.0])
    result = student.gradient("clipped_surrogate", old + ratio.log(), old, advantage, 0.2, wrt=[0])
    gradient = result[1][0]
    expect(gradient is not None, "the objective does not depend on log_prob_new, so nothing would be learnt")
    expect_close(gradient, torch.tensor([0.0, -3.0, 1.5, 0.0, 1.0, -1.1]) / 6, "the gradient of the objective by log_prob_new")


@check("value_loss")
def check_value_loss(student, rng):
    """The loss is the mean of the squared errors, small and large ones alike."""
    for count in (5, 32):
        value, target = 4 * normal(rng, count), 4 * normal(rng, count)
        expect_close(student.value_loss(value, target), np.mean((value.double().numpy() - target.double().numpy()) ** 2), "the loss")


@check("value_loss")
def check_value_loss_gradient(student, rng):
    """The gradient pulls every value towards its target in proportion to its error."""
    value, target = normal(rng, 12), 5 * normal(rng, 12)
    result = student.gradient("value_loss", value, target, wrt=[0])
    expect(result[1][0] is not None, "the loss does not depend on the values, so nothing would be learnt")
    expect_close(result[1][0], 2 * (value - target) / 12, "the gradient of the loss by the values")


@check("entropy")
def check_entropy_from_probabilities(student, rng):
    """The entropy of each distribution is -Σ p log p in nats, over the last axis."""
    for shape in ((2, 4, 6), (5, 3), (4,)):
        logits = 2 * normal(rng, *shape)
        weights = np.exp(logits.double().numpy())
        probability = weights / weights.sum(-1, keepdims=True)
        expect_close(student.entropy(logits), -(probability * np.log(probability)).sum(-1), "the entropy")


@check("entropy")
def check_entropy_of_uniform_distributions(student, rng):
    """Equal logits of A actions, whatever they are, have the entropy log A."""
    logits = torch.tensor([-700.0, 0.0, 3.0, 700.0])[:, None].expand(4, 5).contiguous()
    expect_close(student.entropy(logits), torch.full((4,), math.log(5)), "the entropy")


@check("entropy")
def check_entropy_of_certain_actions(student, rng):
    """A distribution that is certain of an action has the entropy 0, and one of two actions log 2, however far apart the logits are."""
    logits = torch.tensor([[500.0, -500.0, 0.0], [0.0, 0.0, 2000.0], [2000.0, 0.0, 2000.0]])
    expect_close(student.entropy(logits), np.array([0.0, 0.0, np.log(2)]), "the entropy")
    nearly = -uniform(rng, 12, 1, low=4, high=11) * torch.tensor([0.0, 1.0, 1.2])
    log_prob = nearly.double().log_softmax(-1)
    expect_close(student.entropy(nearly), -(log_prob.exp() * log_prob).sum(-1), "the entropy of nearly certain actions")


@check("entropy")
def check_entropy_gradient(student, rng):
    """The gradient of the entropy lowers the likely actions and raises the unlikely ones."""
    logits = normal(rng, 4, 3)
    log_prob = logits.double().log_softmax(-1)
    own = -(log_prob.exp() * log_prob).sum(-1, keepdim=True)
    result = student.gradient("entropy", logits, wrt=[0])
    expect(result[1][0] is not None, "the entropy does not depend on the logits, so a bonus would have no effect")
    expect_close(result[1][0], -log_prob.exp() * (log_prob + own), "the gradient of the entropy by the logits")


def squashed_log_density(pre_tanh, mean, std):
    """Return the log-density in float64, through the density of the Gaussian and dtanh(u)/du = 4 / (e^u + e^-u)²."""
    pre_tanh, mean, std = (array.double() for array in (pre_tanh, mean, std))
    log_normal = torch.distributions.Normal(mean, std).log_prob(pre_tanh)
    log_derivative = math.log(4) - 2 * torch.logaddexp(pre_tanh, -pre_tanh)
    return (log_normal - log_derivative).sum(-1)


@check("tanh_gaussian_log_prob")
def check_squashed_log_prob(student, rng):
    """The log-density of the squashed action is that of the Gaussian minus the logarithm of the derivative of tanh, summed over the
    components."""
    zeros, std = torch.zeros(5, 2), uniform(rng, 5, 2, low=0.3, high=2.0)
    expected = squashed_log_density(zeros, zeros, std)
    expect_close(student.tanh_gaussian_log_prob(zeros, zeros, std), expected, "the log-density at u = μ = 0, where tanh changes nothing")
    for shape in ((5, 3), (2, 4, 2), (6, 1)):
        pre_tanh, mean, std = normal(rng, *shape), normal(rng, *shape), uniform(rng, *shape, low=0.3, high=2.0)
        expect_close(student.tanh_gaussian_log_prob(pre_tanh, mean, std), squashed_log_density(pre_tanh, mean, std), "the log-density")


@check("tanh_gaussian_log_prob")
def check_squashed_log_prob_integrates_to_one(student, rng):
    """The density of the actions between -1 and 1 integrates to one."""
    action = torch.linspace(-1, 1, 4002, dtype=torch.float64)[1:-1]
    mean, std = 0.3 * normal(rng, 1, dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    pre_tanh = action.atanh()[:, None]
    log_density = student.tanh_gaussian_log_prob(pre_tanh, mean.expand_as(pre_tanh).contiguous(), std.expand_as(pre_tanh).contiguous())
    expect_close(log_density, squashed_log_density(pre_tanh, mean, std), "the log-density")
    integral = torch.as_tensor(log_density).double().exp().mean() * 2
    expect_close(integral, 1.0, "the integral of the density", absolute=2e-3)  # the rectangles' error is below 1e-3


@check("tanh_gaussian_log_prob")
def check_squashed_log_prob_far_out(student, rng):
    """The log-density is exact for pre-tanh actions of tens and hundreds, where tanh itself is 1 in floating point."""
    pre_tanh = torch.tensor([[7.0, -7.5], [9.5, -9.5], [20.0, -30.0], [-150.0, 90.0], [300.0, 2.0]])
    mean, std = pre_tanh + normal(rng, 5, 2), torch.full((5, 2), 1.5)
    expect_close(student.tanh_gaussian_log_prob(pre_tanh, mean, std), squashed_log_density(pre_tanh, mean, std), "the log-density")


@check("tanh_gaussian_log_prob")
def check_squashed_log_prob_gradient(student, rng):
    """The gradients by the mean and by the standard deviation are those of the Gaussian."""
    pre_tanh, mean, std = normal(rng, 5, 2), normal(rng, 5, 2), uniform(rng, 5, 2, low=0.5, high=2.0)
    result = student.gradient("tanh_gaussian_log_prob", pre_tanh, mean, std, wrt=[1, 2])
    by_mean, by_std = result[1]
    expect(by_mean is not None and by_std is not None, "the log-density does not depend on the mean or on the standard deviation")
    error = pre_tanh - mean
    expect_close(by_mean, error / std**2, "the gradient by the mean")
    expect_close(by_std, error**2 / std**3 - 1 / std, "the gradient by the standard deviation")


def batches_of(student, count, batch_size, seed):
    """Return the minibatches as lists of integers, after making sure that they are index tensors of int64."""
    batches = student.minibatches(count, batch_size, torch.Generator().manual_seed(seed))
    expect_count(batches, -(-count // batch_size), "the list of minibatches")
    for batch in batches:
        is_index = isinstance(batch, torch.Tensor | np.ndarray) and batch.ndim == 1 and str(batch.dtype).endswith("int64")
        expect(is_index, "each minibatch must be an index tensor, a vector of int64")
    return [[int(row) for row in batch] for batch in batches]


@check("minibatches")
def check_minibatches_cover_every_row_once(student, rng):
    """Every row occurs in exactly one minibatch, and only the last one may be smaller."""
    for count, batch_size in ((12, 4), (11, 4), (5, 8), (7, 1)):
        batches = batches_of(student, count, batch_size, int(rng.integers(2**31)))
        expected = [batch_size] * (count // batch_size) + ([count % batch_size] if count % batch_size else [])
        expect([len(batch) for batch in batches] == expected, "the minibatches do not have the sizes that are asked for")
        expect(sorted(itertools.chain(*batches)) == list(range(count)), "some rows occur twice or not at all")


@check("minibatches")
def check_minibatches_are_in_random_order(student, rng):
    """Every order of the rows occurs."""
    orders = {tuple(itertools.chain(*batches_of(student, 3, 2, int(rng.integers(2**31))))) for _ in range(60)}
    expect(len(orders) == 6, "some orders of three rows never occur")  # each order is missed with probability (5/6)^60 < 2e-5


@check("minibatches")
def check_minibatches_come_from_the_generator(student, rng):
    """The generator is the only source of randomness: the same state gives the same minibatches, another state others."""
    first, again, other = (batches_of(student, 40, 16, seed) for seed in (5, 5, 6))
    expect(first == again, "two generators in the same state give different minibatches")
    expect(first != other, "generators in different states give the same minibatches")


def expect_moments(moments, batches, relative=1e-6):
    rows, when = torch.cat(batches).double(), f"after {len(batches)} update{'s' if len(batches) > 1 else ''}"
    count, mean, variance = (moments.read(name) for name in ("count", "mean", "variance"))
    expect_close(count, float(len(rows)), f"count {when}")
    expect_close(mean, rows.mean(0), f"mean {when}", relative, 1e-9)
    expect_close(variance, ((rows - rows.mean(0)) ** 2).mean(0), f"variance {when}", relative, 1e-9)


@check("RunningMoments.update")
def check_moments_of_the_first_batch(student, rng):
    """After one update the moments are those of its rows, the variance divided by their number."""
    moments, rows = student.create("RunningMoments", 3), 2 + normal(rng, 5, 3, dtype=torch.float64)
    moments.update(rows)
    expect_moments(moments, [rows])


@check("RunningMoments.update")
def check_moments_of_uneven_batches(student, rng):
    """After several updates with different numbers of rows the moments are those of all rows together."""
    moments, seen = student.create("RunningMoments", 4), []
    for count in (4, 1, 9, 2):
        seen.append(3 * normal(rng, 1, 4, dtype=torch.float64) + normal(rng, count, 4, dtype=torch.float64))
        moments.update(seen[-1])
        expect_moments(moments, seen)


@check("RunningMoments.update")
def check_moments_keep_their_digits(student, rng):
    """A mean ten million times the standard deviation costs no accuracy, and rows of any floating dtype are computed with in float64."""
    moments = student.create("RunningMoments", 2)
    batches = [1e7 + normal(rng, count, 2, dtype=torch.float64) for count in (6, 3, 8)]
    for rows in batches:
        moments.update(rows)
    # Differences of numbers of size 1e7 are exact to 2e-9 in float64; sums of squares would lose all but two digits.
    expect_moments(moments, batches, relative=1e-5)
    for dtype, mean in ((torch.float32, 1e6), (torch.float16, 1e3)):
        moments = student.create("RunningMoments", 2)
        batches = [(mean + 2 * normal(rng, count, 2, dtype=torch.float64)).to(dtype) for count in (7, 5)]
        for rows in batches:
            moments.update(rows)
        expect_moments(moments, batches, relative=1e-9)  # the mean of the rows in their own dtype is off by 1e-8 or more


# A longer view than in the example: with that, some runs settle on a policy that balances and drifts out of sight.
CARTPOLE = dataclasses.replace(CONFIGS["CartPole-v1"], steps=40_960, epochs=6, trace_lambda=0.95, discount=0.995, value_scale=50.0)

TOPIC = Topic(
    name="ppo",
    title="Proximal policy optimization",
    exercises=EXERCISES,
    checks=checks_of(__name__),
    trainings=(
        learns(
            "CartPole",
            "CartPole-v1",
            CARTPOLE,
            "The agent balances the pole after 40,960 environment steps.",
            points=3,
            unreached=("tanh_gaussian_log_prob",),
        ),
        learns(
            "Collect",
            COLLECT,
            CONFIGS[COLLECT],
            points=3,
            claim="With continuous actions the agent reaches the place and stays, after 40,960 environment steps.",
            unreached=("entropy",),
        ),
    ),
)
