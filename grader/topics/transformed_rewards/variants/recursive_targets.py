"""Targets by recursion over n; the maximum of the inverse taken before or after, which is the same for increasing h."""


def transformed_bellman_operator(q, transition, reward, discount, transform, inverse):
    value = inverse(q.max(dim=1).values)
    return torch.sum(transition * transform(reward + discount * value), 2)


def n_step_returns(reward, discount, same_episode, bootstrap, n):
    one_step = reward + discount * bootstrap
    if n == 1:
        return one_step
    shorter = n_step_returns(reward, discount, same_episode, bootstrap, n - 1)
    result = one_step.clone()
    inside = same_episode[:-1].bool()
    result[:-1][inside] = (reward[:-1] + discount[:-1] * shorter[1:])[inside]
    return result


def transformed_n_step_targets(reward, discount, same_episode, value_next, n, transform, inverse):
    if n < 1:
        raise ValueError("n must be positive")
    if {reward.shape} != {discount.shape, same_episode.shape, value_next.shape}:
        raise ValueError("shapes differ")
    return transform(n_step_returns(reward, discount, same_episode, inverse(value_next), n))


def fixed_point(operator, start, tolerance, max_iterations):
    if max_iterations == 0:
        raise RuntimeError("the iteration did not converge")
    result = operator(start)
    if torch.allclose(result, start, rtol=0, atol=tolerance):
        return result
    return fixed_point(operator, result, tolerance, max_iterations - 1)


def contraction_bound(epsilon, largest_value):
    root = torch.sqrt(torch.tensor(largest_value + 1.0, dtype=torch.float64))
    return (1 / root + 2 * epsilon) / (1 + 2 * epsilon)
