"""Everything in float64, whatever comes in, and results left in it."""


def policy_surrogate(log_prob_new, log_prob_old, advantage):
    return torch.mean(advantage.double() * torch.exp(log_prob_new.double() - log_prob_old.double()))


def categorical_kl(logits_p, logits_q):
    log_p = logits_p.double() - torch.logsumexp(logits_p.double(), dim=1, keepdim=True)
    log_q = logits_q.double() - torch.logsumexp(logits_q.double(), dim=1, keepdim=True)
    return torch.einsum("na,na->n", log_p.exp(), log_p - log_q)


def gaussian_kl(mean_p, log_std_p, mean_q, log_std_q):
    mean_p, log_std_p, mean_q, log_std_q = mean_p.double(), log_std_p.double(), mean_q.double(), log_std_q.double()
    precision = torch.exp(-2 * log_std_q)
    return torch.sum(log_std_q - log_std_p + 0.5 * precision * (torch.exp(2 * log_std_p) + (mean_p - mean_q) ** 2) - 0.5, dim=1)


def conjugate_gradient(product, target, iterations, tolerance):
    b = target.double()
    x, r = torch.zeros_like(b), b
    p = r
    norm = torch.linalg.vector_norm(b)
    for _ in range(iterations):
        if torch.linalg.vector_norm(r) <= tolerance * norm:
            break
        image = product(p.to(target.dtype)).double()
        if p @ image <= 0:
            break
        alpha = (p @ r) / (p @ image)
        x = x + alpha * p
        r = r - alpha * image
        p = r - (r @ image) / (p @ image) * p
    return x


def trust_region_step_size(direction, fisher_direction, max_kl):
    quadratic = 0.5 * torch.dot(direction.double(), fisher_direction.double())
    return torch.sqrt(max_kl / quadratic) if quadratic > 0 else 0.0


def natural_step_size(gradient, direction, learning_rate):
    length = torch.sqrt(torch.dot(gradient.double(), direction.double()))
    return learning_rate / length if length > 0 else torch.zeros((), dtype=torch.float64)
