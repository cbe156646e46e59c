"""One number at a time, as the definitions read."""


def rescale(x, epsilon):
    result = torch.empty_like(x)
    for index in np.ndindex(*x.shape):
        number = abs(x[index].item())
        size = number / (math.sqrt(number + 1) + 1) + epsilon * number
        result[index] = math.copysign(size, x[index])
    return result


def bellman_operator(q, transition, reward, discount):
    result = torch.zeros_like(q)
    for state in range(q.shape[0]):
        for action in range(q.shape[1]):
            for successor in range(q.shape[0]):
                target = reward[state, action, successor] + discount[state, action, successor] * max(q[successor])
                result[state, action] += transition[state, action, successor] * target
    return result


def transformed_bellman_operator(q, transition, reward, discount, transform, inverse):
    result = torch.zeros_like(q)
    for state, action, successor in np.ndindex(*transition.shape):
        if transition[state, action, successor] > 0:
            value = inverse(q[successor].max())
            target = transform(reward[state, action, successor] + discount[state, action, successor] * value)
            result[state, action] += transition[state, action, successor] * target
    return result


def fixed_point(operator, start, tolerance, max_iterations):
    iterations = 0
    while iterations < max_iterations:
        result = operator(start)
        iterations += 1
        if all(abs(new - old) <= tolerance for new, old in zip(result.flatten().tolist(), start.flatten().tolist(), strict=True)):
            return result
        start = result
    raise RuntimeError("did not converge")


def contraction_bound(epsilon, largest_value):
    def slope(x):
        return 0.5 * (x + 1) ** -0.5 + epsilon

    lipschitz, lipschitz_of_inverse = slope(0.0), 1 / slope(largest_value)
    return 1 / (lipschitz * lipschitz_of_inverse)


def double_q_value(q, q_target):
    if q.dim() == 1:
        return q_target[q.argmax()]
    return torch.stack([double_q_value(*pair) for pair in zip(q, q_target, strict=True)])


def transformed_n_step_targets(reward, discount, same_episode, value_next, n, transform, inverse):
    if n < 1 or not reward.shape == discount.shape == same_episode.shape == value_next.shape:
        raise ValueError("bad arguments")
    length, count = reward.shape
    targets = torch.zeros(length, count)
    for t in range(length):
        for b in range(count):
            last = t
            while last + 1 < min(t + n, length) and same_episode[last, b] == 1:
                last += 1
            value = inverse(value_next[last, b])
            for step in range(last, t - 1, -1):
                value = reward[step, b] + discount[step, b] * value
            targets[t, b] = transform(value)
    return targets
