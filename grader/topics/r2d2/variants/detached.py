"""Burn-in with gradients cut off afterwards, masks by multiplication and indexing."""


def burn_in(network, inputs, state, warm):
    _, after = network({name: column for name, column in inputs.items()}, state.clone())
    result = state.detach().clone()
    result[warm] = after.detach().to(result.dtype)[warm]
    return result


def unroll(network, inputs, state, first):
    state = state.clone()
    state[first[0]] = 0
    if first[1:].any():
        q, middle = network({name: column[:1] for name, column in inputs.items()}, state)
        rest, last = unroll(network, {name: column[1:] for name, column in inputs.items()}, middle, first[1:])
        return torch.cat((q, rest), dim=0), last
    return tuple(network(inputs, state))


def q_discrepancy(q_replayed, q_reference):
    return torch.linalg.vector_norm(q_replayed - q_reference, dim=-1) / q_reference.max(dim=2).values.max(dim=0).values.abs()


def actor_epsilons(count, base, exponent):
    if count == 1:
        return torch.tensor([base])
    return torch.exp(np.log(base) * (1 + exponent * torch.linspace(0, 1, count)))
