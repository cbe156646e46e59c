# %% [markdown]
# # Newton's method and the Fisher information
#
# Gradient descent knows the slope and must be told how far to go. This assignment computes what it lacks: the curvature of the
# loss (Newton's method) and the curvature of the model's distributions (the Fisher information, the natural gradient). Trust
# regions, and therefore TRPO and PPO, are built on the second.
#
# You write `newton_root`, `newton_minimize`, `score`, `fisher_exact`, `fisher_sampled`, `fisher_empirical`, `expected_hessian`,
# `kl_divergence`, `kl_quadratic`, `natural_gradient` and `diagonal_natural_gradient`. The model, its flat parameters and the loop
# that compares the optimizers are given. Run the file to see the comparison.
#
# Letters: N examples, I input features, C classes, D parameters. Everything follows the dtype of its arguments; pass float64.

# %%
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from npfl139.film import Scene
from npfl139.seeding import torch_stream
from npfl139.shapes import expect_shape

# %% [markdown]
# ## Given: a classifier with flat parameters
#
# Two sizes make softmax regression, more make a multilayer perceptron. All of θ is one vector, so that a gradient is a vector
# and a Hessian or a Fisher matrix is a matrix.


# %%
def parameter_count(sizes: Sequence[int]) -> int:
    """Return D, the number of parameters of the classifier with these layer sizes.

    >>> parameter_count([4, 3]), parameter_count([4, 5, 3])
    (15, 43)
    """
    return sum(outputs * (inputs + 1) for inputs, outputs in pairwise(sizes))


