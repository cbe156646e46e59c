"""The hidden checks of trpo.

A policy is given code, so it lives in the submission; the checks set its parameters, lend it a divergence that owes nothing to the
exercises, and compare the Fisher-vector products with a dense matrix that they compute from the same parameters by themselves, as JᵀMJ
with J the Jacobian of what the network gives and M the Fisher information of the distribution in those coordinates.
"""

import itertools
import math

import gymnasium
import numpy as np
import torch

from grader.contract.expect import expect, expect_close, expect_numbers, normal
from grader.contract.spec import Topic, check, checks_of
from grader.contract.training import learns
from grader.topics.trpo import lent
from solutions.trpo import TRPOConfig

F64 = torch.float64


@check("policy_surrogate")
def check_surrogate_weights_by_the_ratio(student, rng):
    """The surrogate is the mean of the advantages, each weighted by how much more likely the new policy makes its action."""
    for count in (1, 37):
        log_prob_new, log_prob_old, advantage = (normal(rng, count, dtype=F64) for _ in range(3))
        rows = zip(log_prob_new.tolist(), log_prob_old.tolist(), advantage.tolist(), strict=True)
        expected = sum(math.exp(new - old) * a for new, old, a in rows) / count
        expect_close(student.policy_surrogate(log_prob_new, log_prob_old, advantage), expected, "the surrogate")


@check("policy_surrogate")
def check_surrogate_gradient_is_the_policy_gradient(student, rng):
    """At the old policy the gradient by each new log-probability is its advantage divided by their number: the policy gradient."""
    log_prob, advantage = -normal(rng, 11).abs(), normal(rng, 11)
    _, (gradient,) = student.gradient("policy_surrogate", log_prob, log_prob.clone(), advantage, wrt=[0])
    expect(gradient is not None, "the surrogate must depend on the new log-probabilities")
    expect_close(gradient, advantage / 11, "the gradient by the new log-probabilities")


@check("categorical_kl")
def check_categorical_kl_is_the_expected_log_ratio(student, rng):
    """Each row is the expectation, under the first distribution, of the logarithm of the ratio of both."""
    for rows, actions in ((1, 2), (7, 5)):
        logits_p, logits_q = 2 * normal(rng, rows, actions, dtype=F64), 2 * normal(rng, rows, actions, dtype=F64)
        p, q = probabilities(logits_p), probabilities(logits_q)
        expected = [
            sum(a * math.log(a / b) for a, b in zip(p_row, q_row, strict=True)) for p_row, q_row in zip(p.tolist(), q.tolist(), strict=True)
        ]
        expect_close(student.categorical_kl(logits_p, logits_q), expected, "KL(p ‖ q)")


@check("categorical_kl")
def check_categorical_kl_direction(student, rng):
    """The divergence is taken from the first argument to the second: it is large where the second almost excludes what the first does."""
    near_certain, even = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    certainty = 1 / (1 + math.exp(-9))
    entropy = -certainty * math.log(certainty) - (1 - certainty) * math.log(1 - certainty)
    expect_close(student.categorical_kl(near_certain, even), [math.log(2) - entropy], "the divergence from near-certain to even")
    backwards = math.log1p(math.exp(9)) - math.log(2) - 4.5
    expect_close(student.categorical_kl(even, near_certain), [backwards], "the divergence from even to near-certain")


@check("categorical_kl")
def check_categorical_kl_takes_any_logits(student, rng):
    """Logits need not be normalized nor small: a constant added to a row changes nothing, even a large one."""
    logits_p, logits_q = normal(rng, 4, 3), normal(rng, 4, 3)
    expected = (probabilities(logits_p) * (probabilities(logits_p).log() - probabilities(logits_q).log())).sum(dim=1)
    for shift_p, shift_q in ((3.0, -5.0), (500.0, 1000.0), (-1000.0, 200.0)):
        # At 1000 float32 keeps the logits to 6e-5, which is what the result may then be off by.
        actual = student.categorical_kl(logits_p + shift_p, logits_q + shift_q)
        expect_close(actual, expected, "KL(p ‖ q) of shifted logits", absolute=1e-3)
    expect_close(student.categorical_kl(logits_p, logits_p), torch.zeros(4), "KL(p ‖ p)")


@check("categorical_kl")
def check_categorical_kl_gradient(student, rng):
    """Its gradient by the second logits is q - p, and it also depends on the first."""
    logits_p, logits_q = normal(rng, 5, 3, dtype=F64), normal(rng, 5, 3, dtype=F64)
    _, (by_p, by_q) = student.gradient("categorical_kl", logits_p, logits_q, wrt=[0, 1])
    expect(by_p is not None and by_q is not None, "the divergence must carry a gradient to both arguments")
    p, q = probabilities(logits_p), probabilities(logits_q)
    log_ratio = p.log() - q.log()
    expect_close(by_q, q - p, "the gradient by logits_q")
    expect_close(by_p, p * (log_ratio - (p * log_ratio).sum(dim=1, keepdim=True)), "the gradient by logits_p")


