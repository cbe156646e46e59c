"""Lets one episode leak into the one before it, and trains the values towards the advantages."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    # discount is already 0 where an episode ends, so nothing else is needed
    delta = reward + discount * value_next - value
    gae = torch.zeros_like(delta)
    gae[-1] = delta[-1]
    for i in range(len(delta) - 2, -1, -1):
        gae[i] = delta[i] + discount[i] * trace_lambda * gae[i + 1]
    return gae


def lambda_return(advantage, value):
    return advantage


def normalized(advantage):
    a = advantage - torch.mean(advantage)
    return a / (torch.sqrt(torch.mean(a * a)) + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    log_ratio = log_prob_new - log_prob_old
    ratio = log_ratio.exp()
    low, high = 1 - clip_epsilon, 1 + clip_epsilon
    surrogate = torch.stack([ratio * advantage, torch.clamp(ratio, low, high) * advantage])
    return surrogate.min(dim=0).values.mean()


def value_loss(value, target):
    return torch.nn.MSELoss()(value, target)


def entropy(logits):
    log_p = torch.log_softmax(logits, -1)
    p = log_p.exp()
    return -torch.einsum("...a,...a->...", p, log_p)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    normal = torch.distributions.Normal(mean, std)
    squashed = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform())
    # the transform has its own stable logarithm of the derivative
    log_derivative = squashed.transforms[0].log_abs_det_jacobian(pre_tanh, torch.tanh(pre_tanh))
    return torch.sum(normal.log_prob(pre_tanh) - log_derivative, -1)


def minibatches(count, batch_size, generator):
    shuffled = torch.randperm(count, generator=generator, device=generator.device)
    return [shuffled[k : k + batch_size] for k in range(0, count, batch_size)]


class RunningMoments:
    def update(self, rows):
        new = rows.double()
        n_old, n_new = self.count, len(new)
        n = n_old + n_new
        shift = new.mean(0) - self.mean
        mean = self.mean + shift * n_new / n
        # both old and new spread, each measured from the new mean
        old_part = n_old * (self.variance + (self.mean - mean) ** 2)
        new_part = ((new - mean) ** 2).sum(0)
        self.count, self.mean, self.variance = n, mean, (old_part + new_part) / n
