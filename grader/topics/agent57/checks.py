"""The hidden checks of `agent57`."""

import math
from functools import partial

import numpy as np
import torch

from grader.contract.expect import elementwise, expect, expect_close, expect_count, expect_error, expect_numbers, normal, uniform
from grader.contract.naive import h, h_inverse
from grader.contract.spec import Attempt, Topic, Training, check, checks_of
from grader.contract.student import Student
from grader.topics.agent57 import lent
from npfl139.seeding import numpy_stream
from solutions.agent57 import capped, combined_q

EPSILON, LAMBDA = 1e-2, 0.9


# Two values instead of one


@check("combined_q")
def check_values_are_added_with_the_weight_of_each_row(student, rng):
    """q is q^e + β_j q^i, with one β for all actions of a row."""
    for shape in ((3,), (4, 4), (2, 3, 5)):
        extrinsic, intrinsic, weight = normal(rng, *shape), 3 * normal(rng, *shape), uniform(rng, *shape[:-1], high=2.0)
        expected = np.zeros(shape)
        for index in np.ndindex(*shape):
            expected[index] = extrinsic[index].item() + weight[index[:-1]].item() * intrinsic[index].item()
        expect_close(student.combined_q(extrinsic, intrinsic, weight), expected, "q")


@check("combined_q")
def check_without_curiosity_only_the_task_counts(student, rng):
    """For β = 0 the combination is q^e, exactly, however large q^i is, and for no other β."""
    extrinsic = normal(rng, 3, 4)
    combined = expect_numbers(student.combined_q(extrinsic, 1e6 * normal(rng, 3, 4), torch.zeros(3)), (3, 4), "q")
    expect((combined == extrinsic.double().numpy()).all(), "for β = 0 the combination must be q^e itself")
    intrinsic = normal(rng, 3, 4)
    expect_close(student.combined_q(extrinsic, intrinsic, torch.ones(3)), extrinsic + intrinsic, "q for β = 1")


def root(x):
    return x.sign() * x.abs().sqrt()


def square(x):
    return x.sign() * x.square()


@check("transformed_combined_q", stands_on=(combined_q,))
def check_returns_are_added_not_transformed_returns(student, rng):
    """Both values are transformed back, added with the weight, and transformed again."""
    for shape in ((4,), (3, 2), (2, 3, 4)):
        extrinsic, intrinsic, weight = normal(rng, *shape), normal(rng, *shape), uniform(rng, *shape[:-1], low=0.2, high=2.0)
        total = square(extrinsic.double()) + weight.double()[..., None] * square(intrinsic.double())
        result = student.transformed_combined_q(extrinsic, intrinsic, weight, elementwise(root), elementwise(square))
        expect_close(result, root(total), "q", relative=1e-3, absolute=1e-4)


@check("transformed_combined_q", stands_on=(combined_q,))
def check_transformed_values_without_curiosity(student, rng):
    """For β = 0 the combination is q^e, and for no other β."""
    extrinsic, intrinsic = normal(rng, 2, 3), 5 * normal(rng, 2, 3)
    for beta in (0.0, 1.0):
        result = student.transformed_combined_q(extrinsic, intrinsic, torch.full((2,), beta), elementwise(root), elementwise(square))
        expect_close(result, root(square(extrinsic) + beta * square(intrinsic)), f"q for β = {beta:.0f}", relative=1e-3)


# Targets


def sequences(rng, length, batch, actions, ending=0.25):
    """Return the arguments of `split_targets` up to `same_episode`, as a dictionary; the four networks rarely agree on an action."""
    ended = rng.random((length, batch)) < ending
    terminated = ended & (rng.random((length, batch)) < 0.5)
    gamma = rng.uniform(0.5, 0.95, batch)
    return {
        "online": [normal(rng, length + 1, batch, actions) for _ in range(2)],
        "target": [normal(rng, length + 1, batch, actions) for _ in range(2)],
        "action": torch.as_tensor(rng.integers(actions, size=(length, batch))),
        "behaviour": uniform(rng, length, batch, low=0.2, high=1.0),
        "extrinsic": 2 * normal(rng, length, batch),
        "intrinsic": uniform(rng, length, batch, low=0.5, high=3.0),
        "weight": uniform(rng, batch, low=0.5, high=1.5),
        "discount": torch.as_tensor(np.where(terminated, 0, gamma), dtype=torch.float32),
        "same_episode": torch.as_tensor(~ended).float(),
    }


