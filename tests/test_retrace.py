"""What the off-policy operators promise: their fixed points, their contraction, and targets that are samples of them."""

import numpy as np
import pytest
import torch

from npfl139.seeding import numpy_stream
from npfl139.tabular import random_policy, random_process
from solutions.retrace import (
    TRACES,
    averaged,
    evaluate_off_policy,
    expected_value,
    importance_trace,
    off_policy_targets,
    retrace_operator,
    retrace_trace,
    transformed_off_policy_targets,
    tree_backup_trace,
)

SEEDS = range(5)


def problem(seed, states=6, actions=3, gamma=0.9):
    rng = np.random.default_rng(seed)
    process = random_process(rng, states, actions, 3, gamma, ending=0.1)
    return process, random_policy(rng, states, actions), random_policy(rng, states, actions), rng


def traces(policy, behaviour, trace_lambda):
    return {name: make(policy, behaviour, trace_lambda) for name, make in TRACES.items()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("trace_lambda", [0.0, 0.7, 1.0])
def test_every_trace_up_to_the_ratio_contracts_towards_the_action_values(seed, trace_lambda):
    process, policy, behaviour, rng = problem(seed)
    exact = process.action_values(policy)
    for name, trace in traces(policy, behaviour, trace_lambda).items():
        torch.testing.assert_close(retrace_operator(exact, *process, policy, behaviour, trace), exact, msg=name)
        for scale in (1.0, 100.0):
            q = exact + scale * torch.as_tensor(rng.normal(size=exact.shape))
            error = (retrace_operator(q, *process, policy, behaviour, trace) - exact).abs().max()
            assert error <= process.discount.max() * (q - exact).abs().max() + 1e-9, name


@pytest.mark.parametrize("seed", SEEDS)
def test_longer_traces_contract_faster(seed):
    process, policy, behaviour, rng = problem(seed)
    exact = process.action_values(policy)
    q = exact + torch.ones_like(exact)  # an error of one sign is not hidden by averaging
    errors = [
        (retrace_operator(q, *process, policy, behaviour, retrace_trace(policy, behaviour, trace_lambda)) - exact).abs().max().item()
        for trace_lambda in (0.0, 0.5, 0.9, 1.0)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0]


def test_traces_above_the_ratio_keep_the_fixed_point_but_may_expand():
    # One state; the behaviour takes action 0, the target policy action 1. Fully believed, each step of the behaviour adds its correction.
    transition = torch.ones(1, 2, 1, dtype=torch.float64)
    reward, discount = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64), torch.full((1, 2, 1), 0.9, dtype=torch.float64)
    policy, behaviour = torch.tensor([[0.0, 1.0]], dtype=torch.float64), torch.tensor([[0.99, 0.01]], dtype=torch.float64)
    exact, trusting = torch.tensor([[9.0, 10.0]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    torch.testing.assert_close(retrace_operator(exact, transition, reward, discount, policy, behaviour, trusting), exact)
    error = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    applied = retrace_operator(exact + error, transition, reward, discount, policy, behaviour, trusting) - exact
    assert applied.abs().max() > 5
    careful = retrace_trace(policy, behaviour, 1.0)
    applied = retrace_operator(exact + error, transition, reward, discount, policy, behaviour, careful) - exact
    assert applied.abs().max() <= 0.9


@pytest.mark.parametrize("name", TRACES)
def test_targets_are_samples_of_the_operator(name):
    process, policy, behaviour, rng = problem(1, states=3, actions=2, gamma=0.6)
    policy, behaviour = 0.5 * policy + 0.25, 0.5 * behaviour + 0.25
    q = torch.as_tensor(rng.normal(size=policy.shape))
    trace = traces(policy, behaviour, 0.9)[name]
    steps = process.rollout(behaviour, 20, 10_000, rng)
    targets = off_policy_targets(
        steps.reward,
        steps.discount,
        steps.same_episode,
        q[steps.state, steps.action],
        expected_value(q[steps.next_state], policy[steps.next_state]),
        trace[steps.state, steps.action],
    )[:1]
    first = steps.state[:1], steps.action[:1]
    expected = retrace_operator(q, *process, policy, behaviour, trace)
    for state, action in np.ndindex(3, 2):
        sample = targets[(first[0] == state) & (first[1] == action)]
        standard_error = sample.std() / len(sample) ** 0.5
        # 5 standard errors; what lies beyond 20 steps is below 0.6²⁰ = 4e-5 times the corrections.
        assert abs(sample.mean() - expected[state, action]) < 5 * standard_error + 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 2), (16, 4), (33, 1)])
