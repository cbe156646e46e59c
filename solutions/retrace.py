# %% [markdown]
# # Retrace
#
# A replay buffer holds what *other* policies did. How can a long return, collected by one policy, correct the action values of
# another? All answers in this assignment have one form. They differ in a single number per step, the *trace*: how much of what
# happened after an action is believed.

# %%
from collections.abc import Callable

import torch

from npfl139.film import Scene
from npfl139.seeding import numpy_stream
from npfl139.shapes import expect_shape
from npfl139.tabular import MarkovDecisionProcess, random_policy, random_process

Tensor = torch.Tensor
Elementwise = Callable[[Tensor], Tensor]  # a real function, applied to every element of a tensor


# %% [markdown]
# ## Traces
#
# The policy that is learnt about is π, the *target* policy; the policy that acted is b, the *behaviour* policy. The three functions work
# elementwise: on the probabilities of the actions taken, [T, B], and on whole tables of probabilities, [S, A].


# %%
def importance_trace(policy: Tensor, behaviour: Tensor) -> Tensor:
    """Return the traces of importance sampling [retrace:importance].

        c = ρ = π(A|S) / b(A|S)

    They make the expectation exact, however different the policies are, but their products have an enormous variance.

    Args:
        policy: [...] π(A|S).
        behaviour: [...] b(A|S) > 0.

    Returns:
        [...] c.

    Source: Munos et al. (2016), arXiv:1606.02647, Section 2.

    >>> importance_trace(torch.tensor([0.5, 0.0, 0.2]), torch.tensor([0.25, 1.0, 0.4]))
    tensor([2.0000, 0.0000, 0.5000])
    """
    return policy / behaviour


def tree_backup_trace(policy: Tensor, trace_lambda: float) -> Tensor:
    """Return the traces of Tree backup [retrace:tree-backup].

        c = λ π(A|S)

    They are safe whatever b is, which they need not even know; but even where b = π they are below 1, so that they
    forget quickly.

    Args:
        policy: [...] π(A|S).
        trace_lambda: λ in [0, 1].

    Returns:
        [...] c.

    Source: Munos et al. (2016), arXiv:1606.02647, Section 2; Precup et al. (2000).

    >>> tree_backup_trace(torch.tensor([0.5, 0.0, 1.0]), 0.5)
    tensor([0.2500, 0.0000, 0.5000])
    """
    return trace_lambda * policy


def retrace_trace(policy: Tensor, behaviour: Tensor, trace_lambda: float) -> Tensor:
    """Return the traces of Retrace(λ) [retrace:trace].

        c = λ min(1, π(A|S) / b(A|S))

    No product of them exceeds 1, and where b = π they are λ.

    Args:
        policy: [...] π(A|S).
        behaviour: [...] b(A|S) > 0.
        trace_lambda: λ in [0, 1].

    Returns:
        [...] c.

    Source: Munos et al. (2016), arXiv:1606.02647, Section 2.

    >>> retrace_trace(torch.tensor([0.5, 0.0, 0.2]), torch.tensor([0.25, 1.0, 0.4]), 0.8)
    tensor([0.8000, 0.0000, 0.4000])
    """
    return trace_lambda * (policy / behaviour).clamp(max=1)


# %% [markdown]
# ## Targets from trajectories


# %%
def expected_value(q: Tensor, policy: Tensor) -> Tensor:
    """Return the expectation of action values under a policy [retrace:expectation].

        E_{A∼π} q(S, A) = Σ_a π(a|S) q(S, a)

    Args:
        q: [..., A] action values.
        policy: [..., A] π(a|S); sums to 1 over the last axis.

    Returns:
        [...] the expectations.

    >>> expected_value(torch.tensor([[8.0, 4.0, -1.0]]), torch.tensor([[0.25, 0.75, 0.0]]))
    tensor([5.])
    """
    return (policy * q).sum(dim=-1)