def greedy_probabilities(arguments, target_epsilon):
    """Return the ε-greedy policy [T + 1, B, A] of the combined online values."""
    extrinsic, intrinsic = (q.double().numpy() for q in arguments["online"])
    combined = extrinsic + arguments["weight"].double().numpy()[:, None] * intrinsic
    policy = np.full(combined.shape, target_epsilon / combined.shape[-1])
    for t, b in np.ndindex(*combined.shape[:2]):
        policy[t, b, combined[t, b].argmax()] += 1 - target_epsilon
    return policy


def head_targets(arguments, reward, q, policy, trace_lambda=LAMBDA, epsilon=EPSILON):
    """Return the targets of one network as h of the double sum over steps, in float64."""
    action, behaviour = arguments["action"].numpy(), arguments["behaviour"].double().numpy()
    discount, same_episode = arguments["discount"].double().numpy(), arguments["same_episode"].double().numpy()
    reward, value = reward.double().numpy(), h_inverse(q, epsilon)
    expected, result = (policy * value).sum(-1), np.zeros(action.shape)
    for start, b in np.ndindex(*action.shape):
        factor, total = 1.0, value[start, b, action[start, b]]
        for t in range(start, len(action)):
            taken = action[t, b]
            if t > start:
                trace = trace_lambda * min(1.0, policy[t, b, taken] / behaviour[t, b])
                factor *= discount[t - 1, b] * same_episode[t - 1, b] * trace
            total += factor * (reward[t, b] + discount[t, b] * expected[t + 1, b] - value[t, b, taken])
        result[start, b] = h(total, epsilon)
    return result


def check_targets(student, arguments, target_epsilon):
    result = student.split_targets(**arguments, trace_lambda=LAMBDA, target_epsilon=target_epsilon, epsilon=EPSILON)
    expect_count(result, 2)
    policy = greedy_probabilities(arguments, target_epsilon)
    for name, reward, head, targets in zip("ei", ("extrinsic", "intrinsic"), (0, 1), result, strict=True):
        expected = head_targets(arguments, arguments[reward], arguments["target"][head], policy)
        expect_close(targets, expected, f"y^{name}", relative=1e-3, absolute=1e-4)


@check("split_targets", points=2, stands_on=(combined_q,))
def check_each_network_learns_its_own_reward(student, rng):
    """y^e and y^i are the transformed Retrace targets of r^e and r^i, each with the values of its own target network."""
    for length, batch, actions, target_epsilon in ((1, 3, 2, 0.0), (6, 4, 3, 0.3), (5, 1, 4, 0.1)):
        check_targets(student, sequences(rng, length, batch, actions), target_epsilon)


@check("split_targets", points=2, stands_on=(combined_q,))
def check_both_learn_about_one_policy(student, rng):
    """The policy, and with it the trace, is that of the combined online values, for both networks."""
    arguments = sequences(rng, 5, 4, 2, ending=0.0)
    sign = torch.as_tensor(rng.choice([-1.0, 1.0], size=(6, 4)), dtype=torch.float32)
    # Each network alone prefers another action than the sum does, or than the other one, by far.
    arguments["online"] = [torch.stack([sign, -sign], -1), torch.stack([-2 * sign, 2 * sign], -1)]
    arguments["target"] = [3 * torch.stack([sign, -sign], -1), torch.stack([sign, -sign], -1)]
    for weights in ([0.1, 0.2, 0.3, 0.4], [0.8, 1.0, 1.5, 2.0], [0.1, 2.0, 0.2, 1.5]):
        arguments["weight"] = torch.tensor(weights)
        check_targets(student, arguments, 0.1)


@check("split_targets", stands_on=(combined_q,))
def check_the_intrinsic_network_learns_whatever_the_weight_is(student, rng):
    """β_j decides about the policy alone: also for β_j = 0 the intrinsic network learns the intrinsic return."""
    arguments = sequences(rng, 4, 3, 3)
    arguments["weight"] = torch.zeros(3)
    check_targets(student, arguments, 0.2)


