"""The hidden checks of `retrace`."""

from functools import partial
from typing import Any

import numpy as np
import torch

from grader.contract.expect import elementwise, expect, expect_close, expect_error, normal, uniform
from grader.contract.spec import Attempt, Topic, Training, check, checks_of
from grader.contract.student import Student
from npfl139.seeding import numpy_stream
from npfl139.tabular import random_policy, random_process
from solutions.retrace import averaged, expected_value, off_policy_targets

GAMMA = 0.9


def signed_root(x):
    """Return a strictly increasing function that is concave for positive values."""
    return x.sign() * ((x.abs() + 1).sqrt() - 1)


def signed_square(x):
    """Return the inverse of `signed_root`."""
    return x.sign() * ((x.abs() + 1).square() - 1)


def trajectories(rng, length, count, ending=0.0):
    """Return reward, discount, same_episode, q, value_next, trace [T, B]; where episodes end, half of them are truncated.

    Traces lie on both sides of 1, and the first row's are far too large: nothing may depend on them.
    """
    reward, q, value_next = (2 * normal(rng, length, count) for _ in range(3))
    ended = uniform(rng, length, count) < ending
    ended[0, 0] |= ending > 0  # so that one row's ends are told from another's
    terminated = ended & (uniform(rng, length, count) < 0.5)
    trace = uniform(rng, length, count, low=0.2, high=1.4)
    trace[0] += 50
    return reward, GAMMA * (~terminated).float(), (~ended).float(), q, value_next, trace


def targets_by_definition(reward, discount, same_episode, q, value_next, trace):
    """Return the targets as a double sum over steps, in float64."""
    reward, discount, same_episode, q, value_next, trace = (
        array.double().numpy() for array in (reward, discount, same_episode, q, value_next, trace)
    )
    targets = q.copy()
    for start, column in np.ndindex(*reward.shape):
        weight = 1.0
        for step in range(start, len(reward)):
            if step > start:
                weight *= discount[step - 1, column] * same_episode[step - 1, column] * trace[step, column]
            targets[start, column] += weight * (reward[step, column] + discount[step, column] * value_next[step, column] - q[step, column])
    return targets


def probabilities(rng, *shape):
    """Return distributions over the last axis, float32, none of whose probabilities is tiny."""
    weights = rng.uniform(0.1, 1.0, size=shape)
    return torch.as_tensor(weights / weights.sum(-1, keepdims=True), dtype=torch.float32)


def process_and_policies(rng, states, actions, successors):
    """Return the arrays of a random process with some ends of episodes, a target policy and a behaviour policy, in float64."""
    process = random_process(rng, states, actions, successors, GAMMA, ending=0.2)
    return process, random_policy(rng, states, actions, 2.0), random_policy(rng, states, actions, 2.0)


def operator_by_series(q, process, policy, behaviour, trace, terms=400):
    """Return R q by adding up the terms of its series, one step of the process after the other."""
    transition, reward, discount = (array.numpy() for array in process)
    q, policy, behaviour, trace = (array.numpy() for array in (q, policy, behaviour, trace))
    states, actions = q.shape
    term = np.zeros_like(q)
    for state, action, successor in np.ndindex(states, actions, states):
        expected = sum(policy[successor, after] * q[successor, after] for after in range(actions))
        target = reward[state, action, successor] + discount[state, action, successor] * expected
        term[state, action] += transition[state, action, successor] * target
    term -= q
    result = q.copy()
    for _ in range(terms):
        result += term
        believed = (behaviour * trace * term).sum(1)
        term = (transition * discount * believed).sum(2)
    return result


@check("importance_trace")
def check_importance_is_the_ratio(student, rng):
    """The trace is the probability under the target policy divided by that under the behaviour policy."""
    for shape in ((7, 3), (5,), (2, 3, 4)):
        policy, behaviour = uniform(rng, *shape, low=0.5, high=0.9), uniform(rng, *shape, low=0.02, high=0.9)
        policy[0], behaviour[-1] = 0, 0.001  # nothing is cut, neither small traces nor traces of hundreds
        expect_close(student.importance_trace(policy, behaviour), policy.double() / behaviour.double(), "the traces")


@check("importance_trace")
def check_importance_corrects_expectations(student, rng):
    """Weighted by the traces, an expectation under the behaviour policy equals the one under the target policy."""
    policy, behaviour, value = probabilities(rng, 6, 4), probabilities(rng, 6, 4), normal(rng, 6, 4)
    trace = student.importance_trace(policy, behaviour)
    expect_close(trace, policy / behaviour, "the traces")
    expect_close((behaviour * torch.as_tensor(trace) * value).sum(-1), (policy * value).sum(-1), "the corrected expectation")