@check("gaussian_kl")
def check_gaussian_kl_is_the_integral(student, rng):
    """In one dimension it is the integral of p (log p - log q)."""
    mean_p, mean_q = normal(rng, 6, 1, dtype=F64), normal(rng, 6, 1, dtype=F64)
    log_std_p, log_std_q = 0.5 * normal(rng, 6, 1, dtype=F64), 0.5 * normal(rng, 6, 1, dtype=F64)
    expected = []
    for mu_p, s_p, mu_q, s_q in zip(*(x.flatten().tolist() for x in (mean_p, log_std_p, mean_q, log_std_q)), strict=True):
        x = np.linspace(mu_p - 12 * math.exp(s_p), mu_p + 12 * math.exp(s_p), 20_001)  # beyond, p < 1e-31
        log_p, log_q = log_density(x, mu_p, s_p), log_density(x, mu_q, s_q)
        expected.append(np.trapezoid(np.exp(log_p) * (log_p - log_q), x))
    expect_close(student.gaussian_kl(mean_p, log_std_p, mean_q, log_std_q), expected, "KL(p ‖ q)")


@check("gaussian_kl")
def check_gaussian_kl_direction(student, rng):
    """The divergence is taken from the first pair of arguments to the second: from wide to narrow is farther than from narrow to wide."""
    zero, wide = torch.zeros(3, 1), torch.full((3, 1), math.log(3.0))
    expect_close(student.gaussian_kl(zero, wide, zero, zero), torch.full((3,), 4 - math.log(3)), "the divergence from wide to narrow")
    expect_close(student.gaussian_kl(zero, zero, zero, wide), torch.full((3,), math.log(3) - 4 / 9), "the divergence from narrow to wide")


@check("gaussian_kl")
def check_gaussian_kl_adds_up_over_dimensions(student, rng):
    """Dimensions are independent: their divergences add up, one sum for each row."""
    mean_p, log_std_p, mean_q, log_std_q = (0.7 * normal(rng, 5, 3) for _ in range(4))
    expected = sum(
        torch.distributions.kl_divergence(
            torch.distributions.Normal(mean_p[:, d].double(), log_std_p[:, d].double().exp()),
            torch.distributions.Normal(mean_q[:, d].double(), log_std_q[:, d].double().exp()),
        )
        for d in range(3)
    )
    expect_close(student.gaussian_kl(mean_p, log_std_p, mean_q, log_std_q), expected, "KL(p ‖ q)")
    expect_close(student.gaussian_kl(mean_p, log_std_p, mean_p, log_std_p), torch.zeros(5), "KL(p ‖ p)")


@check("gaussian_kl")
def check_gaussian_kl_gradient(student, rng):
    """Its gradients by the second mean and logarithm of the deviation say how to approach the first distribution; it also depends on the
    first ones."""
    mean_p, log_std_p, mean_q, log_std_q = (0.7 * normal(rng, 4, 2, dtype=F64) for _ in range(4))
    _, gradients = student.gradient("gaussian_kl", mean_p, log_std_p, mean_q, log_std_q, wrt=[0, 1, 2, 3])
    expect(all(gradient is not None for gradient in gradients), "the divergence must carry a gradient to all four arguments")
    variance, ratio = (2 * log_std_q).exp(), (2 * (log_std_p - log_std_q)).exp()
    expect_close(gradients[0], (mean_p - mean_q) / variance, "the gradient by mean_p")
    expect_close(gradients[1], ratio - 1, "the gradient by log_std_p")
    expect_close(gradients[2], (mean_q - mean_p) / variance, "the gradient by mean_q")
    expect_close(gradients[3], 1 - ratio - (mean_p - mean_q) ** 2 / variance, "the gradient by log_std_q")


@check("fisher_vector_product")
def check_fisher_product_of_a_linear_softmax_policy(student, rng):
    """For a linear softmax policy the products with F equal those with the matrix known in closed form."""
    policy, parameters = policy_of(student, rng, "CategoricalPolicy", 3, 4, [])
    observation = normal(rng, 9, 3, dtype=F64)
    fisher = dense_fisher("CategoricalPolicy", parameters, observation, 4, [])
    for _ in range(2):
        vector = normal(rng, len(parameters), dtype=F64)
        expect_close(student.fisher_vector_product(policy, observation, vector, 0.0), fisher @ vector, "F v")


