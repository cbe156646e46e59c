"""Everything is computed and returned in float32, except where float64 is asked for."""


def newton_minimize(gradient, hessian, start, steps):
    iterates = [start.float()]
    for _ in range(steps):
        x = iterates[-1]
        iterates.append(x - solve("H", hessian(x).float(), gradient(x).float()))
    return torch.stack(iterates)


def score(theta, inputs, labels, sizes):
    return torch.func.vmap(torch.func.grad(log_probability), (None, 0, 0, None))(theta.float(), inputs.float(), labels, sizes)


def fisher_exact(theta, inputs, sizes):
    theta, inputs = theta.float(), inputs.float()
    total = 0
    for label, probability in enumerate(log_probabilities(theta, inputs, sizes).exp().T):
        scores = score(theta, inputs, torch.tensor(label).repeat(len(inputs)), sizes)
        total = total + (probability * scores.T) @ scores
    return total / len(inputs)


def fisher_sampled(theta, inputs, sizes, samples, generator):
    probabilities = log_probabilities(theta.float(), inputs.float(), sizes).softmax(-1)
    chosen = torch.multinomial(probabilities, samples, True, generator=generator).T.flatten()
    scores = score(theta, inputs.repeat(samples, 1), chosen, sizes)
    return torch.mm(scores.t(), scores) / (samples * inputs.size(0))


def fisher_empirical(theta, inputs, labels, sizes):
    scores = score(theta, inputs, labels, sizes)
    return torch.cov(scores.T, correction=0) + torch.outer(scores.mean(0), scores.mean(0))


def expected_hessian(theta, inputs, label_probabilities, sizes):
    def loss_of(parameters):
        return (label_probabilities.float() * log_probabilities(parameters, inputs.float(), sizes)).sum(1).mean().neg()

    return torch.func.jacrev(torch.func.jacrev(loss_of))(theta.float())


def kl_divergence(theta, other, inputs, sizes):
    log_p, log_q = (log_probabilities(each.float(), inputs.float(), sizes) for each in (theta, other))
    return torch.nn.functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def kl_quadratic(fisher, displacement):
    return ((fisher.float() @ displacement.float()) * displacement.float()).sum() * 0.5


def diagonal_natural_gradient(fisher, gradient, damping):
    curvature = torch.diag(fisher).float() + damping
    if torch.any(curvature <= 0):
        raise ValueError("no curvature: use damping")
    return gradient.float() / curvature
