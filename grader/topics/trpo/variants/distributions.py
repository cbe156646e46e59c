"""torch.distributions and torch.func wherever they have something to offer."""

from torch.distributions import Categorical, Independent, Normal, kl_divergence


def categorical_kl(logits_p, logits_q):
    return kl_divergence(Categorical(logits=logits_p), Categorical(logits=logits_q))


def gaussian_kl(mean_p, log_std_p, mean_q, log_std_q):
    return kl_divergence(Independent(Normal(mean_p, log_std_p.exp()), 1), Independent(Normal(mean_q, log_std_q.exp()), 1))


def policy_surrogate(log_prob_new, log_prob_old, advantage):
    return torch.dot(torch.exp(log_prob_new - log_prob_old), advantage).div(advantage.numel())


def fisher_vector_product(policy, observation, vector, damping):
    names = [name for name, _ in policy.named_parameters()]
    shapes = [parameter.shape for parameter in policy.parameters()]
    sizes = [shape.numel() for shape in shapes]
    old = [part.detach() for part in policy(observation)]

    def divergence(flat):
        parameters = {name: part.view(shape) for name, part, shape in zip(names, flat.split(sizes), shapes)}
        return policy.kl(old, torch.func.functional_call(policy, parameters, (observation,))).mean()

    flat = torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])
    _, product = torch.func.jvp(torch.func.grad(divergence), (flat,), (vector,))
    return product + damping * vector


def conjugate_gradient(product, target, iterations, tolerance):
    x, r = torch.zeros_like(target), target
    p, limit = r, tolerance * target.norm()
    done = 0
    while done < iterations and r.norm() > limit:
        z = product(p)
        if not p.dot(z) > 0:
            return x
        alpha = r.dot(r) / p.dot(z)
        x, r_next = x + alpha * p, r - alpha * z
        p, r = r_next + r_next.dot(r_next) / r.dot(r) * p, r_next
        done += 1
    return x


def performance_difference(mdp, policy_old, policy_new):
    return mdp.performance(policy_new) - mdp.performance(policy_old)


def improvement_bound(mdp, policy_old, policy_new):
    advantages = mdp.advantages(policy_old)
    surrogate = mdp.performance(policy_old) + torch.einsum("s,sa,sa->", mdp.visitation(policy_old), policy_new, advantages)
    worst = kl_divergence(Categorical(probs=policy_old), Categorical(probs=policy_new)).max()
    return surrogate - 4 * advantages.abs().max() * mdp.discount * worst / (1 - mdp.discount) ** 2
