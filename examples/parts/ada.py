"""Everything right, in plain PyTorch."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    deltas = reward + discount * value_next - value
    advantages = torch.zeros_like(deltas)
    last = torch.zeros_like(deltas[0])
    for t in range(len(deltas) - 1, -1, -1):
        last = deltas[t] + trace_lambda * discount[t] * same_episode[t] * last
        advantages[t] = last
    return advantages


def lambda_return(advantage, value):
    return value + advantage


def normalized(advantage):
    centred = advantage - advantage.mean()
    return centred / (centred.square().mean().sqrt() + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = torch.exp(log_prob_new - log_prob_old)
    unclipped = ratio * advantage
    clipped = torch.clip(ratio, 1 - clip_epsilon, 1 + clip_epsilon) * advantage
    return torch.min(unclipped, clipped).mean()


def value_loss(value, target):
    return functional.mse_loss(value, target)


def entropy(logits):
    return torch.distributions.Categorical(logits=logits).entropy()


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    gaussian = torch.distributions.Normal(mean, std).log_prob(pre_tanh)
    # 1 - tanh(u)^2 = 4 / (e^u + e^-u)^2, and the logarithm of the sum is a logaddexp
    correction = math.log(4) - 2 * torch.logaddexp(pre_tanh, -pre_tanh)
    return (gaussian - correction).sum(dim=-1)


def minibatches(count, batch_size, generator):
    permutation = torch.randperm(count, generator=generator, device=generator.device)
    return [permutation[start : start + batch_size] for start in range(0, count, batch_size)]


class RunningMoments:
    def update(self, rows):
        rows = rows.to(torch.float64)
        n_a, n_b = self.count, rows.shape[0]
        n = n_a + n_b
        mean_b = rows.mean(dim=0)
        d = mean_b - self.mean
        m2 = n_a * self.variance + ((rows - mean_b) ** 2).sum(dim=0) + d**2 * n_a * n_b / n
        self.mean = self.mean + d * n_b / n
        self.variance = m2 / n
        self.count = n
