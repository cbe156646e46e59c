"""Hidden checks of newton_fisher.

The classifier in the submission is the submission's: every expected value here comes from a second one, below, in numpy and
float64, by closed forms, naive loops and finite differences. Derivatives are never taken by automatic differentiation.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from grader.contract.expect import Wrong, expect, expect_close, expect_error, expect_numbers, normal
from grader.contract.spec import Attempt, Topic, Training, check, checks_of
from grader.contract.student import Student
from npfl139.seeding import derived_seed
from solutions.newton_fisher import DAMPING, SIZES, STEPS, ill_conditioned_problem, score

Array = np.ndarray
SOFTMAX = (3, 4)  # layer sizes of softmax regression: 16 parameters
MLP = (2, 3, 3)  # a multilayer perceptron: 21 parameters
DEEP = (2, 3, 2, 4)  # 29 parameters, no two layers of one shape
RARE = 6.0  # standard deviations that a correct sampler exceeds in two of 10⁹ cases
FLOAT64 = {"relative": 1e-9, "absolute": 1e-11}  # where the docstring promises float64


def parameter_count(sizes: Sequence[int]) -> int:
    return sum(outputs * (inputs + 1) for inputs, outputs in pairwise(sizes))


def log_probabilities(theta: Array, inputs: Array, sizes: Sequence[int]) -> Array:
    """Return log p(y | x; θ), [N, C]."""
    hidden, position = inputs, 0
    for layer, (width, outputs) in enumerate(pairwise(sizes)):
        weights = theta[position : position + width * outputs].reshape(outputs, width)
        bias = theta[position + width * outputs : position + (width + 1) * outputs]
        position += (width + 1) * outputs
        hidden = hidden @ weights.T + bias
        if layer < len(sizes) - 2:
            hidden = np.tanh(hidden)
    shifted = hidden - hidden.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def differentiated(function: Callable[[Array], Array], theta: Array, width: float = 1e-5) -> Array:
    """Return the derivative [..., D] by central differences; the error is of the order width², here 1e-10."""
    steps = width * np.eye(len(theta))
    return np.stack([(function(theta + step) - function(theta - step)) / (2 * width) for step in steps], axis=-1)


def scores_of(theta: Array, inputs: Array, sizes: Sequence[int]) -> Array:
    """Return the scores of every example and every class, [N, C, D]."""
    return differentiated(lambda moved: log_probabilities(moved, inputs, sizes), theta)


def fisher_of(theta: Array, inputs: Array, sizes: Sequence[int]) -> Array:
    """Return the Fisher matrix, one outer product at a time."""
    probabilities, scores = np.exp(log_probabilities(theta, inputs, sizes)), scores_of(theta, inputs, sizes)
    fisher = np.zeros((len(theta), len(theta)))
    for example in range(len(inputs)):
        for label in range(sizes[-1]):
            fisher += probabilities[example, label] * np.outer(scores[example, label], scores[example, label])
    return fisher / len(inputs)


def softmax_fisher(theta: Array, inputs: Array, sizes: Sequence[int]) -> Array:
    """Return the Fisher matrix of softmax regression in closed form: (diag p − p pᵀ) ⊗ x xᵀ, averaged, in the order of θ."""
    features, classes = sizes
    extended = np.hstack([inputs, np.ones((len(inputs), 1))])
    fisher = np.zeros((classes, features + 1, classes, features + 1))
    for p, x in zip(np.exp(log_probabilities(theta, inputs, sizes)), extended, strict=True):
        fisher += np.einsum("cd,ij->cidj", np.diag(p) - np.outer(p, p), np.outer(x, x)) / len(inputs)
    weights = [(label, feature) for label in range(classes) for feature in range(features)]
    order = [label * (features + 1) + feature for label, feature in weights + [(label, features) for label in range(classes)]]
    return fisher.reshape(len(theta), len(theta))[np.ix_(order, order)]


def kl_of(theta: Array, other: Array, inputs: Array, sizes: Sequence[int]) -> float:
    log_p, log_q = log_probabilities(theta, inputs, sizes), log_probabilities(other, inputs, sizes)
    terms = [np.exp(p) * (p - q) for p, q in zip(log_p.flat, log_q.flat, strict=True)]
    return sum(terms) / len(inputs)


def case(rng: np.random.Generator, sizes: Sequence[int], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return parameters and inputs of order one, in float64."""
    return normal(rng, parameter_count(sizes), dtype=torch.float64), normal(rng, count, sizes[0], dtype=torch.float64)


