"""Plain loops over Python numbers; scalars are returned as floats, vectors of results as lists."""


def policy_surrogate(log_prob_new, log_prob_old, advantage):
    total = 0.0
    for new, old, weight in zip(log_prob_new, log_prob_old, advantage):
        total = total + torch.exp(new - old) * weight
    return total / len(advantage)


def categorical_kl(logits_p, logits_q):
    rows = []
    for row_p, row_q in zip(logits_p, logits_q):
        row_p, row_q = row_p - row_p.max(), row_q - row_q.max()
        log_sum_p, log_sum_q = row_p.exp().sum().log(), row_q.exp().sum().log()
        total = 0.0
        for p, q in zip(row_p, row_q):
            total = total + (p - log_sum_p).exp() * ((p - log_sum_p) - (q - log_sum_q))
        rows.append(total)
    return torch.stack(rows)


def gaussian_kl(mean_p, log_std_p, mean_q, log_std_q):
    rows = []
    for mu_p, ls_p, mu_q, ls_q in zip(mean_p, log_std_p, mean_q, log_std_q):
        total = 0.0
        for d in range(len(mu_p)):
            var_p, var_q = torch.exp(ls_p[d]) ** 2, torch.exp(ls_q[d]) ** 2
            total = total + ls_q[d] - ls_p[d] + (var_p + (mu_p[d] - mu_q[d]) ** 2) / (2 * var_q) - 0.5
        rows.append(total)
    return torch.stack(rows)


def fisher_vector_product(policy, observation, vector, damping):
    total = torch.zeros_like(vector)
    for row in observation:
        distribution = policy(row[None])
        kl = policy.kl([x.detach() for x in distribution], distribution).sum()
        grads = torch.autograd.grad(kl, list(policy.parameters()), create_graph=True)
        inner, start = 0.0, 0
        for grad in grads:
            inner = inner + (grad.flatten() * vector[start : start + grad.numel()]).sum()
            start += grad.numel()
        total += torch.cat([x.flatten() for x in torch.autograd.grad(inner, list(policy.parameters()))])
    return total / len(observation) + damping * vector


def conjugate_gradient(product, target, iterations, tolerance):
    b = [float(value) for value in target]
    x, r, p = [0.0] * len(b), list(b), list(b)
    for _ in range(iterations):
        rr = sum(value * value for value in r)
        if rr**0.5 <= tolerance * sum(value * value for value in b) ** 0.5:
            break
        image = product(torch.tensor(p, dtype=target.dtype)).tolist()
        pap = sum(u * v for u, v in zip(p, image))
        if pap <= 0:
            break
        alpha = rr / pap
        x = [u + alpha * v for u, v in zip(x, p)]
        r = [u - alpha * v for u, v in zip(r, image)]
        beta = sum(value * value for value in r) / rr
        p = [u + beta * v for u, v in zip(r, p)]
    return torch.tensor(x, dtype=target.dtype)


def natural_step_size(gradient, direction, learning_rate):
    squared = sum(float(g) * float(d) for g, d in zip(gradient, direction))
    return learning_rate / squared**0.5 if squared > 0 else 0.0


def trust_region_step_size(direction, fisher_direction, max_kl):
    squared = sum(float(d) * float(f) for d, f in zip(direction, fisher_direction))
    return (2 * max_kl / squared) ** 0.5 if squared > 0 else 0.0


def backtracking_line_search(evaluate, parameters, step, max_kl, shrink, attempts):
    start = evaluate(parameters)[0]
    fraction = 1.0
    for _ in range(attempts):
        candidate = parameters + fraction * step
        surrogate, divergence = evaluate(candidate)
        if divergence <= max_kl and surrogate > start:
            return candidate
        fraction *= shrink
    return parameters.clone()


def performance_difference(mdp, policy_old, policy_new):
    advantages, visitation, total = mdp.advantages(policy_old), mdp.visitation(policy_new), 0.0
    for s in range(policy_new.shape[0]):
        for a in range(policy_new.shape[1]):
            total += float(visitation[s] * policy_new[s, a] * advantages[s, a])
    return total


def improvement_bound(mdp, policy_old, policy_new):
    import math

    advantages, visitation = mdp.advantages(policy_old), mdp.visitation(policy_old)
    total, worst, epsilon = float(mdp.performance(policy_old)), 0.0, 0.0
    for s in range(policy_new.shape[0]):
        divergence = 0.0
        for a in range(policy_new.shape[1]):
            p, q = float(policy_old[s, a]), float(policy_new[s, a])
            total += float(visitation[s]) * q * float(advantages[s, a])
            divergence += p * math.log(p / q) if p > 0 else 0.0
            epsilon = max(epsilon, abs(float(advantages[s, a])))
        worst = max(worst, divergence)
    return total - 4 * epsilon * mdp.discount / (1 - mdp.discount) ** 2 * worst
