"""numpy for what needs no gradient, and Python floats for scalars."""

import numpy


def conjugate_gradient(product, target, iterations, tolerance):
    b = target.numpy().astype(numpy.float64)
    x, r, p = numpy.zeros_like(b), b.copy(), b.copy()
    for _ in range(iterations):
        squared = r @ r
        if numpy.sqrt(squared) <= tolerance * numpy.linalg.norm(b):
            break
        image = numpy.asarray(product(torch.as_tensor(p).to(target.dtype)), dtype=numpy.float64)
        curvature = p @ image
        if curvature <= 0:
            break
        x += squared / curvature * p
        r -= squared / curvature * image
        p = r + (r @ r) / squared * p
    return torch.as_tensor(x).to(target.dtype)


def natural_step_size(gradient, direction, learning_rate):
    squared = numpy.dot(gradient.numpy(), direction.numpy())
    return float(learning_rate / numpy.sqrt(squared)) if squared > 0 else 0.0


def trust_region_step_size(direction, fisher_direction, max_kl):
    squared = numpy.dot(direction.numpy(), fisher_direction.numpy())
    return float(numpy.sqrt(2 * max_kl / squared)) if squared > 0 else 0.0


def backtracking_line_search(evaluate, parameters, step, max_kl, shrink, attempts):
    old, _ = evaluate(parameters)
    candidates = (parameters + step * float(factor) for factor in numpy.power(shrink, numpy.arange(attempts)))
    return next((c for c in candidates for surrogate, divergence in [evaluate(c)] if surrogate > old and divergence <= max_kl), parameters)


def performance_difference(mdp, policy_old, policy_new):
    expected = numpy.einsum("sa,sa->s", policy_new.numpy(), mdp.advantages(policy_old).numpy())
    return float(mdp.visitation(policy_new).numpy() @ expected)


def improvement_bound(mdp, policy_old, policy_new):
    advantages, p, q = mdp.advantages(policy_old).numpy(), policy_old.numpy(), policy_new.numpy()
    log_ratio = numpy.log(numpy.where(p > 0, p, 1)) - numpy.log(numpy.where(p > 0, q, 1))
    penalty = 4 * numpy.abs(advantages).max() * mdp.discount / (1 - mdp.discount) ** 2 * (p * log_ratio).sum(axis=1).max()
    return float(mdp.performance(policy_old).numpy() + mdp.visitation(policy_old).numpy() @ (q * advantages).sum(axis=1) - penalty)