def layers_of(theta: Tensor, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Return (weights [out, in], bias [out]) of every layer: θ holds, layer after layer, the weights row by row, then the bias."""
    expect_shape("theta", theta, parameter_count(sizes))
    shapes = [shape for inputs, outputs in pairwise(sizes) for shape in ((outputs, inputs), (outputs,))]
    parts = [part.reshape(shape) for part, shape in zip(theta.split([math.prod(shape) for shape in shapes]), shapes, strict=True)]
    return list(zip(parts[::2], parts[1::2], strict=True))


def log_probabilities(theta: Tensor, inputs: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return log p(y | x; θ) of every class y.

    A fully connected network with tanh units and a softmax output. It may be differentiated and mapped by `torch.func`.

    Args:
        theta: [D] parameters, in the order of `layers_of`.
        inputs: [..., I], one example or many.
        sizes: the layer sizes I, ..., C.

    Returns:
        [..., C] log-probabilities.
    """
    expect_shape("inputs", inputs, *inputs.shape[:-1], sizes[0])
    *hidden_layers, (weights, bias) = layers_of(theta, sizes)
    for hidden_weights, hidden_bias in hidden_layers:
        inputs = torch.tanh(inputs @ hidden_weights.T + hidden_bias)
    return torch.log_softmax(inputs @ weights.T + bias, dim=-1)


def log_probability(theta: Tensor, example: Tensor, label: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the scalar log p(y | x; θ) of one example [I] and its label [].

    The label is gathered, not indexed: `torch.func.vmap` cannot use a mapped label as an index.
    """
    return log_probabilities(theta, example, sizes).gather(-1, label.unsqueeze(-1)).squeeze(-1)


# %% [markdown]
# ## Given: solving a linear system, or saying why not
#
# A⁻¹b is the solution of Ax = b. Computing the inverse first costs more and loses digits, so nothing here ever inverts a matrix.


# %%
def solve(name: str, matrix: Tensor, vector: Tensor) -> Tensor:
    """Return the x [D] with matrix @ x = vector, for a symmetric matrix [D, D].

    Raises:
        ValueError: the matrix, called `name` in the message, is not finite, or is singular to the precision of its dtype.

    >>> solve("the Hessian", torch.tensor([[2.0, 0.0], [0.0, -1.0]]), torch.tensor([2.0, 2.0]))
    tensor([ 1., -2.])
    >>> solve("the Hessian", torch.tensor([[2.0, 2.0], [2.0, 2.0]]), torch.tensor([2.0, 2.0]))
    Traceback (most recent call last):
    ValueError: the Hessian is singular (rank 1 of 2): some direction has no curvature. Add damping, a positive multiple of the identity
    """
    size = len(vector)
    expect_shape(name, matrix, size, size)
    if not matrix.isfinite().all():
        raise ValueError(f"{name} contains NaN or infinity: the iteration has diverged, start closer or take smaller steps")
    rank = int(torch.linalg.matrix_rank(matrix, hermitian=True))
    if rank < size:
        raise ValueError(
            f"{name} is singular (rank {rank} of {size}): some direction has no curvature. Add damping, a positive multiple of the identity"
        )
    return torch.linalg.solve(matrix, vector)


# %% [markdown]
# ## Newton's method


# %%
def iterates_of(step: Callable, start: float | Tensor, steps: int) -> list:
    """Return x₀ = start and the x_{k+1} = step(x_k) of so many steps.

    >>> iterates_of(lambda x: 2 * x, 1.0, 3)
    [1.0, 2.0, 4.0, 8.0]
    """
    iterates = [start]
    for _ in range(steps):
        iterates.append(step(iterates[-1]))
    return iterates


def newton_root(function: Callable[[float], float], derivative: Callable[[float], float], start: float, steps: int) -> Tensor:
    """Return the iterates of Newton's method for a root of f [newton_fisher:root].

        x' = x − f(x) / f'(x),

    the root of the line that touches f at x. Close to a simple root the number of correct digits doubles with each step.

    Args:
        function: f, from a number to a number.
        derivative: f'.
        start: x₀.
        steps: how many steps to take.

    Returns:
        [steps + 1] x₀, x₁, ..., x_steps, in float64.

    Raises:
        ValueError: f'(x) = 0 at an iterate from which a step is to be taken; the message says at which x.

    Source: the first two terms of the Taylor series of f at x, set to zero.

    >>> newton_root(lambda x: x**2 - 4, lambda x: 2 * x, 1.0, 2)
    tensor([1.0000, 2.5000, 2.0500], dtype=torch.float64)
    >>> newton_root(lambda x: 3 * x + 6, lambda x: 3.0, 5.0, 1)[-1].item()
    -2.0
    """

    def step(x: float) -> float:
        slope = derivative(x)
        if slope == 0:
            raise ValueError(f"f'(x) = 0 at x = {x}: the touching line has no root, start elsewhere")
        return x - function(x) / slope

    return torch.tensor(iterates_of(step, start, steps), dtype=torch.float64)


def newton_minimize(gradient: Callable[[Tensor], Tensor], hessian: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """Return the iterates of Newton's method for a minimum of f, which is a root of its gradient [newton_fisher:minimize].

        x' = x − H(x)⁻¹ ∇f(x),    in one dimension    x' = x − f'(x) / f''(x),

    the stationary point of the second-order Taylor expansion of f at x: gradient descent whose step is the inverse curvature.
    Where H is not positive definite that point is a saddle or a maximum, and the method goes there all the same.

    Args:
        gradient: ∇f, from x [D] to [D].
        hessian: H, from x [D] to the symmetric [D, D].
        start: [D] x₀.
        steps: how many steps to take.

    Returns:
        [steps + 1, D] x₀, x₁, ..., x_steps.

    Raises:
        ValueError: H is singular at an iterate from which a step is to be taken (`solve` says so).

    Source: Nocedal & Wright (2006), Numerical Optimization, Eq. 2.15.

    >>> iterates = newton_minimize(lambda x: 4 * x**3 - 4, lambda x: torch.diag(12 * x**2), torch.tensor([2.0, 1.0]), 2)
    >>> iterates
    tensor([[2.0000, 1.0000],
            [1.4167, 1.0000],
            [1.1105, 1.0000]])
    """
    return torch.stack(iterates_of(lambda x: x - solve("the Hessian", hessian(x), gradient(x)), start, steps))


# %% [markdown]
# ## The score and the Fisher information


# %%
def score(theta: Tensor, inputs: Tensor, labels: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the score of every example: the gradient of its own log-likelihood [newton_fisher:score].

        s(θ; x, y) = ∇_θ log p(y | x; θ)

    One row per example; the gradient of a mean would be the mean of the rows, and a mean cannot be undone. Under the model's
    own labels, y ∼ p(· | x; θ), its expectation is zero.

    Args:
        theta: [D] parameters.
        inputs: [N, I] examples x.
        labels: [N] classes y, int64.
        sizes: the layer sizes I, ..., C.

    Returns:
        [N, D].

    Hint: `torch.func.grad` of `log_probability`, mapped over the examples by `torch.func.vmap`.

    Source: Martens (2020), arXiv:1412.1193.

    >>> score(torch.zeros(4), torch.tensor([[2.0], [4.0]]), torch.tensor([0, 1]), [1, 2])
    tensor([[ 1.0000, -1.0000,  0.5000, -0.5000],
            [-2.0000,  2.0000, -0.5000,  0.5000]])
    """
    expect_shape("labels", labels, len(inputs))
    per_example = torch.func.vmap(torch.func.grad(log_probability), in_dims=(None, 0, 0, None))
    return per_example(theta, inputs, labels, sizes)


def fisher_exact(theta: Tensor, inputs: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the Fisher information matrix, the expectation over the model's labels taken exactly [newton_fisher:fisher].

        F(θ) = 1/N Σ_x Σ_y p(y | x; θ) s(θ; x, y) s(θ; x, y)ᵀ

    It needs no observed labels: y is the model's own.

    Args:
        theta: [D] parameters.
        inputs: [N, I] examples x.
        sizes: the layer sizes I, ..., C.

    Returns:
        [D, D], symmetric and positive semi-definite.

    Source: Kunstner et al. (2019), arXiv:1905.12558, Section 1 (there a sum over the examples).

    >>> fisher_exact(torch.zeros(4), torch.tensor([[2.0], [4.0]]), [1, 2])[:2]
    tensor([[ 2.5000, -2.5000,  0.7500, -0.7500],
            [-2.5000,  2.5000, -0.7500,  0.7500]])
    """
    probabilities = log_probabilities(theta, inputs, sizes).exp()
    fisher = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
    for label in range(sizes[-1]):
        scores = score(theta, inputs, torch.full([len(inputs)], label), sizes)
        fisher += scores.T @ (probabilities[:, label, None] * scores)
    return fisher / len(inputs)


def fisher_sampled(theta: Tensor, inputs: Tensor, sizes: Sequence[int], samples: int, generator: torch.Generator) -> Tensor:
    """Return an unbiased estimate of the Fisher matrix from labels that are drawn from the model.

        F̂ = 1/(N K) Σ_x Σ_{k=1..K} s(θ; x, y_k) s(θ; x, y_k)ᵀ,    y_k ∼ p(· | x; θ), independent for every x and k

    This is what remains when there are too many classes to sum over. Its error shrinks as 1/√(N K).

    Args:
        theta: [D] parameters.
        inputs: [N, I] examples x.
        sizes: the layer sizes I, ..., C.
        samples: K, how many labels are drawn for each example.
        generator: the only source of randomness.

    Returns:
        [D, D], symmetric and positive semi-definite.

    Source: Kunstner et al. (2019), arXiv:1905.12558, who tell it from the empirical Fisher matrix.

    >>> sampled = fisher_sampled(torch.zeros(4), torch.tensor([[2.0]]), [1, 2], 5, torch.Generator().manual_seed(1))
    >>> sampled[:, 0]  # for two equally likely classes s sᵀ is the same whichever of them is drawn
    tensor([ 1.0000, -1.0000,  0.5000, -0.5000])
    """
    probabilities = log_probabilities(theta, inputs, sizes).exp()
    labels = torch.multinomial(probabilities, samples, replacement=True, generator=generator)
    scores = score(theta, inputs.repeat_interleave(samples, dim=0), labels.flatten(), sizes)
    return scores.T @ scores / len(scores)


def fisher_empirical(theta: Tensor, inputs: Tensor, labels: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the empirical Fisher matrix, from the labels that were observed.

        F̃(θ) = 1/N Σ_n s(θ; x_n, y_n) s(θ; x_n, y_n)ᵀ

    It costs one gradient per example, and it is not an estimate of the Fisher matrix unless the model is right about the data.

    Args:
        theta: [D] parameters.
        inputs: [N, I] examples x.
        labels: [N] observed classes y, int64.
        sizes: the layer sizes I, ..., C.

    Returns:
        [D, D], symmetric and positive semi-definite.

    Source: Kunstner et al. (2019), arXiv:1905.12558, Section 1 (there a sum over the examples).

    >>> fisher_empirical(torch.zeros(4), torch.tensor([[2.0], [4.0]]), torch.tensor([0, 1]), [1, 2])[2]
    tensor([ 0.7500, -0.7500,  0.2500, -0.2500])
    """
    scores = score(theta, inputs, labels, sizes)
    return scores.T @ scores / len(scores)


def expected_hessian(theta: Tensor, inputs: Tensor, label_probabilities: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the Hessian of the negative log-likelihood, averaged over labels that are distributed as q [newton_fisher:expected_hessian].

        H(θ; q) = 1/N Σ_x Σ_y q(y | x) ∇²_θ [−log p(y | x; θ)]

    For q(y | x) = p(y | x; θ) it equals the Fisher matrix F(θ). With q one-hot at the observed labels it is the Hessian of the loss.

    Args:
        theta: [D] parameters.
        inputs: [N, I] examples x.
        label_probabilities: [N, C] q, a constant: it does not depend on θ, even where its values are the model's.
        sizes: the layer sizes I, ..., C.

    Returns:
        [D, D], symmetric.

    Hint: `torch.func.jacrev` of `torch.func.grad`.

    Source: Martens (2020), arXiv:1412.1193.

    >>> expected_hessian(torch.zeros(4), torch.tensor([[2.0], [4.0]]), torch.tensor([[0.5, 0.5], [1.0, 0.0]]), [1, 2])[:2]
    tensor([[ 2.5000, -2.5000,  0.7500, -0.7500],
            [-2.5000,  2.5000, -0.7500,  0.7500]])
    """

    def negative_log_likelihood(theta: Tensor) -> Tensor:
        return -(label_probabilities * log_probabilities(theta, inputs, sizes)).sum() / len(inputs)

    return torch.func.jacrev(torch.func.grad(negative_log_likelihood))(theta)


# %% [markdown]
# ## Distances between distributions


# %%
def kl_divergence(theta: Tensor, other: Tensor, inputs: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return how far the distributions of θ' are from those of θ, on average over the inputs.

        D(θ ‖ θ') = 1/N Σ_x Σ_y p(y | x; θ) log [p(y | x; θ) / p(y | x; θ')]

    Args:
        theta: [D] θ, whose distribution the expectation is taken under.
        other: [D] θ'.
        inputs: [N, I] examples x.
        sizes: the layer sizes I, ..., C.

    Returns:
        [] scalar, at least zero, and zero for equal distributions; finite even where probabilities underflow to zero in both.

    >>> half, quarter = torch.zeros(4), torch.tensor([0.0, 0.0, 0.0, math.log(3)])
    >>> kl_divergence(half, quarter, torch.zeros(2, 1), [1, 2]), kl_divergence(quarter, half, torch.zeros(2, 1), [1, 2])
    (tensor(0.1438), tensor(0.1308))
    """
    log_p, log_q = log_probabilities(theta, inputs, sizes), log_probabilities(other, inputs, sizes)
    return (log_p.exp() * (log_p - log_q)).sum() / len(inputs)


def kl_quadratic(fisher: Tensor, displacement: Tensor) -> Tensor:
    """Return the second-order approximation of the divergence from θ to θ + d [newton_fisher:kl].

        D(θ ‖ θ + d) = ½ dᵀ F(θ) d + O(‖d‖³)

    The terms of order zero and one vanish, because the divergence has its minimum, zero, at d = 0.

    Args:
        fisher: [D, D] F(θ).
        displacement: [D] d.

    Returns:
        [] scalar.

    Source: Martens (2020), arXiv:1412.1193.

    >>> kl_quadratic(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([1.0, -2.0]))
    tensor(5.)
    """
    return displacement @ fisher @ displacement / 2


# %% [markdown]
# ## The natural gradient


# %%
def natural_gradient(fisher: Tensor, gradient: Tensor, damping: float) -> Tensor:
    """Return the gradient measured in distributions instead of parameters [newton_fisher:natural_gradient].

        ∇̃L = (F + λI)⁻¹ ∇L

    Against it, −∇̃L, the loss falls fastest for a small step of given D(θ ‖ θ + d); against ∇L, for one of given ‖d‖. Without damping
    the step is the same change of distributions whichever way the model is parametrized.

    Args:
        fisher: [D, D] F, symmetric and positive semi-definite.
        gradient: [D] ∇L.
        damping: λ ≥ 0. Shrinks the step where F has little to say, towards the plain gradient divided by λ.

    Returns:
        [D] ∇̃L, which points uphill as ∇L does; a minimizer subtracts it.

    Raises:
        ValueError: F + λI is singular (`solve` says so).

    Source: Amari (1998), Natural gradient works efficiently in learning, Theorem 1; damping: Martens (2020), arXiv:1412.1193.

    >>> natural_gradient(torch.tensor([[2.0, 1.0], [1.0, 1.0]]), torch.tensor([1.0, 0.0]), 0.0)
    tensor([ 1., -1.])
    >>> natural_gradient(torch.zeros(2, 2), torch.tensor([1.0, 2.0]), 0.5)
    tensor([2., 4.])
    """
    return solve("the Fisher matrix", fisher + damping * torch.eye(len(fisher), dtype=fisher.dtype), gradient)


def diagonal_natural_gradient(fisher: Tensor, gradient: Tensor, damping: float) -> Tensor:
    """Return the natural gradient of a Fisher matrix of which only the diagonal is believed [newton_fisher:diagonal].

        d_i = ∂L/∂θ_i / (F_ii + λ)

    Every parameter gets a step of its own, as in Adam, which divides by the root of a running mean of squared gradients instead.

    Args:
        fisher: [D, D] F; only its diagonal matters.
        gradient: [D] ∇L.
        damping: λ ≥ 0.

    Returns:
        [D], uphill as ∇L is.

    Raises:
        ValueError: F_ii + λ is zero for some i; the message says what to do.

    Source: Martens (2020), arXiv:1412.1193, who compares such diagonal methods; Adam: Kingma & Ba (2015), arXiv:1412.6980.

    >>> diagonal_natural_gradient(torch.tensor([[2.0, 1.0], [1.0, 1.0]]), torch.tensor([1.0, 3.0]), 0.0)
    tensor([0.5000, 3.0000])
    """
    curvature = fisher.diagonal() + damping
    if (curvature == 0).any():
        raise ValueError("the diagonal of the Fisher matrix contains zeros: some parameter has no effect. Use a positive damping")
    return gradient / curvature


# %% [markdown]
# ## Given: the comparison
#
# A softmax regression on features whose standard deviations range from 0.1 to 10 and are mixed by a rotation. The curvature of
# the loss is about 10 in one direction and about 10⁻³ in another. Gradient descent must take steps that are stable in the first,
# and hardly moves in the second.


# %%
SIZES = (6, 3)
STEPS = 12
DAMPING = 1e-4  # λ: below every curvature of this loss but those that are zero


def ill_conditioned_problem(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs [count, I], labels [count] and the log-probabilities [count, C] of the softmax regression that drew them."""
    generator = torch_stream(seed, "ill-conditioned problem")
    features, classes = SIZES

    def gaussian(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = 1.5 * gaussian(features, classes)
    rotation, _ = torch.linalg.qr(gaussian(features, features))
    latent = gaussian(count, features)
    true_log_probabilities = torch.log_softmax(latent @ weights, dim=-1)
    labels = torch.multinomial(true_log_probabilities.exp(), 1, generator=generator).squeeze(-1)
    return latent * torch.logspace(-1, 1, features, dtype=torch.float64) @ rotation, labels, true_log_probabilities


def loss(theta: Tensor, inputs: Tensor, labels: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the mean negative log-likelihood, a scalar."""
    return -log_probabilities(theta, inputs, sizes).gather(-1, labels.unsqueeze(-1)).mean()


def loss_gradient(theta: Tensor, inputs: Tensor, labels: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the gradient [D] of the loss: minus the mean score."""
    return -score(theta, inputs, labels, sizes).mean(dim=0)


def descend(direction: Callable[[Tensor], Tensor], start: Tensor, step_size: float, steps: int) -> Tensor:
    """Return the iterates [steps + 1, D] of θ' = θ − α direction(θ)."""
    return torch.stack(iterates_of(lambda theta: theta - step_size * direction(theta), start, steps))


def natural_gradient_descent(
    start: Tensor, inputs: Tensor, labels: Tensor, sizes: Sequence[int], step_size: float, steps: int, damping: float
) -> Tensor:
    """Return the iterates [steps + 1, D] of natural gradient descent on the loss. The training check calls this function."""

    def direction(theta: Tensor) -> Tensor:
        return natural_gradient(fisher_exact(theta, inputs, sizes), loss_gradient(theta, inputs, labels, sizes), damping)

    return descend(direction, start, step_size, steps)


def diagonal_natural_gradient_descent(
    start: Tensor, inputs: Tensor, labels: Tensor, sizes: Sequence[int], step_size: float, steps: int, damping: float
) -> Tensor:
    """Return the iterates [steps + 1, D] of natural gradient descent that believes only the diagonal of the Fisher matrix."""

    def direction(theta: Tensor) -> Tensor:
        return diagonal_natural_gradient(fisher_exact(theta, inputs, sizes), loss_gradient(theta, inputs, labels, sizes), damping)

    return descend(direction, start, step_size, steps)


def newton_descent(start: Tensor, inputs: Tensor, labels: Tensor, sizes: Sequence[int], steps: int, damping: float) -> Tensor:
    """Return the iterates [steps + 1, D] of Newton's method on the loss."""
    observed = torch.nn.functional.one_hot(labels, sizes[-1]).to(inputs.dtype)
    damping_matrix = damping * torch.eye(len(start), dtype=start.dtype)
    return newton_minimize(
        lambda theta: loss_gradient(theta, inputs, labels, sizes),
        lambda theta: expected_hessian(theta, inputs, observed, sizes) + damping_matrix,
        start,
        steps,
    )


def compare(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the iterates of every optimizer from θ = 0, where it needs a step size with the best of a few."""
    problem = (torch.zeros(parameter_count(SIZES), dtype=torch.float64), inputs, labels, SIZES)

    def best(method: Callable[[float], Tensor]) -> Tensor:
        """Return the run with the lowest training loss at its end."""
        runs = [method(step_size) for step_size in (0.03, 0.1, 0.3, 1.0)]
        return min(runs, key=lambda run: loss(run[-1], inputs, labels, SIZES).nan_to_num(torch.inf))

    def gradient_descent(step_size: float, steps: int) -> Tensor:
        return descend(lambda theta: loss_gradient(theta, inputs, labels, SIZES), problem[0], step_size, steps)

    return {
        "gradient descent": best(lambda step_size: gradient_descent(step_size, STEPS)),
        "gradient descent, 100 times the steps": best(lambda step_size: gradient_descent(step_size, 100 * STEPS)),
        "diagonal natural gradient": best(lambda step_size: diagonal_natural_gradient_descent(*problem, step_size, STEPS, DAMPING)),
        "natural gradient": natural_gradient_descent(*problem, 1.0, STEPS, DAMPING),
        "Newton": newton_descent(*problem, STEPS, DAMPING),
    }


# %% [markdown]
# ## To watch: npfl139 demo newton_fisher


# %%
def basins(steps: int, width: int = 240, height: int = 135) -> Tensor:
    """Return where Newton's method is after 0 ... steps steps [steps + 1, height, width] on its way to a root of x³ − x + c.

    A column is a start in [-1.6, 1.6], a row is a c, from 0.8 at the top to -0.8.
    """
    starts = torch.linspace(-1.6, 1.6, width).tolist()

    def row(c: float) -> Tensor:
        return torch.stack([newton_root(lambda x: x**3 - x + c, lambda x: 3 * x**2 - 1, start, steps) for start in starts])

    return torch.stack([row(c) for c in torch.linspace(0.8, -0.8, height).tolist()]).movedim(-1, 0)


def demonstration() -> Scene:
    """Yield pictures of Newton's basins, then of the descents of the gradient, of the natural gradient and of Newton's method."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    for step, where in enumerate(basins(24)):
        image = colormaps["Spectral"]((where.clamp(-1.6, 1.6) / 3.2 + 0.5).numpy(), bytes=True)[..., :3]
        settled = ((where**3 - where + torch.linspace(0.8, -0.8, len(where)).unsqueeze(1)).abs() < 1e-6).double().mean()
        told = f"step {step}, {100 * settled:.0f} % of the starts are at a root"
        yield image.repeat(3, axis=0).repeat(3, axis=1), f"Newton on x³ − x + c: {told} (across: start, down: c, colour: x)"
    inputs, labels, _ = ill_conditioned_problem(seed=1, count=300)
    problem = (torch.zeros(parameter_count(SIZES), dtype=torch.float64), inputs, labels, SIZES)
    paths = {
        "gradient descent": descend(lambda theta: loss_gradient(theta, inputs, labels, SIZES), problem[0], 0.03, STEPS),
        "natural gradient": natural_gradient_descent(*problem, 1.0, STEPS, DAMPING),
        "Newton": newton_descent(*problem, STEPS, DAMPING),
    }
    losses = {name: [loss(theta, inputs, labels, SIZES).item() for theta in path] for name, path in paths.items()}
    figure = Figure(figsize=(7.2, 4.05))
    axes = figure.subplots()
    lines = [axes.plot([], f"o{style}", linewidth=3, label=name)[0] for name, style in zip(losses, ("-", "-", ":"), strict=True)]
    axes.set(xlim=(0, STEPS), ylim=(0, 1.15), xlabel="step", ylabel="loss", title="Curvature tells how far to go")
    axes.legend(loc="upper right")
    for step in range(STEPS + 1):
        for line, curve in zip(lines, losses.values(), strict=True):
            line.set_data(range(step + 1), curve[: step + 1])
        told = ", ".join(f"{name} {curve[step]:.3f}" for name, curve in losses.items())
        yield figure, f"Three descents: the loss after step {step} is {told}"


# %%
if __name__ == "__main__":
    inputs, labels, true_log_probabilities = ill_conditioned_problem(seed=1, count=5000)
    training, held_out = slice(0, 1000), slice(1000, None)
    entropy = -(true_log_probabilities.exp() * true_log_probabilities)[held_out].sum(dim=-1).mean()
    print(f"{'':40}{'steps':>8}{'held-out loss':>16}")
    for name, iterates in compare(inputs[training], labels[training]).items():
        print(f"{name:40}{len(iterates) - 1:8}{loss(iterates[-1], inputs[held_out], labels[held_out], SIZES):16.4f}")
    print(f"{'the distribution that drew the labels':48}{entropy:16.4f}")