@check("tree_backup_trace")
def check_tree_backup_values(student, rng):
    """The trace is λ times the probability of the action under the target policy."""
    for shape, trace_lambda in (((7, 3), 0.9), ((5,), 0.5), ((2, 3, 4), 1.0)):
        policy = uniform(rng, *shape)
        expect_close(student.tree_backup_trace(policy, trace_lambda), trace_lambda * policy, "the traces")


@check("tree_backup_trace")
def check_tree_backup_limits(student, rng):
    """λ = 0 believes nothing; a deterministic policy's own actions are believed up to λ, all others not at all."""
    policy = torch.eye(4)
    expect_close(student.tree_backup_trace(policy, 0.0), torch.zeros(4, 4), "the traces for λ = 0")
    expect_close(student.tree_backup_trace(policy, 0.7), 0.7 * policy, "the traces of a deterministic policy")


@check("retrace_trace")
def check_retrace_values(student, rng):
    """The trace is λ times the ratio of the probabilities, or λ where the ratio exceeds 1."""
    for shape, trace_lambda in (((9, 5), 0.9), ((30,), 0.5), ((2, 5, 4), 1.0)):
        policy, behaviour = uniform(rng, *shape), uniform(rng, *shape, low=0.1)
        expected = np.zeros(shape)
        for index in np.ndindex(*shape):
            ratio = policy[index].item() / behaviour[index].item()
            expected[index] = trace_lambda * (ratio if ratio < 1 else 1)
        expect_close(student.retrace_trace(policy, behaviour, trace_lambda), expected, "the traces")


@check("retrace_trace")
def check_retrace_on_policy(student, rng):
    """Where both policies agree the traces are λ: nothing is cut that need not be."""
    policy = uniform(rng, 6, 3, low=0.05)
    for trace_lambda in (0.0, 0.6, 1.0):
        expect_close(student.retrace_trace(policy, policy.clone(), trace_lambda), torch.full((6, 3), trace_lambda), "the traces on-policy")


@check("retrace_trace")
def check_retrace_of_forbidden_actions(student, rng):
    """An action that the target policy never takes is not believed at all; one that it prefers, up to λ."""
    behaviour = uniform(rng, 8, low=0.1, high=0.5)
    expect_close(student.retrace_trace(torch.zeros(8), behaviour, 0.8), torch.zeros(8), "the traces of forbidden actions")
    expect_close(student.retrace_trace(torch.ones(8), behaviour, 0.8), torch.full((8,), 0.8), "the traces of preferred actions")


@check("expected_value")
def check_expectation_by_loops(student, rng):
    """The expectation weighs each action value by the policy's probability of the action."""
    for shape in ((5, 3), (4, 2, 6), (3,)):
        q, policy = normal(rng, *shape), probabilities(rng, *shape)
        expected = np.zeros(shape[:-1])
        for index in np.ndindex(*shape):
            expected[index[:-1]] += policy[index].item() * q[index].item()
        expect_close(student.expected_value(q, policy), expected, "the expectations")


@check("expected_value")
def check_expectation_of_deterministic_policies(student, rng):
    """A deterministic policy's expectation is the value of its action."""
    q, action = normal(rng, 6, 4), torch.as_tensor(rng.integers(4, size=6))
    policy = torch.nn.functional.one_hot(action, 4).float()
    expect_close(student.expected_value(q, policy), q[torch.arange(6), action], "the values")


@check("off_policy_targets")
def check_targets_within_one_episode(student, rng):
    """Each later correction is weighted by the discounts and the traces of the actions in between."""
    for length, count in ((5, 3), (1, 4), (8, 1), (13, 2)):
        arrays = trajectories(rng, length, count)
        expect_close(student.off_policy_targets(*arrays), targets_by_definition(*arrays), "the targets")


@check("off_policy_targets")
def check_targets_by_hand(student, rng):
    """On a trajectory of three steps the targets are the numbers that one gets on paper."""
    reward, q, value_next, trace = (torch.tensor([row]).T for row in ([1.0, 2.0, 4.0], [3.0, 5.0, 7.0], [6.0, 8.0, 10.0], [9.0, 0.5, 0.25]))
    arrays = reward, torch.full((3, 1), 0.5), torch.ones(3, 1), q, value_next, trace
    expect_close(student.off_policy_targets(*arrays), [[4 + 0.25 * (1 + 0.125 * 2)], [6 + 0.125 * 2], [9.0]], "the targets")


