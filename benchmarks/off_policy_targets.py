"""Retrace targets for [T, B, A] = [80, 64, 18] from action values, actions and policies: ours, a plain double loop, rlax.

    python benchmarks/off_policy_targets.py

Times are medians of CPU seconds per call on one thread, all three on the same inputs in the same run; beside them stands the largest
difference of the targets, which must stay below 1e-5. rlax is measured where it and jax are installed (pip install jax rlax),
compiled by jax.jit, and vectorized over the batch by jax.vmap; its compilation is not counted.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from npfl139.seeding import torch_stream
from solutions.retrace import expected_value, off_policy_targets, retrace_trace

LENGTH, COUNT, ACTIONS, GAMMA, TRACE_LAMBDA = 80, 64, 18, 0.997, 0.95
AGREEMENT = 1e-5  # of float32 targets of order one


def inputs(seed: int) -> dict[str, torch.Tensor]:
    """Return T + 1 rows of action values and policies of one long episode per column, with some terminations."""
    generator = torch_stream(seed, "inputs")
    policy = torch.softmax(2 * torch.randn(LENGTH + 1, COUNT, ACTIONS, generator=generator), dim=-1)
    return {
        "q": torch.randn(LENGTH + 1, COUNT, ACTIONS, generator=generator),
        "policy": policy,
        "action": torch.randint(ACTIONS, (LENGTH + 1, COUNT), generator=generator),
        "behaviour": 0.05 + 0.5 * torch.rand(LENGTH + 1, COUNT, generator=generator),
        "reward": torch.randn(LENGTH, COUNT, generator=generator),
        "discount": GAMMA * (torch.rand(LENGTH, COUNT, generator=generator) > 0.02).float(),
    }


def ours(q, policy, action, behaviour, reward, discount):
    q_taken, policy_taken = (array[:-1].gather(-1, action[:-1, :, None]).squeeze(-1) for array in (q, policy))
    trace = retrace_trace(policy_taken, behaviour[:-1], TRACE_LAMBDA)
    return off_policy_targets(reward, discount, (discount > 0).float(), q_taken, expected_value(q[1:], policy[1:]), trace)


def double_loop(q, policy, action, behaviour, reward, discount):
    """Return the same targets by plain Python, backwards in time, one column after the other."""
    q, policy, action, behaviour, reward, discount = (array.tolist() for array in (q, policy, action, behaviour, reward, discount))
    targets = [[0.0] * COUNT for _ in range(LENGTH)]
    for column in range(COUNT):
        following = 0.0
        for row in reversed(range(LENGTH)):
            expected = sum(p * value for p, value in zip(policy[row + 1][column], q[row + 1][column], strict=True))
            targets[row][column] = reward[row][column] + discount[row][column] * (expected + following)
            taken = action[row][column]
            trace = TRACE_LAMBDA * min(1.0, policy[row][column][taken] / behaviour[row][column])
            following = trace * (targets[row][column] - q[row][column][taken])
    return torch.tensor(targets)


def rlax_targets(arrays: dict[str, torch.Tensor]) -> Callable:
    """Return a function without arguments that computes rlax's targets, compiled, from arrays that are JAX's already.

    Raises:
        ImportError: jax or rlax is not installed.
    """
    import jax
    import jax.numpy as jnp
    import rlax

    def of_column(q, policy, action, behaviour, reward, discount):
        policy_taken = jnp.take_along_axis(policy, action[:, None], axis=-1)[:, 0]
        trace = TRACE_LAMBDA * jnp.minimum(1.0, policy_taken / behaviour)
        return rlax.general_off_policy_returns_from_action_values(q[1:], action[1:], reward, discount, trace[1:], policy[1:])

    compiled = jax.jit(jax.vmap(of_column, in_axes=1, out_axes=1))
    in_order = [jax.device_put(arrays[name].numpy()) for name in ("q", "policy", "action", "behaviour", "reward", "discount")]
    return lambda: compiled(*in_order).block_until_ready()


def seconds_per_call(function: Callable, calls: int) -> float:
    """Return the median CPU time of a call, after a first one that does not count."""
    function()
    times = []
    for _ in range(calls):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    torch.set_num_threads(1)
    arrays = inputs(seed=0)
    expected = ours(**arrays)
    contenders = {"ours": (lambda: ours(**arrays), 200), "double loop": (lambda: double_loop(**arrays), 5)}
    try:
        contenders["rlax (jit)"] = rlax_targets(arrays), 200
    except ImportError as error:
        print(f"rlax is not measured: {error}")
    baseline = None
    for name, (function, calls) in contenders.items():
        difference = np.abs(np.asarray(function()) - expected.numpy()).max()
        agrees = "agrees" if difference <= AGREEMENT else "DIFFERS"
        seconds = seconds_per_call(function, calls)
        baseline = baseline or seconds  # ours comes first
        print(f"{name:12} {1e3 * seconds:9.3f} ms   {seconds / baseline:7.1f} × ours   {agrees}, by at most {difference:.1e}")


if __name__ == "__main__":
    main()