def off_policy_targets(reward: Tensor, discount: Tensor, same_episode: Tensor, q: Tensor, value_next: Tensor, trace: Tensor) -> Tensor:
    """Return the off-policy corrected targets for each step of a rollout [retrace:targets].

        y_t = q_t + Σ_{s=t}^{T-1} (Π_{j=t+1}^{s} γ_{j-1} e_{j-1} c_j) δ_s
        δ_s = R_s + γ_s v_{s+1} - q_s

    where e is `same_episode`, and v_{s+1} is `value_next[s]`. The empty product, at s = t, is 1: the action A_t is what y_t is the
    value of, so there is nothing to correct about it, and its own trace c_t does not occur in y_t. c_0 is never used.

    Args:
        reward: [T, B] R_t.
        discount: [T, B] γ_t, or 0 where step t terminated its episode.
        same_episode: [T, B] e_t, 1 where row t + 1 continues the episode of row t, 0 where it belongs to another.
        q: [T, B] q(S_t, A_t) of the action taken.
        value_next: [T, B] E_{A∼π} q(S_{t+1}, A) of the true successor of step t, also where the episode was truncated there.
        trace: [T, B] c_t of the action A_t.

    Returns:
        [T, B] the targets y_t for q(S_t, A_t).

    Raises:
        ValueError: the shapes differ.

    Source: Munos et al. (2016), arXiv:1606.02647, Equation 3.

    >>> one = torch.ones(3, 1)
    >>> q, value_next = torch.tensor([[4.0], [2.0], [6.0]]), torch.tensor([[2.0], [6.0], [8.0]])
    >>> trace = torch.tensor([[100.0], [0.5], [0.5]])
    >>> off_policy_targets(one, 0.5 * one, one, q, value_next, trace).T  # δ = -2, 2, -1
    tensor([[2.4375, 3.7500, 5.0000]])
    >>> off_policy_targets(one, 0.5 * one, 0 * one, q, value_next, trace).T  # every row is an episode of its own
    tensor([[2., 4., 5.]])
    """
    for name, tensor in (("discount", discount), ("same_episode", same_episode), ("q", q), ("value_next", value_next), ("trace", trace)):
        expect_shape(name, tensor, *reward.shape)
    correction = reward + discount * value_next - q
    decay = discount[:-1] * same_episode[:-1] * trace[1:]
    # Row t holds the sum of `reach` terms, and `decay` what the next `reach` terms are multiplied by: each round doubles the reach.
    reach = 1
    while reach < len(reward):
        correction = torch.cat([correction[:-reach] + decay * correction[reach:], correction[-reach:]])
        decay = decay[:-reach] * decay[reach:]
        reach *= 2
    return q + correction


def transformed_off_policy_targets(
    reward: Tensor,
    discount: Tensor,
    same_episode: Tensor,
    q: Tensor,
    q_next: Tensor,
    policy_next: Tensor,
    trace: Tensor,
    transform: Elementwise,
    inverse: Elementwise,
) -> Tensor:
    """Return the off-policy corrected targets of *transformed* action values [retrace:transformed].

        y_t = h(y'_t)

    where y' are the targets [retrace:targets] computed from the untransformed values: h⁻¹(q(S_t, A_t)), and the expectation under π
    of h⁻¹(q(S_{t+1}, ·)). Expectations, like rewards, belong to the scale of the returns.

    Args:
        reward, discount, same_episode, trace: [T, B] as for `off_policy_targets`.
        q: [T, B] transformed q(S_t, A_t) of the action taken.
        q_next: [T, B, A] transformed q(S_{t+1}, ·) of the true successors.
        policy_next: [T, B, A] π(·|S_{t+1}).
        transform: h, applied elementwise.
        inverse: h⁻¹, applied elementwise.

    Returns:
        [T, B] the targets for the transformed q(S_t, A_t).

    Source: Badia et al. (2020), arXiv:2002.06038, Appendix E.

    >>> one = torch.ones(2, 1)
    >>> q, q_next = torch.tensor([[2.0], [3.0]]), torch.tensor([[[1.0, 3.0]], [[2.0, 4.0]]])
    >>> policy_next = torch.full([2, 1, 2], 0.5)
    >>> transformed_off_policy_targets(one, one, one, q, q_next, policy_next, one, torch.sqrt, torch.square).square().T
    tensor([[ 8.0000, 11.0000]])
    """
    value_next = expected_value(inverse(q_next), policy_next)
    return transform(off_policy_targets(reward, discount, same_episode, inverse(q), value_next, trace))


