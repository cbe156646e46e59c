"""Jacobians of all log-probabilities at once; forward-mode and other transforms of torch.func; einsum."""


def jacobian(theta, inputs, sizes):
    return torch.func.jacrev(log_probabilities)(theta, inputs, sizes)  # [N, C, D]


def score(theta, inputs, labels, sizes):
    return jacobian(theta, inputs, sizes)[torch.arange(len(inputs)), labels]


def fisher_exact(theta, inputs, sizes):
    scores = jacobian(theta, inputs, sizes)
    return torch.einsum("nc,nci,ncj->ij", log_probabilities(theta, inputs, sizes).exp(), scores, scores) / len(inputs)


def fisher_empirical(theta, inputs, labels, sizes):
    return torch.einsum("ni,nj->ij", *[score(theta, inputs, labels, sizes)] * 2).div(len(labels))


def expected_hessian(theta, inputs, label_probabilities, sizes):
    def loss_of(parameters):
        return -(label_probabilities * log_probabilities(parameters, inputs, sizes)).sum(-1).mean()

    return torch.func.hessian(loss_of)(theta)


def kl_quadratic(fisher, displacement):
    return torch.einsum("i,ij,j->", displacement, fisher, displacement).mul(0.5)


def natural_gradient(fisher, gradient, damping):
    eigenvalues, vectors = torch.linalg.eigh(fisher)
    eigenvalues = eigenvalues + damping
    if eigenvalues.abs().min() <= 1e-14 * eigenvalues.abs().max().clamp(min=1):
        raise ValueError("no curvature in some direction; add damping")
    return vectors @ ((vectors.T @ gradient) / eigenvalues)