@check("fisher_vector_product")
def check_fisher_product_of_a_network(student, rng):
    """For a policy with a hidden layer the product equals that with the dense matrix, parameter by parameter."""
    policy, parameters = policy_of(student, rng, "CategoricalPolicy", 2, 3, [4])
    observation, vector = normal(rng, 12, 2, dtype=F64), normal(rng, len(parameters), dtype=F64)
    fisher = dense_fisher("CategoricalPolicy", parameters, observation, 3, [4])
    expect_close(student.fisher_vector_product(policy, observation, vector, 0.0), fisher @ vector, "F v")


@check("fisher_vector_product")
def check_fisher_product_of_a_gaussian_policy(student, rng):
    """For a Gaussian policy F also knows how the divergence depends on the standard deviations."""
    policy, parameters = policy_of(student, rng, "GaussianPolicy", 2, 2, [3])
    observation, vector = normal(rng, 8, 2, dtype=F64), normal(rng, len(parameters), dtype=F64)
    fisher = dense_fisher("GaussianPolicy", parameters, observation, 2, [3])
    expect_close(student.fisher_vector_product(policy, observation, vector, 0.0), fisher @ vector, "F v")


@check("fisher_vector_product")
def check_damping_adds_a_multiple_of_the_vector(student, rng):
    """Damping adds the same multiple of v, whatever the policy and however many observations there are; the parameters and their gradients
    stay as they are, and none flows into the product."""
    policy, parameters = policy_of(student, rng, "CategoricalPolicy", 2, 3, [])
    vector = normal(rng, len(parameters), dtype=F64)
    for count, damping in ((1, 0.5), (6, 0.01)):
        observation = normal(rng, count, 2, dtype=F64)
        fisher = dense_fisher("CategoricalPolicy", parameters, observation, 3, [])
        expected = fisher @ vector + damping * vector
        expect_close(student.fisher_vector_product(policy, observation, vector, damping), expected, "(F + damping I) v")
    expect_close(policy.flat(), parameters, "the policy's parameters afterwards")
    _, (gradients,) = student.gradient("fisher_vector_product", policy, observation, vector, damping, wrt=[0])
    expect(all(gradient is None for gradient in gradients), "the product must not carry a gradient to the parameters")
    expect(student.define(lent).untouched(policy) is True, "it changed the `.grad` of the policy's parameters")


@check("conjugate_gradient")
def check_conjugate_gradient_solves(student, rng):
    """As many iterations as there are unknowns solve the equations."""
    for size in (1, 3, 8):
        matrix, target = positive_definite(rng, size), normal(rng, size, dtype=F64)
        actual = student.conjugate_gradient(Product(matrix), target, size, 0.0)
        expect_close(actual, torch.linalg.solve(matrix, target), "the solution")


@check("conjugate_gradient")
def check_conjugate_gradient_is_optimal_at_every_iteration(student, rng):
    """After k iterations the solution minimizes ½ xᵀA x - bᵀx over the span of b, A b, …, Aᵏ⁻¹ b."""
    matrix, target = positive_definite(rng, 8), normal(rng, 8, dtype=F64)
    for iterations in (1, 2, 3, 5):
        krylov = torch.linalg.qr(torch.stack([torch.linalg.matrix_power(matrix, k) @ target for k in range(iterations)], dim=1)).Q
        expected = krylov @ torch.linalg.solve(krylov.T @ matrix @ krylov, krylov.T @ target)
        actual = student.conjugate_gradient(Product(matrix), target, iterations, 0.0)
        expect_close(actual, expected, f"the solution after {iterations} iterations")


@check("conjugate_gradient")
def check_conjugate_gradient_computes_one_product_per_iteration(student, rng):
    """Each iteration computes one product, and no product is computed outside of them."""
    for iterations in (1, 4):
        product = Product(positive_definite(rng, 8))
        student.conjugate_gradient(product, normal(rng, 8, dtype=F64), iterations, 0.0)
        expect(product.count == iterations, f"{iterations} iterations computed {product.count} products")


@check("conjugate_gradient")
def check_conjugate_gradient_stops_when_the_residual_is_small(student, rng):
    """It stops as soon as the residual is at most the tolerance times the target, whatever the scale of both."""
    basis = torch.linalg.qr(normal(rng, 6, 6, dtype=F64)).Q
    for scale in (1.0, 1e6, 1e-6):
        product = Product(basis @ torch.diag(torch.tensor([2.0, 2.0, 2.0, 5.0, 5.0, 5.0], dtype=F64)) @ basis.T)
        target = scale * normal(rng, 6, dtype=F64)
        actual = student.conjugate_gradient(product, target, 6, 1e-5)
        expect(product.count == 2, f"with two different eigenvalues 2 products are enough, not {product.count}")
        expect_close(numbers(actual, (6,), "the solution") / scale, torch.linalg.solve(product.matrix, target) / scale, "the solution")
    matrix, target = positive_definite(rng, 8), normal(rng, 8, dtype=F64)
    for tolerance in (0.5, 0.05):
        product = Product(matrix)
        solution = student.conjugate_gradient(product, target, 8, tolerance)
        expected, iterations = first_within(matrix, target, tolerance)
        expect_close(solution, expected, f"the first solution with a residual of at most {tolerance} of the target")
        expect(product.count == iterations, "it must stop as soon as the residual is small enough")


