"""The formulas as they are printed, but in float64, whose digits suffice; results stay float64."""


def rescale(x, epsilon):
    x = x.double()
    return torch.sign(x) * (torch.sqrt(torch.abs(x) + 1) - 1) + epsilon * x


def rescale_inverse(x, epsilon):
    x = x.double()
    size = x.abs()
    if epsilon == 0:
        return torch.sign(x) * ((size + 1) ** 2 - 1)
    return torch.sign(x) * (((torch.sqrt(1 + 4 * epsilon * (size + 1 + epsilon)) - 1) / (2 * epsilon)) ** 2 - 1)


def bellman_operator(q, transition, reward, discount):
    q, transition, reward, discount = (array.double() for array in (q, transition, reward, discount))
    return torch.einsum("sak,sak->sa", transition, reward + discount * q.max(1).values)


def double_q_value(q, q_target):
    best = torch.nn.functional.one_hot(q.argmax(-1), q.shape[-1])
    return (q_target.double() * best).sum(-1)
