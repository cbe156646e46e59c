"""Properties of the solution, and of the checks' own classifier, that the hidden checks do not state."""

import numpy as np
import pytest
import torch

from grader.contract.expect import Wrong
from grader.contract.student import StudentError
from grader.grading.diagnosis import trusted
from grader.topics.newton_fisher import checks as topic
from npfl139.seeding import numpy_stream, torch_stream
from solutions import newton_fisher

MLP = (2, 3, 3)


@pytest.fixture
def generator() -> torch.Generator:
    return torch_stream(1, "test_newton_fisher")


@pytest.fixture
def case(generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Parameters [21] and inputs [6, 2] of the network."""
    theta = torch.randn(newton_fisher.parameter_count(MLP), generator=generator, dtype=torch.float64)
    return theta, torch.randn(6, 2, generator=generator, dtype=torch.float64)


def reference() -> object:
    return trusted(topic.TOPIC, topic.TOPIC.solution.read_text(), "newton_fisher.py")


def test_both_classifiers_are_the_same(case):
    theta, inputs = case
    ours = newton_fisher.log_probabilities(theta, inputs, MLP)
    np.testing.assert_allclose(ours, topic.log_probabilities(theta.numpy(), inputs.numpy(), MLP), rtol=1e-12)
    torch.testing.assert_close(newton_fisher.log_probabilities(theta, inputs[2], MLP), ours[2])


def test_two_ways_to_the_fisher_matrix_of_softmax_regression():
    rng = numpy_stream(1, "fisher")
    theta, inputs = rng.normal(size=16), rng.normal(size=(5, 3))
    np.testing.assert_allclose(topic.fisher_of(theta, inputs, topic.SOFTMAX), topic.softmax_fisher(theta, inputs, topic.SOFTMAX), atol=1e-8)


def test_the_metric_follows_a_change_of_parameters(case):
    """F' = Jᵀ F J, for a hidden unit whose sign is flipped on both sides: a change of parameters that leaves all distributions."""
    theta, inputs = case
    flip = torch.ones(21, dtype=torch.float64)
    flip[[0, 1, 6, 9, 12, 15]] = -1  # weights in [0, 1] and bias [6] of the first unit, weights out of it [9, 12, 15]
    log_probabilities, flipped_log_probabilities = (newton_fisher.log_probabilities(each, inputs, MLP) for each in (theta, flip * theta))
    torch.testing.assert_close(flipped_log_probabilities, log_probabilities)
    flipped = newton_fisher.fisher_exact(flip * theta, inputs, MLP)
    torch.testing.assert_close(flipped, flip[:, None] * newton_fisher.fisher_exact(theta, inputs, MLP) * flip)


def test_the_natural_gradient_does_not_depend_on_the_units_of_the_inputs(generator):
    """In softmax regression other units of x are another parametrization; the fitted distributions after a step are the same."""
    sizes, units = (3, 2), torch.tensor([1.0, 100.0, 0.01], dtype=torch.float64)
    inputs, labels = torch.randn(40, 3, generator=generator, dtype=torch.float64), torch.randint(2, [40], generator=generator)
    start = torch.zeros(8, dtype=torch.float64)
    fitted = [
        newton_fisher.log_probabilities(newton_fisher.natural_gradient_descent(start, x, labels, sizes, 1.0, 3, 1e-9)[-1], x, sizes)
        for x in (inputs, units * inputs)
    ]
    torch.testing.assert_close(fitted[0], fitted[1], rtol=1e-3, atol=1e-3)  # the damping is not invariant


def test_the_sampled_matrix_is_unbiased(case, generator):
    theta, inputs = case
    sampled = newton_fisher.fisher_sampled(theta, inputs, MLP, 4000, generator)
    torch.testing.assert_close(sampled, newton_fisher.fisher_exact(theta, inputs, MLP), rtol=0, atol=0.05)  # six standard errors


def test_newton_and_natural_gradient_agree_on_softmax_regression():
    """There the Fisher matrix is the Hessian, whatever the labels."""
    inputs, labels, _ = newton_fisher.ill_conditioned_problem(seed=3, count=200)
    problem = (torch.zeros(21, dtype=torch.float64), inputs, labels, newton_fisher.SIZES)
    newton = newton_fisher.newton_descent(*problem, 3, newton_fisher.DAMPING)
    torch.testing.assert_close(newton, newton_fisher.natural_gradient_descent(*problem, 1.0, 3, newton_fisher.DAMPING))


def test_the_comparison_comes_out_as_the_lecture_says():
    inputs, labels, _ = newton_fisher.ill_conditioned_problem(seed=1, count=300)
    runs = newton_fisher.compare(inputs, labels)
    final = {name: newton_fisher.loss(iterates[-1], inputs, labels, newton_fisher.SIZES).item() for name, iterates in runs.items()}
    assert final["natural gradient"] == pytest.approx(final["Newton"], abs=1e-6)
    assert final["natural gradient"] < final["gradient descent, 100 times the steps"] - 0.1 < final["gradient descent"] - 0.1
    assert final["natural gradient"] < final["diagonal natural gradient"] - 0.1


def test_the_training_check_tells_a_gradient_from_a_natural_gradient():
    attempt = topic.attempt(reference(), seed=1)
    plain = topic.TOPIC.solution.read_text() + "\n\ndef natural_gradient(fisher, gradient, damping):\n    return 0.1 * gradient\n"
    assert attempt.score > 0.93
    assert attempt.steps == newton_fisher.STEPS and len(attempt.curve) == newton_fisher.STEPS + 1
    assert topic.attempt(trusted(topic.TOPIC, plain, "plain.py"), seed=1).score < 0.8


def test_iterates_of_a_wrong_shape_or_value_are_the_submissions_fault():
    for body in ("return start", "return torch.full([13, 21], torch.nan)", "return 'done'"):
        source = topic.TOPIC.solution.read_text() + f"\n\ndef natural_gradient_descent(start, *_):\n    {body}\n"
        with pytest.raises(Wrong):
            topic.attempt(trusted(topic.TOPIC, source, "wrong.py"), seed=1)


def test_a_callback_called_with_nonsense_is_the_submissions_fault():
    source = topic.TOPIC.solution.read_text()
    for argument in ("'x'", "[1.0, 2.0]"):
        wrong = source + f"\n\ndef newton_root(function, derivative, start, steps):\n    return function({argument})\n"
        with pytest.raises(Wrong, match="a function that was passed in"):
            topic.check_newton_root_converges_quadratically(trusted(topic.TOPIC, wrong, "wrong.py"), numpy_stream(1))


@pytest.mark.parametrize("returned", ["torch.zeros(2)", "0 / 0", "raise ValueError"])
def test_what_is_not_a_refusal_with_a_message_does_not_pass_for_one(returned):
    body = returned if returned.startswith("raise") else f"return {returned}"
    source = topic.TOPIC.solution.read_text() + f"\n\ndef natural_gradient(fisher, gradient, damping):\n    {body}\n"
    with pytest.raises((Wrong, StudentError)):
        topic.check_natural_gradient_refuses_a_singular_matrix(trusted(topic.TOPIC, source, "wrong.py"), numpy_stream(1))


def test_solve_says_why_not():
    solve, vector = newton_fisher.solve, torch.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"the Hessian is singular \(rank 1 of 2\).*damping"):
        solve("the Hessian", torch.ones(2, 2), vector)
    with pytest.raises(ValueError, match="singular"):  # to the precision of float32, though not of float64
        solve("the Hessian", torch.diag(torch.tensor([1.0, 1e-9])), vector)
    with pytest.raises(ValueError, match="the Hessian contains NaN or infinity"):
        solve("the Hessian", torch.diag(torch.tensor([1.0, torch.nan])), vector)
    with pytest.raises(ValueError, match=r"the Hessian must have shape \[2, 2\], got \[3, 3\]"):
        solve("the Hessian", torch.eye(3), vector)


def test_wrong_shapes_are_named(case):
    theta, inputs = case
    labels = torch.zeros(6, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"theta must have shape \[21\], got \[20\]"):
        newton_fisher.log_probabilities(theta[1:], inputs, MLP)
    with pytest.raises(ValueError, match=r"inputs must have shape \[6, 2\], got \[6, 1\]"):
        newton_fisher.log_probabilities(theta, inputs[:, :1], MLP)
    with pytest.raises(ValueError, match=r"labels must have shape \[6\], got \[5\]"):
        newton_fisher.score(theta, inputs, labels[1:], MLP)


def test_newton_diverges_with_a_message():
    with pytest.raises(ValueError, match=r"f'\(x\) = 0 at x = 0.0"):
        newton_fisher.newton_root(lambda x: x**2 + 1, lambda x: 2 * x, 1.0, 2)
    with pytest.raises(ValueError, match="the diagonal of the Fisher matrix contains zeros"):
        newton_fisher.diagonal_natural_gradient(torch.diag(torch.tensor([1.0, 0.0])), torch.ones(2), 0.0)