def drawn_labels(rng: np.random.Generator, classes: int, count: int) -> torch.Tensor:
    return torch.as_tensor(rng.integers(classes, size=count))


def symmetric(rng: np.random.Generator, eigenvalues: Sequence[float]) -> Array:
    """Return a symmetric matrix with the given eigenvalues in random directions."""
    vectors = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return vectors @ np.diag(eigenvalues) @ vectors.T


def received(value: object, *shape: int) -> Array:
    """Return what the submission passes to a callback as an array; it is as untrusted as what it returns.

    It is clipped, so that iterates that diverge overflow nothing here.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Wrong("a function that was passed in was called with something that is not a number or tensor") from error
    expect(array.size == np.prod(shape), f"a function that was passed in was called with shape {list(array.shape)}, not {list(shape)}")
    return array.reshape(shape).clip(-1e30, 1e30)


def quadratic(matrix: Array, point: Array) -> tuple[Callable, Callable]:
    """Return the gradient and the Hessian of ½ (x − point)ᵀ matrix (x − point)."""

    def gradient(x: object) -> torch.Tensor:
        return torch.as_tensor(matrix @ (received(x, len(point)) - point))

    def hessian(x: object) -> torch.Tensor:
        received(x, len(point))
        return torch.as_tensor(matrix)

    return gradient, hessian


def expect_refusal(call: Callable[[], object], what: str) -> None:
    """Raise `Wrong` unless the call raises a ValueError with a message."""
    expect(": " in expect_error(call, "ValueError", what), f"{what} must raise a ValueError that says what is wrong")


@check("newton_root")
def check_newton_root_follows_the_touching_line(student, rng):
    """From each iterate the next is where the line that touches f there has its root; the start comes first."""
    a, b, start = rng.uniform(1, 3), rng.uniform(-5, 5), rng.uniform(-2, 2)
    for steps, sign in ((0, 1), (1, 1), (4, 1), (4, -1)):  # a falling function has the same iterates as its mirror image
        calls = (
            lambda x, sign=sign: sign * float(received(x) ** 3 + a * received(x) + b),
            lambda x, sign=sign: sign * float(3 * received(x) ** 2 + a),
        )
        iterates = [start]
        for _ in range(steps):
            x = iterates[-1]
            iterates.append((2 * x**3 - b) / (3 * x**2 + a))
        expect_close(student.newton_root(*calls, float(start), steps), np.array(iterates), "the sequence of iterates", **FLOAT64)


@check("newton_root")
def check_newton_root_converges_quadratically(student, rng):
    """Near a simple root the error is squared in each step, and five steps give all digits of float64."""
    root = rng.uniform(1.2, 1.6)
    calls = (lambda x: float(received(x) ** 2 - root**2), lambda x: float(2 * received(x)))
    errors = np.abs(expect_numbers(student.newton_root(*calls, float(root + 0.3), 5), [6], "the sequence of iterates") - root)
    expect(all(after < before**2 + 1e-14 for before, after in pairwise(errors)), "the error is not squared in each step")
    expect(errors[-1] < 1e-13, "five steps from a distance of 0.3 must find the root to all digits of float64")


@check("newton_root", points=0.5)
def check_newton_root_refuses_a_horizontal_line(student, rng):
    """Where f'(x) = 0 and a step is to be taken, a ValueError says so."""
    calls = (lambda x: float(received(x) ** 2 + 1), lambda x: float(2 * received(x)))
    expect_refusal(partial(student.newton_root, *calls, 0.0, 1), "a step from a point where the derivative is zero")
    expect_refusal(partial(student.newton_root, *calls, 1.0, 2), "a second step from a point where the derivative is zero")  # 1 → 0
    expect_close(student.newton_root(*calls, 1.0, 1), np.array([1.0, 0.0]), "the sequence that ends where the derivative is zero")


@check("newton_minimize")
def check_newton_minimize_solves_a_quadratic_in_one_step(student, rng):
    """A quadratic in any dimension is solved by one step, whether its stationary point is a minimum, a saddle or a maximum."""
    for eigenvalues in ([3.0], [-2.0], [5.0, 0.5], [4.0, -1.0, 0.3], [-2.0, -1.0, -0.5, -3.0]):
        size = len(eigenvalues)
        point, start = rng.normal(size=size), normal(rng, size, dtype=torch.float64)
        iterates = student.newton_minimize(*quadratic(symmetric(rng, eigenvalues), point), start, 2)
        expect_close(iterates, np.stack([start.numpy(), point, point]), f"the sequence of iterates in dimension {size}", relative=1e-5)


