"""Plain loops over examples, classes and elements; ordinary automatic differentiation, one gradient at a time."""


def newton_root(function, derivative, start, steps):
    iterates = [float(start)]
    while len(iterates) <= steps:
        x = iterates[-1]
        slope = float(derivative(x))
        if slope == 0:
            raise ValueError(f"the derivative vanishes at {x}")
        iterates.append(x - float(function(x)) / slope)
    return torch.tensor(iterates, dtype=torch.float64)


def newton_minimize(gradient, hessian, start, steps):
    iterates = [start.tolist()]
    for _ in range(steps):
        x = torch.tensor(iterates[-1], dtype=start.dtype)
        step = solve("the Hessian", torch.as_tensor(hessian(x)), torch.as_tensor(gradient(x)))
        iterates.append([position - change for position, change in zip(x.tolist(), step.tolist())])
    return torch.tensor(iterates, dtype=start.dtype)


def score(theta, inputs, labels, sizes):
    rows = []
    for x, y in zip(inputs, labels):
        parameters = theta.clone().requires_grad_()
        log_probabilities(parameters, x, sizes)[y].backward()
        rows.append(parameters.grad)
    return torch.stack(rows)


def fisher_exact(theta, inputs, sizes):
    fisher = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
    for x in inputs:
        for y in range(sizes[-1]):
            s = score(theta, x[None], torch.tensor([y]), sizes)[0]
            fisher += log_probabilities(theta, x, sizes)[y].exp() * torch.outer(s, s) / len(inputs)
    return fisher


def fisher_sampled(theta, inputs, sizes, samples, generator):
    fisher = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
    for x in inputs:
        cumulative = log_probabilities(theta, x, sizes).exp().cumsum(0)
        for _ in range(samples):
            y = int((torch.rand([], generator=generator) > cumulative[:-1]).sum())
            s = score(theta, x[None], torch.tensor([y]), sizes)[0]
            fisher += torch.outer(s, s)
    return fisher / (len(inputs) * samples)


def fisher_empirical(theta, inputs, labels, sizes):
    return sum(torch.outer(s, s) for s in score(theta, inputs, labels, sizes)) / len(inputs)


def expected_hessian(theta, inputs, label_probabilities, sizes):
    parameters = theta.clone().requires_grad_()
    total = 0
    for x, q in zip(inputs, label_probabilities):
        for y in range(sizes[-1]):
            total = total - q[y] * log_probabilities(parameters, x, sizes)[y]
    (gradient,) = torch.autograd.grad(total / len(inputs), parameters, create_graph=True)
    return torch.stack([torch.autograd.grad(component, parameters, retain_graph=True)[0] for component in gradient])


def kl_divergence(theta, other, inputs, sizes):
    total = 0.0
    for x in inputs:
        for p, q in zip(log_probabilities(theta, x, sizes).tolist(), log_probabilities(other, x, sizes).tolist()):
            total += math.exp(p) * (p - q)
    return total / len(inputs)


def kl_quadratic(fisher, displacement):
    total = 0.0
    for i in range(len(displacement)):
        for j in range(len(displacement)):
            total += float(displacement[i] * fisher[i, j] * displacement[j])
    return 0.5 * total


def natural_gradient(fisher, gradient, damping):
    damped = fisher.clone()
    for i in range(len(damped)):
        damped[i, i] += damping
    return solve("F", damped, gradient)


def diagonal_natural_gradient(fisher, gradient, damping):
    direction = []
    for i in range(len(gradient)):
        curvature = float(fisher[i, i]) + damping
        if curvature == 0.0:
            raise ValueError(f"parameter {i} has no curvature")
        direction.append(float(gradient[i]) / curvature)
    return torch.tensor(direction)