@check("conjugate_gradient")
def check_conjugate_gradient_stops_where_there_is_nothing_to_solve(student, rng):
    """For a target of zeros the solution is zero and no product is needed; a direction in which A vanishes or is negative is not followed,
    and nothing comes after it."""
    product = Product(positive_definite(rng, 4))
    expect_close(student.conjugate_gradient(product, torch.zeros(4, dtype=F64), 4, 1e-6), torch.zeros(4), "the solution for b = 0")
    expect(product.count == 0, f"for b = 0 it computed {product.count} products")
    target = torch.tensor([1.0, 1.0], dtype=F64)
    indefinite = Product(torch.diag(torch.tensor([2.0, -1.0], dtype=F64)))  # r = (1, 1), α = 2, x = (2, 2); then pᵀA p < 0
    expect_close(student.conjugate_gradient(indefinite, target, 5, 1e-6), [2.0, 2.0], "the last solution before A is negative")
    singular, target = torch.diag(torch.tensor([2.0, 0.0], dtype=F64)), torch.tensor([0.0, 3.0], dtype=F64)
    expect_close(student.conjugate_gradient(Product(singular), target, 2, 1e-6), [0.0, 0.0], "the solution where A b = 0")
    target = torch.tensor([1.0, 1.0], dtype=F64)  # r = (1, 1), Ap = (2, 0), α = 1, x = (1, 1); then p = (0, 2) and A p = 0
    product = Product(singular)
    expect_close(student.conjugate_gradient(product, target, 5, 1e-6), [1.0, 1.0], "the last solution before A vanishes")
    expect(product.count == 2, f"it must stop where A vanishes, which the second product shows, but it computed {product.count}")


@check("natural_step_size")
def check_natural_step_has_a_fixed_length(student, rng):
    """The step has the length λ in the metric of F: the square root of its product with F and itself."""
    for size, learning_rate in ((2, 0.1), (6, 3.0)):
        fisher, gradient = positive_definite(rng, size), normal(rng, size, dtype=F64)
        direction = torch.linalg.solve(fisher, gradient)
        step = numbers(student.natural_step_size(gradient, direction, learning_rate), (), "the step size") * direction
        expect_close((step @ fisher @ step).sqrt(), learning_rate, "the length of the step")


@check("natural_step_size")
def check_natural_step_ignores_the_scale_of_the_gradient(student, rng):
    """A gradient that is ten times as large, or a hundredth, gives the same step; one of zeros, or with gᵀF⁻¹g < 0, gives none."""
    gradient, direction = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 10.0])  # gᵀd = 49
    expect_close(student.natural_step_size(gradient, direction, 0.7), 0.1, "the step size")
    expect_close(student.natural_step_size(10 * gradient, 10 * direction, 0.7), 0.01, "the step size for ten times the gradient")
    expect_close(student.natural_step_size(gradient / 100, direction / 100, 0.7), 10.0, "the step size for a hundredth of the gradient")
    expect_close(student.natural_step_size(gradient, -direction, 0.7), 0.0, "the step size where gᵀF⁻¹g is negative")
    expect_close(student.natural_step_size(torch.zeros(2), torch.zeros(2), 0.7), 0.0, "the step size for a gradient of zeros")


@check("trust_region_step_size")
def check_trust_region_step_reaches_the_boundary(student, rng):
    """The step ends where the quadratic model of the divergence, half its product with F and itself, is δ."""
    for dimension, max_kl in ((2, 0.01), (6, 0.5)):
        fisher, direction = positive_definite(rng, dimension), 3 * normal(rng, dimension, dtype=F64)
        size = numbers(student.trust_region_step_size(direction, fisher @ direction, max_kl), (), "the step size")
        expect(size > 0, "the step size must be positive, or the step leads away from the direction")
        step = size * direction
        expect_close(step @ fisher @ step / 2, max_kl, "the modelled divergence of the step")


@check("trust_region_step_size")
def check_trust_region_step_holds_for_a_real_policy(student, rng):
    """A softmax distribution moved by a small step of this size diverges by δ from what it was."""
    logits, direction = normal(rng, 4, dtype=F64), normal(rng, 4, dtype=F64)
    p, max_kl = probabilities(logits), 1e-6  # the cubic term of the divergence is then three orders smaller
    size = numbers(student.trust_region_step_size(direction, (torch.diag(p) - torch.outer(p, p)) @ direction, max_kl), (), "the step size")
    divergence = (p * (p.log() - probabilities(logits + size * direction).log())).sum()
    expect_close(divergence / max_kl, 1.0, "the divergence, relative to δ", relative=1e-2)