@check("off_policy_targets")
def check_targets_at_episode_ends(student, rng):
    """Nothing of the next episode reaches a target; a truncated episode bootstraps from its last state, a terminated one does not."""
    for length, count in ((9, 6), (14, 4), (4, 12)):
        arrays = trajectories(rng, length, count, ending=0.3)
        expect_close(student.off_policy_targets(*arrays), targets_by_definition(*arrays), "the targets")


@check("off_policy_targets")
def check_targets_of_full_and_no_trust(student, rng):
    """With traces of 0 each target looks one step ahead; with traces of 1 and values that agree, it is the return."""
    reward, discount, same_episode, q, value_next, trace = trajectories(rng, 7, 3)
    actual = student.off_policy_targets(reward, discount, same_episode, q, value_next, torch.zeros(7, 3))
    expect_close(actual, reward + discount * value_next, "the targets for traces of 0")
    value_next[:-1] = q[1:]  # as where the policy is deterministic, and took the actions itself
    running = value_next[-1].double()
    returns = torch.zeros(7, 3, dtype=torch.float64)
    for row in reversed(range(7)):
        returns[row] = running = reward[row] + GAMMA * running
    actual = student.off_policy_targets(reward, discount, same_episode, q, value_next, torch.ones(7, 3))
    expect_close(actual, returns, "the targets for traces of 1")


@check("off_policy_targets")
def check_targets_refuse_other_shapes(student, rng):
    """Arguments of different shapes raise a ValueError, and those of one shape none."""
    student.off_policy_targets(*trajectories(rng, 5, 2))
    names = ("rewards", "discounts", "same_episode", "values q", "values of the successors", "traces")
    for odd, name in enumerate(names):
        arrays = trajectories(rng, 5, 2)
        for wrong in (arrays[odd][:1], arrays[odd][:, :1]):  # both would broadcast
            call = partial(student.off_policy_targets, *arrays[:odd], wrong, *arrays[odd + 1 :])
            expect_error(call, "ValueError", f"{name} of a wrong shape")


@check("transformed_off_policy_targets", stands_on=(expected_value, off_policy_targets))
def check_transformed_targets_by_loops(student, rng):
    """The targets are h of the targets of the untransformed values, the expectation being that of untransformed values, too."""
    for length, count, actions in ((6, 3, 4), (9, 2, 2), (1, 3, 5)):
        reward, discount, same_episode, q, _, trace = trajectories(rng, length, count, ending=0.2)
        q_next, policy_next = 2 * normal(rng, length, count, actions), probabilities(rng, length, count, actions)
        value_next = (policy_next * signed_square(q_next)).sum(-1)
        expected = signed_root(torch.as_tensor(targets_by_definition(reward, discount, same_episode, signed_square(q), value_next, trace)))
        pair = elementwise(signed_root), elementwise(signed_square)
        actual = student.transformed_off_policy_targets(reward, discount, same_episode, q, q_next, policy_next, trace, *pair)
        expect_close(actual, expected, "the targets")


@check("transformed_off_policy_targets", stands_on=(expected_value, off_policy_targets))
def check_transformed_targets_without_transformation(student, rng):
    """With the identity, or another linear function, for h the targets are those of `off_policy_targets`, scaled."""
    reward, discount, same_episode, q, _, trace = trajectories(rng, 7, 2, ending=0.2)
    q_next, policy_next = normal(rng, 7, 2, 3), probabilities(rng, 7, 2, 3)
    expected = targets_by_definition(reward, discount, same_episode, q, (policy_next * q_next).sum(-1), trace)
    for alpha in (1.0, 0.25):
        pair = elementwise(lambda x, alpha=alpha: alpha * x), elementwise(lambda x, alpha=alpha: x / alpha)
        scaled = alpha * q, alpha * q_next
        actual = student.transformed_off_policy_targets(reward, discount, same_episode, *scaled, policy_next, trace, *pair)
        expect_close(actual, alpha * expected, "the targets")


@check("retrace_operator")
def check_operator_by_its_series(student, rng):
    """R q is q plus the sum of the expected corrections of all later steps, whatever the traces."""
    for states, actions, successors in ((4, 3, 2), (5, 2, 5), (1, 3, 1)):
        process, policy, behaviour = process_and_policies(rng, states, actions, successors)
        q = 3 * normal(rng, states, actions, dtype=torch.float64)
        for trace in (0.8 * (policy / behaviour).clamp(max=1), 0.7 * policy, uniform(rng, states, actions, high=0.9, dtype=torch.float64)):
            actual = student.retrace_operator(q, *process, policy, behaviour, trace)
            expect_close(actual, operator_by_series(q, process, policy, behaviour, trace), "R q")


