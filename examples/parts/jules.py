"""One loop of the squashed Gaussian steps the wrong way and never ends; the rest is right."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    delta = reward + discount * value_next - value
    advantages = []
    t = len(delta) - 1
    advantage = torch.zeros_like(delta[0])
    while t >= 0:
        advantage = delta[t] + trace_lambda * discount[t] * same_episode[t] * advantage
        advantages.append(advantage)
        t -= 1
    return torch.stack(advantages).flip(0)


def lambda_return(advantage, value):
    return advantage + value


def normalized(advantage):
    mean = advantage.mean()
    var = ((advantage - mean) ** 2).mean()
    return (advantage - mean) / (var.sqrt() + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = (log_prob_new - log_prob_old).exp()
    loss = torch.max(-advantage * ratio, -advantage * ratio.clip(1 - clip_epsilon, 1 + clip_epsilon))
    return -loss.mean()


def value_loss(value, target):
    return functional.mse_loss(value, target, reduction="mean")


def entropy(logits):
    log_prob = functional.log_softmax(logits, dim=-1)
    return (-log_prob * log_prob.exp()).sum(dim=-1)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    log_normal = -0.5 * ((pre_tanh - mean) / std) ** 2 - torch.log(std) - 0.5 * math.log(2 * math.pi)
    # Beyond 5 the derivative falls by e^-2 with each step, so go back to 5 in steps of one and count them.
    u, steps = pre_tanh, torch.zeros_like(pre_tanh)
    while (u > 5).any():
        steps = steps + (u > 5)
        u = torch.where(u > 5, u - 1, u)
    while (u < -5).any():
        steps = steps + (u < -5)
        u = torch.where(u < -5, u - 1, u)
    log_derivative = torch.log(1 - torch.tanh(u.double()) ** 2) - 2 * steps
    return (log_normal - log_derivative).sum(dim=-1)


def minibatches(count, batch_size, generator):
    remaining = torch.randperm(count, generator=generator, device=generator.device)
    batches = []
    while len(remaining) > 0:
        batches.append(remaining[:batch_size])
        remaining = remaining[batch_size:]
    return batches


class RunningMoments:
    def update(self, rows):
        rows = rows.double()
        n = self.count + len(rows)
        difference = rows.mean(0) - self.mean
        spread = self.count * self.variance + len(rows) * rows.var(0, correction=0)
        spread = spread + difference**2 * self.count * len(rows) / n
        self.mean = self.mean + difference * len(rows) / n
        self.variance = spread / n
        self.count = n