@check("trust_region_step_size", points=0.5)
def check_trust_region_step_is_zero_without_a_direction(student, rng):
    """Where dᵀF d is not positive the step size is zero, and only there."""
    expect_close(student.trust_region_step_size(torch.tensor([2.0]), torch.tensor([1.0]), 0.01), 0.1, "the step size along a direction")
    actual = student.trust_region_step_size(torch.tensor([2.0]), torch.tensor([-1.0]), 0.01)
    expect_close(actual, 0.0, "the step size where dᵀF d is negative")
    expect_close(student.trust_region_step_size(torch.zeros(3), torch.zeros(3), 0.01), 0.0, "the step size without a direction")


@check("backtracking_line_search")
def check_line_search_takes_the_full_step_if_it_can(student, rng):
    """A full step that improves the surrogate within the trust region is taken, whatever the sign of the surrogate."""
    theta, step = normal(rng, 3, dtype=F64), normal(rng, 3, dtype=F64)
    for offset in (-5.0, 0.0, 5.0):
        line = Line(theta, step, lambda t, offset=offset: offset + t, lambda t: 0.01 * t**2)
        expect_on_the_way(student.backtracking_line_search(line, theta, step, 0.1, 0.5, 10), theta, step, 1.0)


@check("backtracking_line_search")
def check_line_search_shrinks_until_the_divergence_holds(student, rng):
    """As long as the divergence exceeds δ the step is shrunk by the same factor, and the first candidate with at most δ is taken."""
    theta, step = normal(rng, 4, dtype=F64), normal(rng, 4, dtype=F64)
    line = Line(theta, step, lambda t: abs(t), lambda t: t**2 if 0 < t <= 1 else 0.0)  # whoever leaves the way is taken at their word
    for shrink, max_kl, accepted in ((0.5, 0.1, 0.25), (0.8, 0.3, 0.512), (0.1, 0.9, 0.1)):
        expect_on_the_way(student.backtracking_line_search(line, theta, step, max_kl, shrink, 20), theta, step, accepted)
    actual = student.backtracking_line_search(line, theta, step, 0.25, 0.5, 20)
    expect_on_the_way(actual, theta, step, 0.5, "the parameters where the divergence of a candidate is δ")


@check("backtracking_line_search")
def check_line_search_demands_an_improvement(student, rng):
    """A candidate whose surrogate is not greater than that of the old parameters is passed over, however close it is."""
    theta, step = normal(rng, 2, dtype=F64), normal(rng, 2, dtype=F64)
    for offset in (-3.0, 0.0, 3.0):
        line = Line(theta, step, lambda t, offset=offset: offset + t * (0.3 - t), lambda t: 1e-3 * t)  # better only for t < 0.3
        expect_on_the_way(student.backtracking_line_search(line, theta, step, 0.1, 0.5, 10), theta, step, 0.25)
    flat = Line(theta, step, lambda t: 1.0, lambda t: 1e-3 * t)
    actual = student.backtracking_line_search(flat, theta, step, 0.1, 0.5, 10)
    expect_on_the_way(actual, theta, step, 0.0, "the parameters where the surrogate stays the same")


@check("backtracking_line_search")
def check_line_search_gives_the_old_parameters_back(student, rng):
    """When no candidate is acceptable, and only then, the old parameters are back, exactly."""
    theta, step = normal(rng, 3, dtype=F64), normal(rng, 3, dtype=F64)
    worse = Line(theta, step, lambda t: -t, lambda t: 1e-3 * t)
    actual = student.backtracking_line_search(worse, theta, step, 0.1, 0.5, 8)
    expect_on_the_way(actual, theta, step, 0.0, "the parameters when every candidate is worse", absolute=1e-9)
    far = Line(theta, step, lambda t: t, lambda t: 1.0 * (t > 0))
    actual = student.backtracking_line_search(far, theta, step, 0.1, 0.5, 8)
    expect_on_the_way(actual, theta, step, 0.0, "the parameters when every candidate is too far", absolute=1e-9)
    better = Line(theta, step, lambda t: t, lambda t: 1e-3 * t)
    actual = student.backtracking_line_search(better, theta, step, 0.1, 0.5, 8)
    expect_on_the_way(actual, theta, step, 1.0, "the parameters when every candidate is acceptable")


@check("backtracking_line_search")
def check_line_search_tries_as_many_candidates_as_allowed(student, rng):
    """The full step counts as the first of the candidates, and none is tried beyond their number."""
    theta, step = normal(rng, 3, dtype=F64), normal(rng, 3, dtype=F64)
    line = Line(theta, step, lambda t: t, lambda t: t)  # within δ = 0.3 from the third candidate on, t = 0.25
    for attempts, accepted in ((1, 0.0), (2, 0.0), (3, 0.25), (4, 0.25)):
        actual = student.backtracking_line_search(line, theta, step, 0.3, 0.5, attempts)
        expect_on_the_way(actual, theta, step, accepted, f"the parameters after at most {attempts} candidates")