@check("split_targets", stands_on=(combined_q,))
def check_nothing_is_lost_by_splitting(student, rng):
    """Without h, where all values are small, y^e + β y^i is the target of r^e + β r^i for q^e + β q^i."""
    # For |x| far below 1, h(x) is close to (1/2 + ε) x, so with tiny numbers both sides are linear up to their size.
    scale, factor = 1e-4, 0.5 + EPSILON
    arguments = sequences(rng, 5, 3, 3)
    arguments["target"] = [scale * factor * q for q in arguments["target"]]
    arguments["extrinsic"], arguments["intrinsic"] = scale * arguments["extrinsic"], scale * arguments["intrinsic"]
    result = student.split_targets(**arguments, trace_lambda=LAMBDA, target_epsilon=0.1, epsilon=EPSILON)
    expect_count(result, 2)
    y_extrinsic, y_intrinsic = (expect_numbers(y, (5, 3), "the targets") for y in result)
    weight = arguments["weight"]
    reward = arguments["extrinsic"] + weight * arguments["intrinsic"]
    q = arguments["target"][0] + weight[:, None] * arguments["target"][1]
    joint = head_targets(arguments, reward, q, greedy_probabilities(arguments, 0.1))
    expect_close((y_extrinsic + weight.numpy() * y_intrinsic) / scale, joint / scale, "y^e + β y^i", relative=5e-3, absolute=5e-3)


@check("split_targets", stands_on=(combined_q,))
def check_split_targets_are_constants(student, rng):
    """No gradient flows through the targets into any of the four networks' values."""
    arguments = sequences(rng, 3, 2, 3)
    values, gradients = student.gradient("split_targets", *arguments.values(), LAMBDA, 0.2, EPSILON, wrt=[0, 1])
    expect_count(values, 2)
    for targets in values:
        expect_numbers(targets, (3, 2), "the targets")
    for name, of_networks in zip(("an online network", "a target network"), gradients, strict=True):
        for gradient in of_networks:
            expect(gradient is None or not torch.as_tensor(gradient).any(), f"a gradient flows into the values of {name}")


@check("split_targets", stands_on=(combined_q,))
def check_split_targets_refuse_other_shapes(student, rng):
    """Arguments whose shapes do not fit one another raise a ValueError."""
    options = {"trace_lambda": LAMBDA, "target_epsilon": 0.1, "epsilon": EPSILON}

    def refused(arguments, what):
        expect_error(partial(student.split_targets, **arguments, **options), "ValueError", what)

    arguments = sequences(rng, 3, 2, 2)
    student.split_targets(**arguments, **options)
    for name in ("behaviour", "extrinsic", "intrinsic", "discount", "same_episode"):
        for other in (arguments[name][:-1], arguments[name][:, :1]):
            refused(arguments | {name: other}, f"another shape of {name}")
    refused(arguments | {"weight": arguments["weight"][:1]}, "another shape of weight")
    for name in ("online", "target"):
        for head in (0, 1):
            for other in (arguments[name][head][:-1], arguments[name][head][:, :1], arguments[name][head][..., :1]):
                pair = [other if number == head else q for number, q in enumerate(arguments[name])]
                refused(arguments | {name: pair}, f"another shape of one of the {name} values")
    for part in (slice(None, -1), slice(1)):
        few = {name: [q[part] for q in arguments[name]] for name in ("online", "target")}
        refused(arguments | few, "values of as many states as there are steps, or fewer,")


# Which policy to play


class Bandit:
    """The bandit as its definition has it: all pulls in a list."""

    def __init__(self, arms, window, coefficient, epsilon):
        self.arms, self.window, self.coefficient, self.epsilon = arms, window, coefficient, epsilon
        self.history = []

    def paid(self, arm):
        return [reward for pulled, reward in self.history[-self.window :] if pulled == arm]

    def select(self, uniform, arm):
        if len(self.history) < self.arms:
            return len(self.history)
        if uniform < self.epsilon:
            return arm
        paid = [self.paid(arm) for arm in range(self.arms)]
        scores = [np.mean(rewards) + self.coefficient / math.sqrt(len(rewards)) if rewards else math.inf for rewards in paid]
        return int(np.argmax(scores))

    def best(self):
        paid = [self.paid(arm) for arm in range(self.arms)]
        return int(np.argmax([np.mean(rewards) if rewards else -math.inf for rewards in paid]))