@check("newton_minimize")
def check_newton_minimize_takes_full_steps(student, rng):
    """Each iterate is the stationary point of the second-order expansion at the one before; in one dimension the step is f'/f''."""
    weights, target = rng.uniform(0.5, 1.5, size=(3, 2)), rng.normal(size=2)

    def gradient(x: Array) -> Array:  # of f(x) = Σ (w·x)⁴/4 + ‖x‖²/2 − target·x
        return weights.T @ (weights @ x) ** 3 + x - target

    def hessian(x: Array) -> Array:
        return 3 * weights.T @ np.diag((weights @ x) ** 2) @ weights + np.eye(2)

    start = normal(rng, 2, dtype=torch.float64)
    expected = [start.numpy()]
    for _ in range(3):
        (a, b), (_, d) = hessian(expected[-1])
        slope = gradient(expected[-1])
        expected.append(expected[-1] - np.array([d * slope[0] - b * slope[1], a * slope[1] - b * slope[0]]) / (a * d - b * b))
    calls = (lambda x: torch.as_tensor(gradient(received(x, 2))), lambda x: torch.as_tensor(hessian(received(x, 2))))
    expect_close(student.newton_minimize(*calls, start, 3), np.stack(expected), "the sequence of iterates")

    quartic = (lambda x: torch.as_tensor(4 * received(x, 1) ** 3), lambda x: torch.as_tensor(12 * received(x, 1, 1) ** 2))  # f'/f'' = x/3
    iterates = student.newton_minimize(*quartic, torch.tensor([3.0], dtype=torch.float64), 2)
    expect_close(iterates, np.array([[3.0], [2.0], [4 / 3]]), "the sequence of iterates of x⁴ from 3")


@check("newton_minimize", points=0.5)
def check_newton_minimize_refuses_a_singular_hessian(student, rng):
    """Where the Hessian is singular and a step is to be taken, a ValueError says so; without a step there is nothing to refuse."""
    start = normal(rng, 2, dtype=torch.float64)
    for singular in (np.zeros((2, 2)), np.diag([1.0, 0.0]), np.ones((2, 2))):
        calls = quadratic(singular, np.array([1.0, 2.0]))
        expect_refusal(partial(student.newton_minimize, *calls, start, 1), "a step where the Hessian is singular")
        expect_close(student.newton_minimize(*calls, start, 0), start.numpy()[None], "the sequence of iterates of no steps")


@check("score")
def check_score_of_softmax_regression(student, rng):
    """For softmax regression the score of the weights of class c is (1[y = c] − p(c | x)) x, row for row, whatever the batch."""
    for count in (1, 7):
        theta, inputs = case(rng, SOFTMAX, count)
        labels = drawn_labels(rng, SOFTMAX[-1], count)
        surprise = np.eye(SOFTMAX[-1])[labels] - np.exp(log_probabilities(theta.numpy(), inputs.numpy(), SOFTMAX))
        rows = [np.concatenate([np.outer(row, x).ravel(), row]) for row, x in zip(surprise, inputs.numpy(), strict=True)]
        expect_close(student.score(theta, inputs, labels, list(SOFTMAX)), np.stack(rows), f"the matrix of scores of {count} examples")


@check("score")
def check_score_agrees_with_finite_differences(student, rng):
    """For networks with hidden layers each score is the change of that example's own log-probability as θ moves."""
    for sizes, count in ((MLP, 5), (DEEP, 9)):
        theta, inputs = case(rng, sizes, count)
        labels = drawn_labels(rng, sizes[-1], count)
        expected = scores_of(theta.numpy(), inputs.numpy(), sizes)[np.arange(count), labels]
        expect_close(student.score(theta, inputs, labels, list(sizes)), expected, f"the matrix of scores for the sizes {list(sizes)}")


