"""Believes that an episode whose time ran out has failed, and throws away what does not fill a minibatch."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    # nothing comes after the end of an episode
    not_done = discount * same_episode
    delta = reward + not_done * value_next - value
    advantage = torch.empty_like(delta)
    advantage[-1] = delta[-1]
    for t in reversed(range(len(delta) - 1)):
        advantage[t] = delta[t] + trace_lambda * not_done[t] * advantage[t + 1]
    return advantage


def lambda_return(advantage, value):
    return advantage + value


def normalized(advantage):
    return (advantage - advantage.mean()) / (advantage.std(unbiased=False) + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = (log_prob_new - log_prob_old).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip_epsilon, 1 + clip_epsilon) * advantage).mean()


def value_loss(value, target):
    return torch.mean((target - value) ** 2)


def entropy(logits):
    log_p = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
    return -torch.sum(torch.exp(log_p) * log_p, dim=-1)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    log_normal = -((pre_tanh - mean) ** 2) / (2 * std**2) - torch.log(std) - 0.5 * math.log(2 * math.pi)
    log_jacobian = 2 * (math.log(2) - pre_tanh - functional.softplus(-2 * pre_tanh))
    return log_normal.sum(-1) - log_jacobian.sum(-1)


def minibatches(count, batch_size, generator):
    order = torch.randperm(count, generator=generator, device=generator.device)
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(count // batch_size)]


class RunningMoments:
    def update(self, rows):
        rows = rows.double()
        n = len(rows)
        total = self.count + n
        delta = rows.mean(0) - self.mean
        sum_of_squares = self.variance * self.count + rows.var(0, unbiased=False) * n + delta**2 * self.count * n / total
        self.mean = self.mean + delta * (n / total)
        self.variance = sum_of_squares / total
        self.count = total