def test_doubling_equals_the_recursion(shape):
    generator = torch.Generator().manual_seed(0)
    reward, q, value_next = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    discount, trace = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    same_episode = (torch.rand(shape, generator=generator) < 0.8).double()
    running, expected = torch.zeros(shape[1]), torch.zeros(shape, dtype=torch.float64)
    for t in reversed(range(shape[0])):
        decay = discount[t] * same_episode[t] * trace[t + 1] if t + 1 < shape[0] else 0.0
        running = reward[t] + discount[t] * value_next[t] - q[t] + decay * running
        expected[t] = q[t] + running
    torch.testing.assert_close(off_policy_targets(reward, discount, same_episode, q, value_next, trace), expected)


def test_arguments_stay_unchanged():
    generator = torch.Generator().manual_seed(0)
    arrays = [torch.rand(5, 2, generator=generator) for _ in range(6)]
    copies = [array.clone() for array in arrays]
    off_policy_targets(*arrays)
    assert all(map(torch.equal, arrays, copies))


@pytest.mark.parametrize("position", range(1, 6))
def test_targets_refuse_other_shapes(position):
    arrays = [torch.ones(4, 2) for _ in range(6)]
    arrays[position] = torch.ones(4)
    with pytest.raises(ValueError, match=r"must have shape \[4, 2\], got \[4\]"):
        off_policy_targets(*arrays)


def test_transformed_targets_of_a_deterministic_process_are_h_of_the_targets():
    process, policy, behaviour, rng = problem(2)
    q = torch.as_tensor(rng.normal(size=policy.shape)).abs()
    steps = process.rollout(behaviour, 9, 5, rng)
    trace = retrace_trace(policy, behaviour, 0.9)[steps.state, steps.action]
    common = steps.reward.abs(), steps.discount, steps.same_episode
    value_next = expected_value(q[steps.next_state], policy[steps.next_state])
    plain = off_policy_targets(*common, q[steps.state, steps.action], value_next, trace)
    root, square = (lambda x: x.sign() * x.abs().sqrt()), (lambda x: x * x.abs())
    transformed = transformed_off_policy_targets(
        *common, root(q)[steps.state, steps.action], root(q)[steps.next_state], policy[steps.next_state], trace, root, square
    )
    torch.testing.assert_close(square(transformed), plain)


def test_traces_of_the_three_kinds():
    policy, behaviour = torch.tensor([0.9, 0.3, 0.0]), torch.tensor([0.3, 0.6, 0.1])
    torch.testing.assert_close(importance_trace(policy, behaviour), torch.tensor([3.0, 0.5, 0.0]))
    torch.testing.assert_close(tree_backup_trace(policy, 0.5), torch.tensor([0.45, 0.15, 0.0]))
    torch.testing.assert_close(retrace_trace(policy, behaviour, 0.5), torch.tensor([0.5, 0.25, 0.0]))


def test_a_step_towards_the_mean_of_the_targets():
    state, action = torch.tensor([[0], [0], [1]]), torch.tensor([[1], [1], [0]])
    q = averaged(torch.tensor([[2.0], [4.0], [10.0]]), state, action, torch.zeros(2, 2), step_size=0.5)
    torch.testing.assert_close(q, torch.tensor([[0.0, 1.5], [5.0, 0.0]]))


def test_retrace_is_stable_where_importance_sampling_explodes_now_and_then():
    process = random_process(numpy_stream(3, "test"), 4, 3, 3)
    policy, behaviour = (torch.tensor([row], dtype=torch.float64).expand(4, 3) for row in ([0.05, 0.05, 0.9], [0.8, 0.1, 0.1]))
    exact = process.action_values(policy)
    worst = {}
    for name, trace in traces(policy, behaviour, 1.0).items():
        estimates = evaluate_off_policy(process, policy, behaviour, trace, iterations=40, seed=2, length=20, count=32)
        worst[name] = max((estimate - exact).abs().max().item() for estimate in estimates[5:])
    size = exact.abs().max().item()
    assert worst["retrace"] < size < 3 * size < worst["importance sampling"]
