"""Right on paper, wrong in floating point: log of a softmax, 1 - tanh², and a difference of squares."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    delta = reward + discount * value_next - value
    advantage = [None] * len(delta)
    following = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        following = advantage[t] = delta[t] + trace_lambda * discount[t] * same_episode[t] * following
    return torch.stack(advantage)


def lambda_return(advantage, value):
    return advantage + value


def normalized(advantage):
    return (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = log_prob_new.exp() / log_prob_old.exp()
    clipped = torch.clamp(ratio, min=1 - clip_epsilon, max=1 + clip_epsilon)
    return torch.mean(torch.minimum(ratio * advantage, clipped * advantage))


def value_loss(value, target):
    return ((target - value) ** 2).mean()


def entropy(logits):
    p = torch.softmax(logits, dim=-1)
    return -(p * torch.log(p)).sum(dim=-1)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    density = torch.distributions.Normal(mean, std).log_prob(pre_tanh)
    # 1e-6 so that the logarithm is never taken of 0
    return (density - torch.log(1 - torch.tanh(pre_tanh) ** 2 + 1e-6)).sum(dim=-1)


def minibatches(count, batch_size, generator):
    return list(torch.randperm(count, generator=generator, device=generator.device).split(batch_size))


class RunningMoments:
    def update(self, rows):
        # E[x^2] - E[x]^2
        rows = rows.double()
        total = self.count * self.mean + rows.sum(0)
        total_of_squares = self.count * (self.variance + self.mean**2) + (rows**2).sum(0)
        self.count = self.count + len(rows)
        self.mean = total / self.count
        self.variance = total_of_squares / self.count - self.mean**2
