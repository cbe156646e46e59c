"""Plain Python loops over time, rows and components; moments by Welford, one row at a time."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    length, count = reward.shape
    advantage = torch.zeros(length, count)
    for b in range(count):
        following = 0.0
        for t in range(length - 1, -1, -1):
            delta = reward[t, b] + discount[t, b] * value_next[t, b] - value[t, b]
            following = delta + trace_lambda * discount[t, b] * same_episode[t, b] * following
            advantage[t, b] = following
    return advantage


def lambda_return(advantage, value):
    result = value.clone()
    for t in range(len(value)):
        result[t] = result[t] + advantage[t]
    return result


def normalized(advantage):
    entries = advantage.flatten().tolist()
    mean = sum(entries) / len(entries)
    variance = sum((entry - mean) ** 2 for entry in entries) / len(entries)
    return torch.tensor([(entry - mean) / (variance**0.5 + 1e-8) for entry in entries]).reshape(advantage.shape)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    total = 0.0
    for new, old, gain in zip(log_prob_new, log_prob_old, advantage, strict=True):
        ratio = torch.exp(new - old)
        if gain > 0 and ratio > 1 + clip_epsilon:
            ratio = torch.tensor(1 + clip_epsilon)
        if gain < 0 and ratio < 1 - clip_epsilon:
            ratio = torch.tensor(1 - clip_epsilon)
        total = total + ratio * gain
    return total / len(log_prob_new)


def value_loss(value, target):
    total = 0.0
    for guess, truth in zip(value, target, strict=True):
        total = total + (guess - truth) ** 2
    return total / len(value)


def entropy(logits):
    rows = logits.reshape(-1, logits.shape[-1])
    result = []
    for row in rows:
        shifted = row - row.max()
        log_prob = shifted - torch.log(torch.exp(shifted).sum())
        result.append(-sum(torch.exp(one) * one for one in log_prob))
    return torch.stack(result).reshape(logits.shape[:-1])


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    total = torch.zeros(pre_tanh.shape[:-1])
    for component in range(pre_tanh.shape[-1]):
        u, mu, sigma = pre_tanh[..., component], mean[..., component], std[..., component]
        total = total - (u - mu) ** 2 / (2 * sigma**2) - torch.log(sigma) - 0.5 * math.log(2 * math.pi)
        size = torch.abs(u)
        total = total - (math.log(4) - 2 * size - 2 * torch.log1p(torch.exp(-2 * size)))
    return total


def minibatches(count, batch_size, generator):
    order = torch.randperm(count, generator=generator)
    result = []
    start = 0
    while start < count:
        result.append(order[start : start + batch_size])
        start += batch_size
    return result


def update_row_by_row(self, rows):
    for row in rows.double():
        self.count += 1
        before = row - self.mean
        self.mean += before / self.count
        self.variance += (before * (row - self.mean) - self.variance) / self.count


RunningMoments.update = update_row_by_row
