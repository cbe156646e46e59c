"""Whole-array formulas: sums over distances in time, bounds in place of clipping, shifted sums of squares."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    delta = reward + discount * value_next - value
    decay = trace_lambda * discount * same_episode
    length = len(delta)
    advantage = delta.clone()
    for distance in range(1, length):  # the δ so many steps later, weighted by all the decays in between
        weight = torch.ones_like(delta[distance:])
        for step in range(distance):
            weight = weight * decay[step : length - distance + step]
        advantage[: length - distance] += weight * delta[distance:]
    return advantage


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = torch.exp(log_prob_new - log_prob_old)
    bound = torch.where(advantage >= 0, 1 + clip_epsilon, 1 - clip_epsilon) * advantage
    return torch.mean(torch.minimum(ratio * advantage, bound))


def value_loss(value, target):
    difference = value - target
    return difference @ difference / difference.numel()


def entropy(logits):
    probability = functional.softmax(logits, dim=-1)
    return torch.special.entr(probability).sum(-1)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    dimension = pre_tanh.shape[-1]
    log_normal = -(((pre_tanh - mean) / std).square().sum(-1) + 2 * std.log().sum(-1) + dimension * math.log(2 * math.pi)) / 2
    return log_normal + 2 * (pre_tanh + functional.softplus(-2 * pre_tanh) - math.log(2)).sum(-1)


def minibatches(count, batch_size, generator):
    order = torch.randperm(count, generator=generator)
    return tuple(order[start : start + batch_size] for start in range(0, count, batch_size))


def update_sums(self, rows):
    """Merge through the sums of squares about the old mean, which is a fixed point near the data."""
    rows = rows.double()
    reference = self.mean if self.count else rows[0]
    shifted = rows - reference
    count = self.count + len(rows)
    first, second = shifted.sum(0), (shifted**2).sum(0) + self.count * self.variance
    self.mean = reference + first / count
    self.variance = second / count - (first / count) ** 2
    self.count = count


RunningMoments.update = update_sums