@check("score")
def check_score_has_no_mean_under_the_model(student, rng):
    """Weighted by the model's own probabilities of the labels, the scores of each example add up to zero."""
    theta, inputs = case(rng, DEEP, 6)
    probabilities = np.exp(log_probabilities(theta.numpy(), inputs.numpy(), DEEP))
    answers = [student.score(theta, inputs, torch.full([6], label), list(DEEP)) for label in range(DEEP[-1])]
    scores = [expect_numbers(answer, [6, 29], "the matrix of scores") for answer in answers]
    expect(np.abs(scores).max() > 0.1, "the scores are all zero")
    expect_close(np.einsum("nc,cnd->nd", probabilities, scores), np.zeros((6, 29)), "the expected score under the model")


@check("fisher_exact", stands_on=(score,))
def check_fisher_exact_of_softmax_regression(student, rng):
    """For softmax regression the matrix is the mean of (diag p − p pᵀ) ⊗ x xᵀ, which does not see a shift of all logits."""
    for count in (1, 8):
        theta, inputs = case(rng, SOFTMAX, count)
        fisher = expect_numbers(student.fisher_exact(theta, inputs, list(SOFTMAX)), [16, 16], "the matrix")
        expect_close(fisher, softmax_fisher(theta.numpy(), inputs.numpy(), SOFTMAX), f"the matrix for {count} examples")
        shift = np.concatenate([np.zeros(12), np.ones(4)])
        expect_close(fisher @ shift, np.zeros(16), "its product with a shift of all logits")


@check("fisher_exact", stands_on=(score,))
def check_fisher_exact_of_networks(student, rng):
    """With hidden layers the matrix is the sum over all labels of p(y | x) s sᵀ, averaged over the inputs."""
    for sizes, count in ((MLP, 6), (DEEP, 3)):
        theta, inputs = case(rng, sizes, count)
        fisher = student.fisher_exact(theta, inputs, list(sizes))
        expect_close(fisher, fisher_of(theta.numpy(), inputs.numpy(), sizes), f"the matrix for the sizes {list(sizes)}")


