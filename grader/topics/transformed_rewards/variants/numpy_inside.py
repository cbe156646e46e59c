"""numpy inside, arrays and plain Python numbers outside."""


def rescale(x, epsilon):
    x = np.asarray(x, dtype=np.float64)
    return np.copysign(np.expm1(0.5 * np.log1p(np.abs(x))), x) + epsilon * x


def rescale_inverse(x, epsilon):
    x = np.asarray(x, dtype=np.float64)
    b = 1 + 2 * epsilon
    if epsilon == 0:
        w = np.abs(x)
    else:
        w = (np.sqrt(b * b + 4 * epsilon * np.abs(x)) - b) / (2 * epsilon)
    return np.sign(x) * w * (w + 2)


def bellman_operator(q, transition, reward, discount):
    q, transition, reward, discount = (np.asarray(array) for array in (q, transition, reward, discount))
    return np.einsum("ijk,ijk->ij", transition, reward) + np.einsum("ijk,ijk,k->ij", transition, discount, q.max(axis=1))


def transformed_bellman_operator(q, transition, reward, discount, transform, inverse):
    value = np.asarray(inverse(q.numpy())).max(axis=1)
    target = np.asarray(transform(reward.numpy() + discount.numpy() * value))
    return np.average(target, axis=2, weights=transition.numpy())


def fixed_point(operator, start, tolerance, max_iterations):
    for _ in range(max_iterations):
        result = np.asarray(operator(np.asarray(start)))
        if np.abs(result - np.asarray(start)).max() <= tolerance:
            return result
        start = result
    raise RuntimeError("no convergence")


def contraction_bound(epsilon, largest_value):
    return np.float64((0.5 / np.sqrt(largest_value + 1) + epsilon) / (0.5 + epsilon))


def double_q_value(q, q_target):
    q, q_target = q.numpy(), q_target.numpy()
    return np.take_along_axis(q_target, q.argmax(-1)[..., None], -1)[..., 0]