@check("retrace_operator")
def check_operator_leaves_the_action_values(student, rng):
    """The action values of the target policy are its only fixed point, whatever the traces and the behaviour policy."""
    process, policy, behaviour = process_and_policies(rng, 6, 3, 3)
    q = process.action_values(policy)
    for trace in (torch.zeros_like(q), 0.9 * (policy / behaviour).clamp(max=1), policy / behaviour):
        expect_close(student.retrace_operator(q, *process, policy, behaviour, trace), q, "R q_π")
        more = operator_by_series(q + 1, process, policy, behaviour, trace)
        expect_close(student.retrace_operator(q + 1, *process, policy, behaviour, trace), more, "R (q_π + 1)")


@check("retrace_operator")
def check_operator_with_importance_sampling(student, rng):
    """With the traces of importance sampling one application gives the action values; with traces of 0 it looks one step ahead."""
    process, policy, behaviour = process_and_policies(rng, 5, 3, 2)
    q = 3 * normal(rng, 5, 3, dtype=torch.float64)
    expect_close(student.retrace_operator(q, *process, policy, behaviour, policy / behaviour), process.action_values(policy), "R q")
    one_step = operator_by_series(q, process, policy, behaviour, torch.zeros_like(q), terms=1)
    expect_close(student.retrace_operator(q, *process, policy, behaviour, torch.zeros_like(q)), one_step, "R q for traces of 0")


ITERATIONS, LENGTH, COUNT, STATES, ACTIONS, CURVE_EVERY = 300, 30, 64, 12, 3, 10


def evaluates_off_policy(student: Student, seed: int) -> Attempt:
    """Estimate q_π from trajectories of a very different policy; the score is 1 minus the relative error of the estimate, at least 0.

    The process, the trajectories and the table of estimates are the grader's; the submission computes traces,
    expectations and targets. The error is the root mean square, relative to that of q_π itself.
    """
    rng = numpy_stream(seed, "process")
    process = random_process(rng, STATES, ACTIONS, successors=4, gamma=GAMMA, ending=0.1)
    policy, behaviour = (0.8 * random_policy(rng, STATES, ACTIONS, 0.3) + 0.2 / ACTIONS for _ in range(2))
    exact = process.action_values(policy)
    q, curve, rng = torch.zeros_like(exact), [], numpy_stream(seed, "trajectories")
    for iteration in range(ITERATIONS):
        steps = process.rollout(behaviour, LENGTH, COUNT, rng)
        taken, successors = (steps.state, steps.action), steps.next_state
        trace = answered(student.retrace_trace(policy[taken], behaviour[taken], 1.0), "the traces")
        value_next = answered(student.expected_value(q[successors], policy[successors]), "the expectations")
        common = steps.reward, steps.discount, steps.same_episode
        targets = answered(student.off_policy_targets(*common, q[taken], value_next, trace), "the targets")
        q = averaged(targets, *taken, q, step_size=(1 + iteration) ** -0.5)
        error = ((q - exact).square().mean() / exact.square().mean()).sqrt().item()
        score = max(0.0, 1 - error) if np.isfinite(error) else 0.0
        if (iteration + 1) % CURVE_EVERY == 0:
            curve.append(((iteration + 1) * LENGTH * COUNT, score))
        if not torch.isfinite(q).all():
            break
    return Attempt(score, (iteration + 1) * LENGTH * COUNT, tuple(curve))


def answered(value: Any, what: str) -> torch.Tensor:
    """Return what a submission answered as a float64 tensor [T, B]; its values may be wrong, even infinite."""
    expect(type(value) in (torch.Tensor, np.ndarray), f"{what} must be a tensor, got {type(value).__name__}")
    expect(tuple(value.shape) == (LENGTH, COUNT), f"{what} must have shape {[LENGTH, COUNT]}, got {list(value.shape)}")
    return torch.as_tensor(value).double()


TOPIC = Topic(
    name="retrace",
    title="Retrace",
    exercises=(
        "importance_trace",
        "tree_backup_trace",
        "retrace_trace",
        "expected_value",
        "off_policy_targets",
        "transformed_off_policy_targets",
        "retrace_operator",
    ),
    checks=checks_of(__name__),
    trainings=(
        Training(
            "off-policy evaluation",
            "From trajectories of a very different policy the action values of the target policy are found, and the estimates stay stable.",
            3,
            evaluates_off_policy,
            "a random process with 12 states",
        ),
    ),
)
