"""F v as Jᵀ M J v: the product with the Jacobian of the distributions, their own Fisher information, the transposed product."""


def fisher_vector_product(policy, observation, vector, damping):
    parameters = list(policy.parameters())
    distribution = policy(observation)
    pushed = [jacobian_product(part, parameters, vector) for part in distribution]
    with torch.no_grad():
        if len(distribution) == 1:
            p = distribution[0].softmax(dim=-1)
            weighted = [p * (pushed[0] - (p * pushed[0]).sum(dim=-1, keepdim=True))]
        else:
            weighted = [pushed[0] / (2 * distribution[1]).exp(), 2 * pushed[1]]
    product = torch.autograd.grad(distribution, parameters, [part / len(observation) for part in weighted], materialize_grads=True)
    return torch.cat([part.reshape(-1) for part in product]) + damping * vector


def jacobian_product(output, parameters, vector):
    """J v by differentiating u ↦ Jᵀu, which is linear in u, by u."""
    dummy = torch.zeros_like(output, requires_grad=True)
    transposed = torch.autograd.grad(output, parameters, dummy, create_graph=True, materialize_grads=True)
    (product,) = torch.autograd.grad(torch.cat([part.reshape(-1) for part in transposed]) @ vector, dummy)
    return product.detach()


def backtracking_line_search(evaluate, parameters, step, max_kl, shrink, attempts):
    best, _ = evaluate(parameters)
    attempt = 0
    while attempt < attempts:
        surrogate, divergence = evaluate(parameters + step)
        if divergence <= max_kl and surrogate - best > 0:
            return parameters + step
        step, attempt = shrink * step, attempt + 1
    return parameters
