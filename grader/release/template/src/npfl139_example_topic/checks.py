"""The hidden checks of `example_topic`."""

import math

import numpy as np
import torch

from grader.contract.expect import expect, expect_close, expect_numbers, normal, uniform
from grader.contract.spec import Attempt, Topic, Training, check, checks_of
from grader.contract.student import Student
from npfl139.seeding import numpy_stream

BANDITS, ARMS, STEPS, LAST, TEMPERATURE, NOISE = 128, 5, 100, 20, 0.2, 2.0


@check("extended_mean", points=2)
def check_it_is_the_mean_of_all_rewards(student, rng):
    """Extended by one reward after another, from any beginning, the mean becomes that of all of them."""
    rewards = normal(rng, 7, 3)
    mean = torch.zeros(3)
    for count in range(1, 8):
        mean = torch.as_tensor(expect_numbers(student.extended_mean(mean, torch.full([3], count), rewards[count - 1]), [3], "the mean"))
        expect_close(mean, rewards[:count].double().mean(dim=0), "the mean")


@check("extended_mean")
def check_every_arm_has_a_count_of_its_own(student, rng):
    """Means over different numbers of rewards are extended at the same time, each by its own number."""
    mean, reward, count = normal(rng, 4), normal(rng, 4), torch.tensor([1, 2, 5, 40])
    expected = [(m * (n - 1) + r) / n for m, r, n in zip(mean.tolist(), reward.tolist(), count.tolist(), strict=True)]
    expect_close(student.extended_mean(mean, count, reward), np.array(expected), "the mean")


@check("boltzmann", points=2)
def check_probabilities_are_proportional_to_exponentials(student, rng):
    """In every row the probabilities are proportional to exp(Q / τ) and sum to 1."""
    value, temperature = normal(rng, 3, 4), float(rng.uniform(0.3, 3))
    weights = [[math.exp(q / temperature) for q in row] for row in value.tolist()]
    expected = np.array([[weight / sum(row) for weight in row] for row in weights])
    expect_close(student.boltzmann(value, temperature), expected, "the probabilities")


@check("boltzmann")
def check_large_values_do_not_overflow(student, rng):
    """Adding one large number to all values of a row changes nothing, also where there is only one row."""
    value = uniform(rng, 5, dtype=torch.float64)
    shifted = expect_numbers(student.boltzmann(value + 1e4, 0.5), [5], "the probabilities")
    expect_close(shifted, student.boltzmann(value, 0.5), "the probabilities of shifted values")


def finds_the_best_arm(student: Student, seed: int) -> Attempt:
    """Pull arms with the functions of the submission. The bandits, the draws and the score are the grader's."""
    rng = numpy_stream(seed, "bandits")
    arm_means = rng.normal(size=(BANDITS, ARMS))
    rows = np.arange(BANDITS)
    value, pulls = torch.zeros(BANDITS, ARMS, dtype=torch.float64), np.zeros((BANDITS, ARMS))
    gained, best, curve = [], arm_means.max(axis=1).mean(), []
    for step in range(1, STEPS + 1):
        probability = expect_numbers(student.boltzmann(value, TEMPERATURE), [BANDITS, ARMS], "the probabilities")
        total = probability.sum(axis=1, keepdims=True)
        expect((probability >= 0).all() and np.allclose(total, 1, atol=1e-3), "the probabilities must not be negative, and must sum to 1")
        arm = np.minimum((probability.cumsum(axis=1) / total < rng.random((BANDITS, 1))).sum(axis=1), ARMS - 1)
        pulls[rows, arm] += 1
        reward = torch.as_tensor(rng.normal(arm_means[rows, arm], NOISE))
        extended = student.extended_mean(value[rows, arm], torch.as_tensor(pulls[rows, arm]), reward)
        value[rows, arm] = torch.as_tensor(expect_numbers(extended, [BANDITS], "the means"))
        gained.append(arm_means[rows, arm].mean() / best)
        if step % 10 == 0:
            curve.append((step * BANDITS, float(np.mean(gained[-10:]))))
    return Attempt(float(np.mean(gained[-LAST:])), STEPS * BANDITS, tuple(curve))


TOPIC = Topic(
    name="example_topic",
    title="Example topic",
    exercises=("extended_mean", "boltzmann"),
    checks=checks_of(__name__),
    trainings=(
        Training(
            name="bandits",
            claim="Within 100 pulls the better arms are found and pulled.",
            points=2,
            attempt=finds_the_best_arm,
            environment="128 bandits with 5 arms",
        ),
    ),
)