@check("fisher_exact", points=0.5, stands_on=(score,))
def check_fisher_exact_is_a_mean(student, rng):
    """Seeing every input three times changes nothing, and a model that is certain everywhere has no information to give."""
    theta, inputs = case(rng, MLP, 4)
    fisher = fisher_of(theta.numpy(), inputs.numpy(), MLP)
    expect_close(student.fisher_exact(theta, inputs.repeat(3, 1), list(MLP)), fisher, "the matrix of a repeated batch")
    certain = torch.tensor([0.0] * 12 + [60.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    fisher = student.fisher_exact(certain, normal(rng, 5, 3, dtype=torch.float64), list(SOFTMAX))
    expect_close(fisher, np.zeros((16, 16)), "the matrix of a certain model")


def skewed(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a softmax regression with probabilities far from uniform, and inputs that change which class is likely."""
    theta, inputs = case(rng, SOFTMAX, count)
    theta *= 0.4
    theta[-4:] = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    return theta, inputs


def expect_estimate(actual: object, theta: torch.Tensor, inputs: torch.Tensor, samples: int, what: str) -> None:
    """Raise `Wrong` unless a matrix is the mean of s sᵀ over so many independent labels for each input, up to its sampling error."""
    probabilities = np.exp(log_probabilities(theta.numpy(), inputs.numpy(), SOFTMAX))
    scores = scores_of(theta.numpy(), inputs.numpy(), SOFTMAX)
    products = np.einsum("ncd,nce->ncde", scores, scores)
    mean = np.einsum("nc,ncde->nde", probabilities, products)
    variance = np.einsum("nc,ncde->nde", probabilities, (products - mean[:, None]) ** 2)
    error = np.abs(expect_numbers(actual, [16, 16], what) - mean.mean(axis=0))
    bound = RARE * np.sqrt(variance.mean(axis=0) / (len(inputs) * samples)) + 1e-5
    expect((error < bound).all(), f"{what} is further from the Fisher matrix than labels drawn from the model explain")


@check("fisher_sampled", stands_on=(score,))
def check_fisher_sampled_draws_one_label(student, rng):
    """A single draw for a single input gives s sᵀ for one of the classes, and which one depends on the generator alone."""
    theta, inputs = skewed(rng, 1)
    candidates = [np.outer(score, score) for score in scores_of(theta.numpy(), inputs.numpy(), SOFTMAX)[0]]
    seen = set()
    for seed in range(40):

        def drawn(seed: int = seed) -> Array:
            fisher = student.fisher_sampled(theta, inputs, list(SOFTMAX), 1, torch.Generator().manual_seed(seed))
            return expect_numbers(fisher, [16, 16], "the matrix")

        first = drawn()
        expect_close(drawn(), first, "the matrix for an equal generator")
        matching = [label for label in range(4) if np.allclose(first, candidates[label], rtol=1e-4, atol=1e-5)]
        expect(len(matching) == 1, "one draw for one input is not the outer product of the score of a class with itself")
        seen.update(matching)
    expect(len(seen) > 1, "the same label was drawn in every one of many draws")


@check("fisher_sampled", stands_on=(score,))
def check_fisher_sampled_draws_from_the_model(student, rng):
    """Over many draws the mean approaches the exact matrix as fast as independent draws from p(y | x; θ) do, for each input."""
    for count, samples in ((1, 500), (3, 250)):
        theta, inputs = skewed(rng, count)
        opposite = 1e4 * torch.cat([inputs, -inputs])  # sure of a class, or of another: labels leave nothing to chance
        for rows in (1.5 * inputs, opposite):
            fisher = student.fisher_sampled(theta, rows, list(SOFTMAX), samples, torch.Generator().manual_seed(count))
            expect_estimate(fisher, theta, rows, samples, f"the mean of {samples} draws for {len(rows)} inputs")


@check("fisher_sampled", stands_on=(score,))
def check_fisher_sampled_draws_for_every_input(student, rng):
    """Equal inputs get labels of their own: many of them with one draw each are worth one of them with many draws."""
    theta, inputs = skewed(rng, 1)
    fisher = student.fisher_sampled(theta, inputs.repeat(300, 1), list(SOFTMAX), 1, torch.Generator().manual_seed(7))
    expect_estimate(fisher, theta, inputs.repeat(300, 1), 1, "the mean over 300 equal inputs with one draw each")


@check("fisher_empirical", stands_on=(score,))
def check_fisher_empirical_uses_the_observed_labels(student, rng):
    """The matrix is the mean of s sᵀ with the score of the label that was observed, however unlikely the model finds it."""
    for sizes, count in ((SOFTMAX, 9), (MLP, 5), (DEEP, 1)):
        theta, inputs = case(rng, sizes, count)
        labels = torch.as_tensor(log_probabilities(theta.numpy(), inputs.numpy(), sizes).argmin(axis=1))
        labels[::2] = drawn_labels(rng, sizes[-1], len(labels[::2]))
        expected = np.zeros((len(theta), len(theta)))
        for row in scores_of(theta.numpy(), inputs.numpy(), sizes)[np.arange(count), labels]:
            expected += np.outer(row, row) / count
        expect_close(student.fisher_empirical(theta, inputs, labels, list(sizes)), expected, f"the matrix for the sizes {list(sizes)}")


@check("fisher_empirical", stands_on=(score,))
def check_fisher_empirical_is_the_fisher_matrix_of_a_right_model(student, rng):
    """Where the observed labels occur exactly as often as the model says, the empirical and the true Fisher matrix are equal."""
    sizes = (2, 3)
    theta = torch.tensor([0.0] * 6 + [np.log(0.5), np.log(0.25), np.log(0.25)], dtype=torch.float64)
    inputs = normal(rng, 5, 2, dtype=torch.float64).repeat_interleave(4, dim=0)
    fisher = student.fisher_empirical(theta, inputs, torch.tensor([0, 0, 1, 2]).repeat(5), list(sizes))
    expect_close(fisher, softmax_fisher(theta.numpy(), inputs.numpy(), sizes), "the matrix")


@check("fisher_empirical", points=0.5, stands_on=(score,))
def check_fisher_empirical_has_one_direction_for_each_example(student, rng):
    """Two examples give a matrix of rank two that looks only along their scores."""
    theta, inputs = case(rng, MLP, 2)
    labels = drawn_labels(rng, MLP[-1], 2)
    fisher = expect_numbers(student.fisher_empirical(theta, inputs, labels, list(MLP)), [21, 21], "the matrix")
    eigenvalues = np.linalg.eigvalsh(fisher)
    expect(eigenvalues[-2] > 1e-4 and np.abs(eigenvalues[:-2]).max() < 1e-5, "two examples do not give two directions")
    scores = scores_of(theta.numpy(), inputs.numpy(), MLP)[np.arange(2), labels]
    expect_close(np.trace(fisher), (scores**2).sum() / 2, "the trace")


@check("expected_hessian")
def check_expected_hessian_is_the_fisher_matrix(student, rng):
    """With the model's own probabilities as q, the expected Hessian of −log p equals the Fisher matrix."""
    for sizes, count in ((SOFTMAX, 5), (MLP, 4), (DEEP, 2)):
        theta, inputs = case(rng, sizes, count)
        own = torch.as_tensor(np.exp(log_probabilities(theta.numpy(), inputs.numpy(), sizes)))
        hessian = student.expected_hessian(theta, inputs, own, list(sizes))
        expect_close(hessian, fisher_of(theta.numpy(), inputs.numpy(), sizes), f"the matrix for the sizes {list(sizes)}")


@check("expected_hessian")
def check_expected_hessian_is_the_hessian_of_the_loss(student, rng):
    """With q one-hot at observed labels, or any other distribution, it is the second derivative of the loss, and no Fisher matrix."""
    theta, inputs = case(rng, MLP, 5)
    observed = np.eye(MLP[-1])[drawn_labels(rng, MLP[-1], 5)]
    for label_probabilities in (observed, rng.dirichlet(np.ones(MLP[-1]), size=5)):

        def loss(moved: Array, label_probabilities: Array = label_probabilities) -> float:
            return -(label_probabilities * log_probabilities(moved, inputs.numpy(), MLP)).sum() / 5

        second = differentiated(lambda moved, loss=loss: differentiated(loss, moved, 1e-4), theta.numpy(), 1e-4)  # error 10⁻⁷
        hessian = student.expected_hessian(theta, inputs, torch.as_tensor(label_probabilities), list(MLP))
        expect_close(hessian, second, "the matrix")


@check("expected_hessian", points=0.5)
def check_expected_hessian_of_softmax_regression(student, rng):
    """The curvature of softmax regression depends on no labels: for every q it is the Fisher matrix, averaged over the inputs."""
    theta, inputs = case(rng, SOFTMAX, 6)
    for label_probabilities in (rng.dirichlet(np.ones(4), size=6), np.eye(4)[[0] * 6]):
        hessian = student.expected_hessian(theta, inputs.repeat(2, 1), torch.as_tensor(label_probabilities).repeat(2, 1), list(SOFTMAX))
        expect_close(hessian, softmax_fisher(theta.numpy(), inputs.numpy(), SOFTMAX), "the matrix")


@check("kl_divergence")
def check_kl_divergence_from_the_definition(student, rng):
    """It is the sum over the classes of p log(p / q), p being of the first parameters and q of the second, averaged over the inputs."""
    for sizes, count in ((SOFTMAX, 1), (SOFTMAX, 6), (DEEP, 5)):
        theta, inputs = case(rng, sizes, count)
        other = normal(rng, len(theta), dtype=torch.float64)
        expected = kl_of(theta.numpy(), other.numpy(), inputs.numpy(), sizes)
        expect_close(student.kl_divergence(theta, other, inputs, list(sizes)), expected, f"the divergence for the sizes {list(sizes)}")


@check("kl_divergence", points=0.5)
def check_kl_divergence_sees_distributions_only(student, rng):
    """It is zero between parameters that describe the same distributions, even if they differ, and grows with the distance."""
    theta, inputs = case(rng, SOFTMAX, 5)
    shifted = theta.clone()
    shifted[-4:] += 3
    divergences = [student.kl_divergence(theta, other, inputs, list(SOFTMAX)) for other in (theta, shifted, 0.5 * theta, -theta)]
    for divergence, other in zip(divergences, (theta, shifted, 0.5 * theta, -theta), strict=True):
        expect_close(divergence, kl_of(theta.numpy(), other.numpy(), inputs.numpy(), SOFTMAX), "the divergence")


@check("kl_divergence", points=0.5)
def check_kl_divergence_survives_underflow(student, rng):
    """It is finite and right where a class has no probability left in float64 under either distribution."""
    theta = torch.tensor([2000.0, 0.0, 0.0, 0.0], dtype=torch.float64)  # logits 2000 x and 0
    other = torch.tensor([1000.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    inputs = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    expect_close(student.kl_divergence(theta, theta, inputs, [1, 2]), 0.0, "the divergence of a distribution from itself")
    expect_close(student.kl_divergence(other, theta, inputs, [1, 2]), 0.0, "the divergence of two distributions that are equally certain")
    uniform = torch.zeros(4, dtype=torch.float64)
    expect_close(
        student.kl_divergence(theta, uniform, inputs, [1, 2]), np.log(2), "the divergence of a certain from a uniform distribution"
    )


@check("kl_quadratic")
def check_kl_quadratic_is_half_the_form(student, rng):
    """It is half of Σ_ij d_i F_ij d_j, in any dimension."""
    for size in (1, 2, 7):
        fisher, displacement = symmetric(rng, rng.uniform(0, 3, size=size)), rng.normal(size=size)
        expected = sum(displacement[i] * fisher[i, j] * displacement[j] for i in range(size) for j in range(size)) / 2
        form = student.kl_quadratic(torch.as_tensor(fisher), torch.as_tensor(displacement))
        expect_close(form, expected, f"the form in dimension {size}")


@check("kl_quadratic")
def check_kl_quadratic_approximates_the_divergence(student, rng):
    """Its distance from the exact divergence falls like the cube of the displacement: a tenth of it leaves a thousandth."""
    theta, inputs = case(rng, MLP, 6)
    theta, inputs = theta.numpy(), inputs.numpy()
    fisher, directions = fisher_of(theta, inputs, MLP), rng.normal(size=(4, 21))

    def error(displacement: Array) -> float:
        form = student.kl_quadratic(torch.as_tensor(fisher), torch.as_tensor(displacement))
        return abs(float(expect_numbers(form, [], "the form")) - kl_of(theta, theta + displacement, inputs, MLP))

    large, small = (sum(error(scale * direction) for direction in directions) for scale in (0.1, 0.01))
    expect(small < 0.004 * large, "the distance from the divergence does not fall like the cube of the displacement")


@check("natural_gradient")
def check_natural_gradient_solves_the_system(student, rng):
    """Multiplied by F + λI it gives the gradient back, however different the curvatures are; it points uphill."""
    for eigenvalues, damping in (([2.0], 0.0), ([1e3, 1.0, 1e-3], 0.0), ([5.0, 2.0, 1.0, 0.1], 0.3), ([3.0, 1.0, 0.0, 0.0, 0.0], 0.5)):
        size = len(eigenvalues)
        fisher, gradient = symmetric(rng, eigenvalues), normal(rng, size, dtype=torch.float64)
        expected = np.linalg.pinv(fisher + damping * np.eye(size)) @ gradient.numpy()
        expect_close(student.natural_gradient(torch.as_tensor(fisher), gradient, damping), expected, f"the direction in dimension {size}")


@check("natural_gradient")
def check_natural_gradient_is_invariant(student, rng):
    """Without damping a linear change of the parameters, θ = Aθ', changes the numbers but not the step: d = Ad'."""
    fisher, gradient = symmetric(rng, [3.0, 1.0, 0.5, 0.2]), rng.normal(size=4)
    change = symmetric(rng, [4.0, 2.0, 1.0, 0.5]) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]

    def direction(fisher: Array, gradient: Array) -> Array:
        return expect_numbers(student.natural_gradient(torch.as_tensor(fisher), torch.as_tensor(gradient), 0.0), [4], "the direction")

    original = direction(fisher, gradient)
    expect(gradient @ original > 0, "the direction points downhill; it is the descent that subtracts it")
    changed = direction(change.T @ fisher @ change, change.T @ gradient)
    expect_close(change @ changed, original, "the step for the other parameters, taken back")


@check("natural_gradient", points=0.5)
def check_natural_gradient_under_damping(student, rng):
    """Damping that dwarfs the curvature leaves the plain gradient divided by λ, and it acts on every direction alike."""
    fisher, gradient = symmetric(rng, [2.0, 1.0, 0.5]), normal(rng, 3, dtype=torch.float64)
    direction = expect_numbers(student.natural_gradient(torch.as_tensor(fisher), gradient, 1e9), [3], "the direction")
    expect_close(1e9 * direction, gradient.numpy(), "λ times the direction")
    direction = student.natural_gradient(torch.zeros(3, 3, dtype=torch.float64), gradient, 0.25)
    expect_close(direction, 4 * gradient.numpy(), "the direction for F = 0")


@check("natural_gradient", points=0.5)
def check_natural_gradient_refuses_a_singular_matrix(student, rng):
    """Without damping, a singular Fisher matrix ends in a ValueError that says what to do."""
    gradient = normal(rng, 2, dtype=torch.float64)
    student.natural_gradient(torch.eye(2, dtype=torch.float64), gradient, 0.0)  # which is not singular
    for singular in (np.zeros((2, 2)), np.diag([0.0, 1.0]), np.ones((2, 2))):
        call = partial(student.natural_gradient, torch.as_tensor(singular), gradient, 0.0)
        expect_refusal(call, "a singular Fisher matrix")


@check("diagonal_natural_gradient")
def check_diagonal_natural_gradient_ignores_the_rest(student, rng):
    """Each component is divided by its own diagonal element plus λ, whatever stands beside the diagonal."""
    for size, damping in ((1, 0.0), (3, 0.0), (6, 0.4)):
        fisher, gradient = symmetric(rng, np.linspace(0.3, 4, size)), rng.normal(size=size)
        expected = [gradient[i] / (fisher[i, i] + damping) for i in range(size)]
        direction = student.diagonal_natural_gradient(torch.as_tensor(fisher), torch.as_tensor(gradient), damping)
        expect_close(direction, expected, f"the direction in dimension {size}")


@check("diagonal_natural_gradient", points=0.5)
def check_diagonal_natural_gradient_of_a_diagonal_matrix(student, rng):
    """For a diagonal Fisher matrix it is the natural gradient itself: scaling a parameter by c scales its step by 1/c."""
    curvature, gradient = rng.uniform(0.5, 2, size=5), rng.normal(size=5)
    scale = np.array([0.01, 0.1, 1.0, 10.0, 100.0])
    direction = student.diagonal_natural_gradient(torch.as_tensor(np.diag(scale**2 * curvature)), torch.as_tensor(scale * gradient), 0.0)
    expect_close(direction, gradient / curvature / scale, "the direction")


@check("diagonal_natural_gradient", points=0.5)
def check_diagonal_natural_gradient_refuses_a_zero(student, rng):
    """A zero on the diagonal ends in a ValueError without damping, and is no obstacle with it."""
    gradient, fisher = normal(rng, 3, dtype=torch.float64), torch.diag(torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64))
    expect_refusal(partial(student.diagonal_natural_gradient, fisher, gradient, 0.0), "a zero on the diagonal without damping")
    expected = gradient.numpy() / np.array([1.0, 0.5, 2.5])
    expect_close(student.diagonal_natural_gradient(fisher, gradient, 0.5), expected, "the damped direction")


def attempt(student: Student, seed: int) -> Attempt:
    """Let the submission fit 400 examples in a few steps; the score is measured on 2000 others, which it never sees.

    The score is exp(−D), D being the mean divergence of the fitted distributions from those that drew the labels: 1 is perfect.
    """
    inputs, labels, true_log_probabilities = (part.numpy() for part in ill_conditioned_problem(derived_seed(seed, "training check"), 2400))
    start = torch.zeros(parameter_count(SIZES), dtype=torch.float64)
    examples = torch.as_tensor(inputs[:400]), torch.as_tensor(labels[:400])
    iterates = student.natural_gradient_descent(start, *examples, list(SIZES), 1.0, STEPS, DAMPING)
    iterates = expect_numbers(iterates, [STEPS + 1, len(start)], "the sequence of iterates")

    def closeness(theta: Array) -> float:
        excess = true_log_probabilities[400:] - log_probabilities(theta, inputs[400:], SIZES)
        return float(np.exp(-(np.exp(true_log_probabilities[400:]) * excess).sum(axis=1).mean()))

    curve = tuple((step, closeness(theta)) for step, theta in enumerate(iterates))
    return Attempt(curve[-1][1], STEPS, curve)


TOPIC = Topic(
    name="newton_fisher",
    title="Newton's method and the Fisher information",
    exercises=(
        "newton_root",
        "newton_minimize",
        "score",
        "fisher_exact",
        "fisher_sampled",
        "fisher_empirical",
        "expected_hessian",
        "kl_divergence",
        "kl_quadratic",
        "natural_gradient",
        "diagonal_natural_gradient",
    ),
    checks=checks_of(__name__),
    trainings=(
        Training(
            name="ill_conditioned",
            claim=f"Natural gradient descent fits badly scaled features in {STEPS} steps, better than gradient descent does in 1000.",
            points=3,
            attempt=attempt,
            environment="softmax regression, curvatures from 10⁻³ to 10",
            seconds=30.0,
        ),
    ),
)