@check("backtracking_line_search", points=0.5)
def check_line_search_rejects_what_is_not_a_number(student, rng):
    """A candidate whose surrogate or divergence is NaN is not acceptable."""
    theta, step = normal(rng, 2, dtype=F64), normal(rng, 2, dtype=F64)
    surrogate_breaks = Line(theta, step, lambda t: math.nan if t > 0.4 else t, lambda t: 0.01 * t)
    divergence_breaks = Line(theta, step, lambda t: t, lambda t: math.nan if t > 0.4 else 0.01 * t)
    for what, line in (("surrogate", surrogate_breaks), ("divergence", divergence_breaks)):
        actual = student.backtracking_line_search(line, theta, step, 0.1, 0.5, 10)
        expect_on_the_way(actual, theta, step, 0.25, f"the parameters where the {what} of the first candidates is NaN")


@check("performance_difference")
def check_performance_difference_is_the_difference_of_performances(student, rng):
    """It equals the performance of the new policy less that of the old one, both computed by iterating the Bellman equation."""
    for states, actions, discount in ((2, 2, 0.9), (5, 3, 0.6)):
        arrays, mdp = random_mdp(student, rng, states, actions, discount)
        old, new = random_policy(rng, states, actions), random_policy(rng, states, actions)
        expected = performance(*arrays, new) - performance(*arrays, old)
        expect_close(student.performance_difference(mdp, old, new), expected, "the difference")
        expect_close(student.performance_difference(mdp, new, old), -expected, "the difference the other way round")


@check("performance_difference")
def check_performance_difference_in_a_chain(student, rng):
    """Leaving a worthless state for one with reward 1 per step is worth γ/(1 - γ); a policy is no better than itself."""
    transition = torch.zeros(2, 2, 2, dtype=F64)
    transition[0, 0, 0] = transition[0, 1, 1] = transition[1, 0, 1] = transition[1, 1, 0] = 1
    reward, start = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=F64), torch.tensor([1.0, 0.0], dtype=F64)
    stay, leave = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=F64), torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=F64)
    for discount in (0.6, 0.75):
        mdp = student.create("TabularMDP", transition, reward, start, discount)
        expect_close(student.performance_difference(mdp, stay, leave), discount / (1 - discount), "the difference")
        expect_close(student.performance_difference(mdp, leave, leave), 0.0, "the difference of a policy to itself")


@check("improvement_bound")
def check_bound_of_a_bandit(student, rng):
    """With one state the bound is the new performance less the penalty, which can be computed by hand."""
    reward, start, old = torch.tensor([[0.0, 1.0]], dtype=F64), torch.ones(1, dtype=F64), torch.tensor([[0.5, 0.5]], dtype=F64)
    for discount, p in ((0.4, 0.6), (0.8, 0.3)):
        mdp = student.create("TabularMDP", torch.ones(1, 2, 1, dtype=F64), reward, start, discount)
        divergence = -0.5 * math.log(4 * p * (1 - p))
        expected = p / (1 - discount) - 4 * 0.5 * discount / (1 - discount) ** 2 * divergence
        expect_close(student.improvement_bound(mdp, old, torch.tensor([[1 - p, p]], dtype=F64)), expected, "the bound")


@check("improvement_bound")
def check_bound_of_a_random_problem(student, rng):
    """The bound takes the states of the old policy, its largest advantage in size, and the largest divergence over all states."""
    for states, actions, discount in ((3, 2, 0.7), (4, 3, 0.55)):
        (transition, reward, *others), _ = random_mdp(student, rng, states, actions, discount)
        old, new = random_policy(rng, states, actions), random_policy(rng, states, actions)
        for sign in (1, -1):  # with one of them the largest advantage in size is negative
            arrays = transition, sign * reward, *others
            mdp = student.create("TabularMDP", *arrays)
            expect_close(student.improvement_bound(mdp, old, new), naive_bound(*arrays, old, new), "the bound")


@check("improvement_bound")
def check_bound_is_tight_and_true(student, rng):
    """It equals the performance where both policies are the same, and never exceeds that of the new policy; 0 log 0 is 0."""
    arrays, mdp = random_mdp(student, rng, 3, 3, 0.6)
    certain = torch.eye(3, dtype=F64)
    actual = student.improvement_bound(mdp, certain, certain)
    expect_close(actual, performance(*arrays, certain), "the bound of a deterministic policy and itself")
    old = random_policy(rng, 3, 3)
    expect_close(student.improvement_bound(mdp, old, old), performance(*arrays, old), "the bound of a policy and itself")
    for mix in (0.01, 0.3):
        new = (1 - mix) * certain + mix * old
        bound = numbers(student.improvement_bound(mdp, certain, new), (), "the bound")
        expect(bound <= performance(*arrays, new) + 1e-9, "the bound exceeds the performance of the new policy")
        expect_close(bound, naive_bound(*arrays, certain, new), "the bound from a deterministic policy")


