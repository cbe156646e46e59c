"""A notebook, as it was left after a night of trying things; only the standard deviation is another one."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    delta = reward + discount * value_next - value
    gae = 0
    out = []
    for d, g, s in zip(delta.flip(0), discount.flip(0), same_episode.flip(0)):
        gae = d + g * trace_lambda * s * gae
        out.insert(0, gae)
    return torch.stack(out)


def lambda_return(advantage, value):
    return advantage + value


def normalized(advantage):
    std, mean = torch.std_mean(advantage)
    return (advantage - mean) / (std + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    r = (log_prob_new - log_prob_old).exp()
    return torch.minimum(r * advantage, r.clamp(1 - clip_epsilon, 1 + clip_epsilon) * advantage).mean()


def value_loss(value, target):
    return (value - target).pow(2).mean()


def entropy(logits):
    logp = functional.log_softmax(logits, dim=-1)
    return -(logp.exp() * logp).sum(-1)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    normal = -0.5 * ((pre_tanh - mean) / std) ** 2 - std.log() - 0.5 * np.log(2 * np.pi)
    # tried torch.log(1 - torch.tanh(pre_tanh) ** 2) first: -inf!
    jacobian = 2 * (np.log(2) - pre_tanh - functional.softplus(-2 * pre_tanh))
    return torch.sum(normal - jacobian, dim=-1)


def minibatches(count, batch_size, generator):
    return list(torch.split(torch.randperm(count, generator=generator, device=generator.device), batch_size))


class RunningMoments:
    def update(self, rows):
        rows = rows.double()
        batch_mean, batch_var, batch_count = rows.mean(0), rows.var(0, unbiased=False), len(rows)
        delta = batch_mean - self.mean
        total = self.count + batch_count
        m_a = self.variance * self.count
        m_b = batch_var * batch_count
        self.mean = self.mean + delta * batch_count / total
        self.variance = (m_a + m_b + delta**2 * self.count * batch_count / total) / total
        self.count = total