# %% [markdown]
# ## The exact operator


# %%
def retrace_operator(
    q: Tensor, transition: Tensor, reward: Tensor, discount: Tensor, policy: Tensor, behaviour: Tensor, trace: Tensor
) -> Tensor:
    """Return R q, the expectation of the targets over infinitely long trajectories of the behaviour policy [retrace:operator].

        (R q)(s, a) = q(s, a) + E_b [Σ_{t≥0} γ^t (Π_{j=1}^{t} c_j) (R_t + γ E_{A∼π} q(S_{t+1}, A) - q(S_t, A_t)) | S_0 = s, A_0 = a]

    Sum the series in closed form. With the matrix over pairs of states and actions, of which one step multiplies the terms to come,

        M[(s, a), (s', a')] = p(s'|s, a) γ(s, a, s') b(a'|s') c(a'|s'),

    the expectation is Σ_t M^t δ, where δ(s, a) is the expected correction of one step. The unique fixed point is q_π whenever 0 ≤ c ≤ π/b.

    Args:
        q: [S, A] action values.
        transition: [S, A, S] p(s'|s, a).
        reward: [S, A, S] r(s, a, s').
        discount: [S, A, S] γ, or 0 where the transition ends the episode.
        policy: [S, A] π(a|s).
        behaviour: [S, A] b(a|s) > 0.
        trace: [S, A] c(a|s).

    Returns:
        [S, A] the corrected action values.

    Source: Munos et al. (2016), arXiv:1606.02647, Equation 3 and Lemma 1.

    >>> transition, half = torch.ones(1, 2, 1), torch.full([1, 2], 0.5)  # one state, two actions
    >>> reward, discount = torch.tensor([[[1.0], [3.0]]]), torch.full([1, 2, 1], 0.5)
    >>> always_first = torch.tensor([[1.0, 0.0]])  # q_π = 2, 4
    >>> retrace_operator(torch.zeros(1, 2), transition, reward, discount, always_first, half, 0 * half)  # c = 0: one step
    tensor([[1., 3.]])
    >>> retrace_operator(torch.zeros(1, 2), transition, reward, discount, always_first, half, always_first / half)
    tensor([[2., 4.]])
    """
    expected_next = (policy * q).sum(dim=-1)
    correction = (transition * (reward + discount * expected_next)).sum(dim=-1) - q
    onwards = (transition * discount)[..., None] * (behaviour * trace)
    size = q.numel()
    matrix = torch.eye(size, dtype=q.dtype, device=q.device) - onwards.reshape(size, size)
    return q + torch.linalg.solve(matrix, correction.flatten()).view_as(q)


# %% [markdown]
# ## Evaluating a policy from another policy's trajectories

# %%
TRACES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "importance sampling": lambda policy, behaviour, trace_lambda: importance_trace(policy, behaviour),
    "tree backup": lambda policy, behaviour, trace_lambda: tree_backup_trace(policy, trace_lambda),
    "retrace": retrace_trace,
    "one step": lambda policy, behaviour, trace_lambda: torch.zeros_like(policy),
}


def averaged(targets: Tensor, state: Tensor, action: Tensor, q: Tensor, step_size: float) -> Tensor:
    """Return q [S, A] after a step towards the mean of the targets [T, B] of each pair of a state and an action that occurred."""
    flat_index = (state * q.shape[1] + action).flatten()
    count = torch.zeros(q.numel(), dtype=q.dtype).index_add_(0, flat_index, torch.ones_like(targets).flatten())
    total = torch.zeros(q.numel(), dtype=q.dtype).index_add_(0, flat_index, targets.flatten())
    mean = torch.where(count > 0, total / count.clamp(min=1), q.flatten())
    return q + step_size * (mean.view_as(q) - q)