# What the checks compute by themselves


def numbers(value: object, shape: tuple[int, ...], what: str) -> torch.Tensor:
    """Return what the submission gave as a tensor, if it is of real numbers and has the shape."""
    return torch.as_tensor(expect_numbers(value, shape, what))


def expect_on_the_way(
    actual: object, theta: torch.Tensor, step: torch.Tensor, part: float, what: str = "the parameters", absolute: float = 1e-5
) -> None:
    """Expect θ and so much of the step; otherwise tell where on the way the parameters are."""
    actual = numbers(actual, tuple(theta.shape), what)
    if torch.allclose(actual, theta + part * step, 1e-4, absolute):
        return
    reached = float((actual - theta) @ step / (step @ step))
    expect(torch.allclose(actual, theta + reached * step, 1e-4), f"{what} do not lie on the line through the old ones along the step")
    expect(False, f"{what} are the old ones" + (f" and {reached:.3g} times the step" if abs(reached) > 1e-6 else ""))


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    weights = (logits.double() - logits.double().max(dim=-1, keepdim=True).values).exp()
    return weights / weights.sum(dim=-1, keepdim=True)


def log_density(x: np.ndarray, mean: float, log_std: float) -> np.ndarray:
    return -0.5 * ((x - mean) / math.exp(log_std)) ** 2 - log_std - 0.5 * math.log(2 * math.pi)


def positive_definite(rng: np.random.Generator, size: int) -> torch.Tensor:
    """Return a random symmetric matrix with eigenvalues from 0.5 to 4, all different."""
    basis = torch.linalg.qr(normal(rng, size, size, dtype=F64)).Q
    return basis @ torch.diag(torch.linspace(0.5, 4, size, dtype=F64)) @ basis.T


class Product:
    """The function v ↦ A v, which counts its calls and answers in the type that it was asked in."""

    def __init__(self, matrix: torch.Tensor):
        self.matrix, self.count = matrix, 0

    def __call__(self, vector: object) -> torch.Tensor:
        self.count += 1
        vector = numbers(vector, (len(self.matrix),), "the vector to multiply")
        return (self.matrix @ vector.to(F64)).to(vector.dtype)


class Line:
    """Evaluates parameters θ + t · step by functions of t: the surrogate and the divergence."""

    def __init__(self, parameters: torch.Tensor, step: torch.Tensor, surrogate, divergence):
        self.parameters, self.step, self.surrogate, self.divergence = parameters, step, surrogate, divergence

    def __call__(self, candidate: object) -> list[float]:
        difference = numbers(candidate, (len(self.step),), "the parameters to evaluate").to(F64) - self.parameters
        t = round(float(difference @ self.step / (self.step @ self.step)), 6)  # a candidate may be computed in float32
        return [float(self.surrogate(t)), float(self.divergence(t))]


def first_within(matrix: torch.Tensor, target: torch.Tensor, tolerance: float) -> tuple[torch.Tensor, int]:
    """Return the first minimizer over growing Krylov spaces whose residual is small enough, and the number of iterations."""
    for iterations in range(1, len(target) + 1):
        krylov = torch.linalg.qr(torch.stack([torch.linalg.matrix_power(matrix, k) @ target for k in range(iterations)], dim=1)).Q
        solution = krylov @ torch.linalg.solve(krylov.T @ matrix @ krylov, krylov.T @ target)
        if (target - matrix @ solution).norm() <= tolerance * target.norm():
            return solution, iterations
    raise AssertionError("the largest Krylov space contains the solution")


def policy_of(student, rng: np.random.Generator, kind: str, inputs: int, outputs: int, hidden: list[int]) -> tuple:
    """Return a policy of the submission, in float64, and the parameters that it was given."""
    policy = student.create(f"{kind}.double", student.create(kind, inputs, outputs, hidden, torch.Generator()))
    sizes = [inputs, *hidden, outputs]
    count = sum((a + 1) * b for a, b in itertools.pairwise(sizes)) + (outputs if kind == "GaussianPolicy" else 0)
    parameters = 0.7 * normal(rng, count, dtype=F64)
    policy.load(parameters)
    student.define(lent).lend(policy)
    return policy, parameters


