"""Targets as a weighted sum over all pairs of steps, with masks in place of any recursion."""


def rescale(x, epsilon):
    size = x.abs()
    return torch.copysign(size / (1 + (1 + size).sqrt()) + epsilon * size, x)


def rescale_inverse(x, epsilon):
    size = x.abs()
    b = 1 + 2 * epsilon
    w = size * 2 / (b + torch.hypot(torch.full_like(size, b), 2 * (epsilon * size).sqrt()))
    return torch.where(x < 0, -1.0, 1.0) * (w * w + 2 * w)


def transformed_n_step_targets(reward, discount, same_episode, value_next, n, transform, inverse):
    for array in (discount, same_episode, value_next):
        if array.shape != reward.shape:
            raise ValueError(f"expected {tuple(reward.shape)}, got {tuple(array.shape)}")
    if n <= 0:
        raise ValueError("n must be at least 1")
    length = len(reward)
    bootstrap = inverse(value_next)
    total = torch.zeros_like(reward)
    weight, alive = torch.ones_like(reward), torch.ones_like(reward)
    for ahead in range(min(n, length)):
        rows = length - ahead
        total[:rows] += (alive * weight)[:rows] * reward[ahead:]
        weight = weight.clone()
        weight[:rows] *= torch.where(alive[:rows] > 0, discount[ahead:], torch.ones(()))
        last = torch.zeros_like(reward)
        last[:rows] = alive[:rows]
        if ahead < n - 1:
            last[:rows] *= 1 - same_episode[ahead:]
            last[rows - 1] = alive[rows - 1]
        total[:rows] += (last * weight)[:rows] * bootstrap[ahead:]
        alive = alive * (1 - last)
        alive[rows - 1 :] = 0
    return transform(total)


def double_q_value(q, q_target):
    mask = q == q.max(dim=-1, keepdim=True).values
    return torch.where(mask, q_target, torch.zeros(())).sum(-1)