def evaluate_off_policy(
    process: MarkovDecisionProcess,
    policy: Tensor,
    behaviour: Tensor,
    trace: Tensor,
    iterations: int,
    seed: int,
    length: int = 30,
    count: int = 64,
) -> list[Tensor]:
    """Return the estimates of q_π [S, A] after each iteration, learnt from fresh trajectories of the behaviour policy.

    Args:
        trace: [S, A] c(a|s).
        iterations: how often `count` trajectories of `length` steps are drawn, and the estimate improved.
        seed: of the trajectories.
    """
    rng, q, estimates = numpy_stream(seed, "trajectories"), torch.zeros_like(policy), []
    for iteration in range(iterations):
        steps = process.rollout(behaviour, length, count, rng)
        targets = off_policy_targets(
            steps.reward,
            steps.discount,
            steps.same_episode,
            q[steps.state, steps.action],
            expected_value(q[steps.next_state], policy[steps.next_state]),
            trace[steps.state, steps.action],
        )
        q = averaged(targets, steps.state, steps.action, q, step_size=(1 + iteration) ** -0.5)
        estimates.append(q)
    return estimates


def compare(seed: int, trace_lambda: float, iterations: int) -> dict[str, float]:
    """Return the root mean square error of the final estimate with each kind of trace, for policies far from each other."""
    rng = numpy_stream(seed, "process")
    process = random_process(rng, states=12, actions=3, successors=4)
    policy, behaviour = random_policy(rng, 12, 3, concentration=0.3), random_policy(rng, 12, 3, concentration=0.3)
    exact = process.action_values(policy)
    errors = {}
    for name, make in TRACES.items():
        estimate = evaluate_off_policy(process, policy, behaviour, make(policy, behaviour, trace_lambda), iterations, seed)[-1]
        errors[name] = (estimate - exact).square().mean().sqrt().item()
    return errors


# %% [markdown]
# ## To watch: npfl139 demo retrace


# %%
def demonstration() -> Scene:
    """Yield pictures of how much of what happened after an action is believed, and of what is learnt with it."""
    from matplotlib.figure import Figure

    iterations, length, rng = 30, 30, numpy_stream(42, "process")
    process = random_process(rng, states=12, actions=3, successors=4)
    policy, behaviour = random_policy(rng, 12, 3, concentration=0.3), random_policy(rng, 12, 3, concentration=0.3)
    steps, exact = process.rollout(behaviour, length, 64, rng), process.action_values(policy)
    figure = Figure(figsize=(7.2, 4.05))
    left, right = figure.subplots(1, 2)
    left.set(xlim=(0, length), ylim=(-4, 1), xlabel="steps later", title="log₁₀ of the traces' product")
    right.set(xlim=(0, iterations), ylim=(0, 3), xlabel="iterations", title="error of the estimates")
    curves = {}
    for name, make in TRACES.items():
        trace = make(policy, behaviour, 1.0)
        estimates = evaluate_off_policy(process, policy, behaviour, trace, iterations, seed=42)
        product = trace[steps.state, steps.action].cumprod(dim=0).quantile(0.9, dim=1)
        error = [(estimate - exact).square().mean().sqrt().item() for estimate in estimates]
        curves[name] = (product + 1e-4).log10(), error, left.plot([], linewidth=3)[0], right.plot([], linewidth=3, label=name)[0]
    right.legend(loc="upper right", framealpha=0.5)
    for end in range(1, iterations + 1):
        for product, error, first, second in curves.values():
            first.set_data(range(end), product[:end])
            second.set_data(range(end), error[:end])
        told = ", ".join(f"{name} {error[end - 1]:.2f}" for name, (_, error, *_) in curves.items())
        yield figure, f"Four traces: the error after {end} iterations is {told}"


# %%
if __name__ == "__main__":
    for name, error in compare(seed=42, trace_lambda=1.0, iterations=150).items():
        print(f"{name:20} root mean square error {error:.3g}")