class Driven:
    """A submission's bandit and the definition's, told the same; `judge` compares what they answered.

    The grader itself says what was pulled: what is selected does not stand on `update`.
    """

    def __init__(self, student, arms, window, coefficient=1.0, epsilon=0.0):
        self.bandit, self.lent = student.create("SlidingWindowUCB", arms, window, coefficient, epsilon), student.define(lent)
        self.model = Bandit(arms, window, coefficient, epsilon)
        self.answers = []

    def update(self, arm, reward):
        self.model.history.append((arm, float(reward)))
        self.lent.remember(self.bandit, self.model.history[-self.model.window :], len(self.model.history))

    def select(self, uniform=0.5, arm=0):
        """Return the arm that the definition selects, so that both go on alike."""
        self.answers.append(("select", self.bandit.select(uniform, arm), self.model.select(uniform, arm)))
        return self.answers[-1][-1]

    def best(self):
        self.answers.append(("best", self.bandit.best(), self.model.best()))

    def judge(self):
        for method, answer, expected in self.answers:
            expect(type(answer) is int, f"{method} must return an int, got {type(answer).__name__}")
            expect(answer == expected, f"{method} does not return the arm that the rule says")


@check("SlidingWindowUCB.select")
def check_every_arm_is_pulled_first(student, rng):
    """The first N pulls are the arms in their order, whatever they pay and whatever the random numbers are."""
    driven = Driven(student, 5, 50, epsilon=0.9)
    for _ in range(5):
        driven.update(driven.select(uniform=0.0, arm=4), rng.normal())
    driven.judge()


@check("SlidingWindowUCB.select", points=2)
def check_the_arm_with_the_best_bound_is_selected(student, rng):
    """Afterwards the arm with the largest sum of mean and bonus is selected, with β for the weight of the bonus."""
    for arms, window, coefficient in ((2, 100, 1.0), (4, 12, 0.3), (3, 30, 2.5)):
        driven = Driven(student, arms, window, coefficient)
        for _ in range(60):
            selected = driven.select()
            arm = int(rng.integers(arms)) if rng.random() < 0.5 else selected
            driven.update(arm, rng.normal() + 0.7 * arm)
        driven.judge()


@check("SlidingWindowUCB.select")
def check_the_bonus_has_no_logarithm(student, rng):
    """The bonus of an arm depends on how often it was pulled, and not on how often the others were."""
    driven = Driven(student, 2, 1000, coefficient=1.0)
    driven.select()
    driven.update(0, 0.0)
    driven.update(1, 0.79)  # the bounds are 1 and 0.79 + 1/√n: with a logarithm, the first arm's would exceed the second's after a while
    for _ in range(24):
        driven.update(1, 0.79)
        driven.select()
    for _ in range(10):
        driven.update(0, 0.353)
        driven.select()
    driven.judge()


@check("SlidingWindowUCB.select")
def check_some_arms_are_random(student, rng):
    """The given random arm is taken where the random number is less than ε, and only there."""
    driven = Driven(student, 3, 20, epsilon=0.4)
    driven.select()
    for arm in range(3):
        driven.update(arm, float(arm == 1))
    for number, arm in ((0.0, 2), (0.39, 0), (0.4, 0), (0.41, 2), (0.99, 0)):
        driven.select(number, arm)
    driven.judge()


@check("SlidingWindowUCB.select")
def check_an_arm_that_the_window_forgot_comes_first(student, rng):
    """An arm without a pull in the window has an infinite bound; of several equal bounds the lowest arm is selected."""
    driven = Driven(student, 4, 5, coefficient=0.5)
    driven.select()
    for arm in (0, 1, 2, 3, 3, 3, 3, 3):
        driven.update(arm, 10.0 * arm)
        driven.select()
    driven.judge()
    driven = Driven(student, 3, 50)
    for arm in (0, 1, 2, 0, 1, 2):
        driven.update(arm, 1.0)
    driven.select()
    driven.judge()


def check_updates(student, arms, window, pulls):
    """Raise `Wrong` unless a bandit remembers the last of the pulls, and counts them all; it is judged when all are made."""
    bandit, lending, answers = student.create("SlidingWindowUCB", arms, window), student.define(lent), []
    for pull in pulls:
        bandit.update(*pull)
        answers.append((lending.remembered(bandit), bandit.read("pulls")))
    for count, (remembered, counted) in enumerate(answers, 1):
        expected = np.array(pulls[max(count - window, 0) : count])
        expect_close(remembered, expected, "the window, as rows of an arm and a reward,")
        expect_close(counted, count, "pulls")


