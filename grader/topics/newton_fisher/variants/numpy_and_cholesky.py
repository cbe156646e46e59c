"""Linear algebra in numpy, results as numpy arrays, systems solved by what numpy has, its own errors translated."""

import numpy as np


def newton_root(function, derivative, start, steps):
    iterates = np.empty(steps + 1)
    iterates[0] = start
    for k in range(steps):
        slope = np.float64(derivative(float(iterates[k])))
        if slope == 0:
            raise ValueError("a horizontal tangent")
        iterates[k + 1] = iterates[k] - np.float64(function(float(iterates[k]))) / slope
    return iterates


def newton_minimize(gradient, hessian, start, steps):
    iterates = [np.asarray(start)]
    for _ in range(steps):
        point = torch.from_numpy(iterates[-1])
        try:
            step = np.linalg.solve(np.asarray(hessian(point)), np.asarray(gradient(point)))
        except np.linalg.LinAlgError as error:
            raise ValueError("singular Hessian: damp it") from error
        iterates.append(iterates[-1] - step)
    return np.array(iterates)


def fisher_exact(theta, inputs, sizes):
    probabilities = np.asarray(log_probabilities(theta, inputs, sizes).exp())
    scores = np.stack([np.asarray(score(theta, inputs, torch.full((len(inputs),), y), sizes)) for y in range(sizes[-1])], axis=1)
    return torch.from_numpy(np.einsum("nc,ncd,nce->de", probabilities, scores, scores) / len(inputs))


def fisher_empirical(theta, inputs, labels, sizes):
    scores = np.asarray(score(theta, inputs, labels, sizes))
    return np.mean(scores[:, :, None] * scores[:, None, :], axis=0)


def kl_divergence(theta, other, inputs, sizes):
    log_p, log_q = np.asarray(log_probabilities(theta, inputs, sizes)), np.asarray(log_probabilities(other, inputs, sizes))
    return np.mean(np.sum(np.exp(log_p) * (log_p - log_q), axis=1))


def kl_quadratic(fisher, displacement):
    return 0.5 * np.dot(np.asarray(displacement), np.asarray(fisher) @ np.asarray(displacement))


def natural_gradient(fisher, gradient, damping):
    damped = fisher + damping * torch.eye(len(fisher), dtype=fisher.dtype)
    factor, failed = torch.linalg.cholesky_ex(damped)
    if failed or torch.linalg.eigvalsh(damped)[0] < 1e-13:
        raise ValueError("the damped Fisher matrix is not positive definite: increase the damping")
    return torch.cholesky_solve(gradient[:, None], factor)[:, 0]


def diagonal_natural_gradient(fisher, gradient, damping):
    curvature = np.diag(np.asarray(fisher)) + damping
    if not curvature.all():
        raise ValueError("zero curvature")
    return np.asarray(gradient) / curvature