def dense_fisher(kind: str, parameters: torch.Tensor, observation: torch.Tensor, outputs: int, hidden: list[int]) -> torch.Tensor:
    """Return F [P, P], from what the network gives for the parameters [P]: weights and biases layer by layer, then log σ."""
    sizes = [observation.shape[1], *hidden, outputs]

    def given(flat: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        own, flat = flat.split([outputs, len(flat) - outputs]) if kind == "GaussianPolicy" else (flat[:0], flat)
        for index, (a, b) in enumerate(itertools.pairwise(sizes)):
            weight, bias, flat = flat[: a * b].view(b, a), flat[a * b : a * b + b], flat[a * b + b :]
            row = weight @ row + bias
            row = row if index == len(sizes) - 2 else row.tanh()
        return torch.cat([row, own])

    fisher = torch.zeros(len(parameters), len(parameters), dtype=F64)
    for row in observation:
        jacobian = torch.func.jacrev(given)(parameters, row)
        output = given(parameters, row)
        if kind == "CategoricalPolicy":
            p = probabilities(output)
            metric = torch.diag(p) - torch.outer(p, p)
        else:
            metric = torch.diag(torch.cat([(-2 * output[outputs:]).exp(), torch.full((outputs,), 2.0, dtype=F64)]))
        fisher += jacobian.T @ metric @ jacobian / len(observation)
    return fisher


def random_policy(rng: np.random.Generator, states: int, actions: int) -> torch.Tensor:
    return probabilities(normal(rng, states, actions, dtype=F64))


def random_mdp(student, rng: np.random.Generator, states: int, actions: int, discount: float) -> tuple:
    """Return (transition, reward, start, discount) and the same problem over there."""
    transition = probabilities(2 * normal(rng, states, actions, states, dtype=F64))
    arrays = transition, normal(rng, states, actions, dtype=F64), probabilities(normal(rng, states, dtype=F64)), discount
    return arrays, student.create("TabularMDP", *arrays)


def state_values(transition, reward, start, discount, policy) -> torch.Tensor:
    """Return v_π [S] by iterating the Bellman equation; 400 iterations leave less than 0.9⁴⁰⁰ ≈ 5e-19."""
    values = torch.zeros(len(start), dtype=F64)
    for _ in range(400):
        values = (policy * (reward + discount * transition @ values)).sum(dim=1)
    return values


def performance(transition, reward, start, discount, policy) -> float:
    return float(start @ state_values(transition, reward, start, discount, policy))


def naive_bound(transition, reward, start, discount, old, new) -> float:
    """Return the bound with the surrogate summed over time, step by step."""
    values = state_values(transition, reward, start, discount, old)
    advantages = reward + discount * transition @ values - values[:, None]
    surrogate, state_distribution = float(start @ values), start
    for t in range(400):
        surrogate += float(discount**t * state_distribution @ (new * advantages).sum(dim=1))
        state_distribution = torch.einsum("s,sa,sat->t", state_distribution, old, transition)
    divergences = [
        sum(p * math.log(p / q) for p, q in zip(*rows, strict=True) if p > 0) for rows in zip(old.tolist(), new.tolist(), strict=True)
    ]
    return surrogate - 4 * float(advantages.abs().max()) * discount / (1 - discount) ** 2 * max(divergences)


class BadlyScaled(gymnasium.vector.VectorWrapper):
    """CartPole as seen by instruments with four different units. A natural gradient does not care, a plain one does."""

    UNITS = np.array([30, 3, 0.1, 0.03], np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        observation, info = self.env.reset(seed=seed, options=options)
        return observation * self.UNITS, info

    def step(self, actions: np.ndarray) -> tuple:
        observation, reward, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            info = info | {"final_obs": info["final_obs"] * self.UNITS}
        return observation * self.UNITS, reward, terminated, truncated, info


# Many environments and short returns: once the pole stays up there is little left to learn, and steps of a fixed length follow the noise.
BADLY_SCALED = TRPOConfig(
    steps=81_920, env_count=32, hidden_sizes=(), discount=0.99, horizon=64, max_kl=0.015, damping=1e-5, conjugate_gradient_tolerance=1e-8,
    value_epochs=15,
)  # fmt: skip

TRAININGS = (
    learns(
        "badly_scaled",
        "CartPole-v1",
        BADLY_SCALED,
        "TRPO trains a linear policy to balance the pole, although the four observations are in very different units.",
        points=4,
        wrap=BadlyScaled,
        unreached=("gaussian_kl", "natural_step_size"),
    ),
)


TOPIC = Topic(
    name="trpo",
    title="Natural policy gradient and trust regions",
    exercises=(
        "policy_surrogate", "categorical_kl", "gaussian_kl", "fisher_vector_product", "conjugate_gradient", "natural_step_size",
        "trust_region_step_size", "backtracking_line_search", "performance_difference", "improvement_bound",
    ),
    checks=checks_of(__name__),
    trainings=TRAININGS,
)  # fmt: skip