@check("SlidingWindowUCB.update", points=2)
def check_only_the_last_pulls_count(student, rng):
    """The pull τ pulls ago is forgotten completely, and none before its time, over all arms together."""
    for arms, window in ((2, 3), (3, 8), (2, 1)):
        check_updates(student, arms, window, [(int(rng.integers(arms)), rng.normal()) for _ in range(25)])


@check("SlidingWindowUCB.update")
def check_a_reward_belongs_to_the_arm_that_was_pulled(student, rng):
    """What a pull paid counts for its arm, also where it was another than the rule would have selected."""
    check_updates(student, 3, 100, [(0, 1.0), (1, 2.0), (2, 3.0), (0, 9.0), (1, 0.5), (0, 8.0), (2, 5.0)])


@check("SlidingWindowUCB.best")
def check_the_best_arm_has_the_best_mean(student, rng):
    """The arm for the evaluation has the best mean over the window: no bonus, and no preference for what is pulled often."""
    for arms, window in ((3, 50), (5, 9)):
        driven = Driven(student, arms, window, coefficient=5.0)
        driven.best()
        for step in range(50):
            arm = int(min(rng.geometric(0.5), arms) - 1) if step >= arms else step
            driven.update(arm, rng.normal() - 0.5 * (arm == 0))
            driven.best()
        driven.judge()


@check("SlidingWindowUCB.best")
def check_an_arm_that_the_window_forgot_is_not_the_best(student, rng):
    """An arm without a pull in the window cannot be the best, even where all others lost; before the first pull it is arm 0."""
    for worth in (5.0, -5.0):
        driven = Driven(student, 3, 4)
        driven.best()
        for arm in (0, 1, 2, 2, 2, 1):
            driven.update(arm, worth - arm)
        driven.best()
        driven.judge()


# Longer horizons


@check("discounts", points=2)
def check_family_of_discounts(student, rng):
    """The discounts are those of the corrected formula, which never rise from one policy to the next."""
    for count, longest, middle, shortest in ((32, 0.9999, 0.997, 0.99), (10, 0.999, 0.98, 0.9), (13, 0.995, 0.9, 0.5)):
        expected = [middle + (longest - middle) / (1 + math.exp(-10 * (6 - 2 * j) / 6)) for j in range(count)]
        expected[0], expected[7] = longest, middle
        for j in range(8, count):
            logs = (count - 1 - j) * math.log(1 - middle) + (j - 8) * math.log(1 - shortest)
            expected[j] = 1 - math.exp(logs / (count - 9))
        gamma = expect_numbers(student.discounts(count, longest, middle, shortest), (count,), "γ")
        rising = (np.diff(gamma) > 1e-6).any()
        expect(not rising, "the discounts rise somewhere: the paper's print does so, by two misprints that the docstring names")
        expect_close(gamma, np.array(expected), "γ", relative=1e-6)


@check("discounts")
def check_a_small_family_is_refused(student, rng):
    """Fewer than 10 policies raise a ValueError, and 10 do not."""
    student.discounts(10, 0.9999, 0.997, 0.99)
    for count in (1, 9):
        expect_error(partial(student.discounts, count, 0.9999, 0.997, 0.99), "ValueError", f"a family of {count}")


# Scores


@check("human_normalized_score")
def check_scores_are_counted_from_random_play(student, rng):
    """The score is the agent's distance from random play, over the human's, also where scores are negative."""
    for shape in ((5,), (2, 3), ()):
        random, agent = 10 * normal(rng, *shape), 10 * normal(rng, *shape)
        sign = torch.as_tensor((-1.0) ** np.arange(math.prod(shape)).reshape(shape), dtype=torch.float32)  # in some games less is more
        human = random + uniform(rng, *shape, low=1, high=20) * sign
        expected = (agent.double() - random.double()) / (human.double() - random.double())
        expect_close(student.human_normalized_score(agent, random, human), expected, "the score", relative=1e-3)


@check("capped")
def check_scores_are_capped_one_by_one(student, rng):
    """Each score is limited to between 0 and 1 by itself."""
    scores = torch.tensor([[-3.0, 0.0, 0.4], [1.0, 1.2, 50.0]])
    expect_close(student.capped(scores), np.array([[0, 0, 0.4], [1, 1, 1]]), "the capped scores")


STATISTICS = ("capped mean", "above human", "mean", "median", *(f"{p}th percentile" for p in (40, 30, 20, 10, 5)))


def statistics(scores):
    """Return the statistics by sorting, in float64."""
    ordered = sorted(scores)

    def percentile(p):
        place = p / 100 * (len(ordered) - 1)
        low = math.floor(place)
        return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])

    values = [sum(min(max(score, 0), 1) for score in scores) / len(scores), 0, sum(scores) / len(scores)]
    values += [percentile(p) for p in (50, 40, 30, 20, 10, 5)]
    result = dict(zip(STATISTICS, [100 * value for value in values], strict=True))
    return result | {"above human": sum(score > 1 for score in scores)}


def check_statistics(student, scores):
    result = student.benchmark_statistics(torch.tensor(scores, dtype=torch.float64))
    expect(type(result) is dict, f"the statistics must be a dictionary, got {type(result).__name__}")
    missing = [name for name in STATISTICS if name not in result]
    expect(not missing, f"the statistics lack {missing and missing[0]!r}")
    for name, value in statistics(scores).items():
        expect_close(result[name], value, name, relative=1e-4)


@check("benchmark_statistics", points=2, stands_on=(capped,))
def check_statistics_follow_their_definitions(student, rng):
    """All nine numbers are those of the definitions, in percent except for the number of games."""
    for count in (57, 10, 3):
        check_statistics(student, np.exp(rng.normal(0.5, 1.5, count)).tolist())


@check("benchmark_statistics", stands_on=(capped,))
def check_statistics_of_special_scores(student, rng):
    """A score of exactly 1 does not exceed a human's, scores are capped before they are averaged, and scores may be negative."""
    check_statistics(student, [1.0, 1.0, 2.0, -0.5, 0.3])
    check_statistics(student, [100.0, 0.0])
    check_statistics(student, [0.7])


# A bandit whose arms change

ARMS, PULLS, SEGMENTS, NOISE, WINDOW, COEFFICIENT = 8, 500, 6, 0.3, 160, 0.3


def follows_the_best_arm(student: Student, seed: int) -> Attempt:
    """Let the bandit play eight arms whose means change places five times; the score is the share of the pulls that went to the best arm.

    Of each segment between two changes counts its second half. Whoever keeps to the arm that was the best gets a sixth.
    """
    rng = numpy_stream(seed, "bandit")
    bandit = student.create("SlidingWindowUCB", ARMS, WINDOW, COEFFICIENT, 0.0)
    shares, curve = [], []
    order = rng.permutation(ARMS)
    for segment in range(SEGMENTS):
        order = np.roll(order, 1 + int(rng.integers(ARMS - 1)))  # so that another arm is the best
        means, pulled = order / (ARMS - 1), []
        for uniform_number, random_arm, noise in zip(
            rng.random(PULLS), rng.integers(ARMS, size=PULLS), rng.normal(size=PULLS), strict=True
        ):
            arm = bandit.select(float(uniform_number), int(random_arm))
            expect(type(arm) is int and 0 <= arm < ARMS, f"select must return an arm from 0 to {ARMS - 1} as an int, got {arm!r}")
            pulled.append(arm)
            bandit.update(arm, float(means[arm] + NOISE * noise))
        best = np.array(pulled) == order.argmax()
        shares.append(float(best[PULLS // 2 :].mean()))
        curve += [(segment * PULLS + end, float(best[end - 100 : end].mean())) for end in range(100, PULLS + 1, 100)]
    return Attempt(float(np.mean(shares)), SEGMENTS * PULLS, tuple(curve))


TOPIC = Topic(
    name="agent57",
    title="Agent57: which policy to play",
    exercises=(
        "combined_q",
        "transformed_combined_q",
        "split_targets",
        "SlidingWindowUCB.select",
        "SlidingWindowUCB.update",
        "SlidingWindowUCB.best",
        "discounts",
        "human_normalized_score",
        "capped",
        "benchmark_statistics",
    ),
    checks=checks_of(__name__),
    trainings=(
        Training(
            "changing arms",
            f"The bandit finds the best of {ARMS} arms, and finds it anew whenever the arms change, every {PULLS} pulls.",
            3,
            follows_the_best_arm,
            f"{ARMS} arms, a window of {WINDOW} pulls",
            seconds=60.0,
            unreached=("SlidingWindowUCB.best",),
        ),
    ),
)
