"""Targets by one loop backwards in time, as most libraries do it."""


def retrace_trace(policy, behaviour, trace_lambda):
    ratio = importance_trace(policy, behaviour)
    return trace_lambda * torch.where(ratio > 1, torch.ones_like(ratio), ratio)


def expected_value(q, policy):
    return torch.einsum("...a,...a->...", q, policy)


def off_policy_targets(reward, discount, same_episode, q, value_next, trace):
    if len({array.shape for array in (reward, discount, same_episode, q, value_next, trace)}) > 1:
        raise ValueError("all six arrays must have one shape")
    targets = []
    for t in reversed(range(reward.size(0))):
        following = 0
        if t + 1 < reward.size(0):
            following = same_episode[t] * trace[t + 1] * (targets[-1] - q[t + 1])
        targets.append(reward[t] + discount[t] * (value_next[t] + following))
    return torch.stack(targets[::-1])


def transformed_off_policy_targets(reward, discount, same_episode, q, q_next, policy_next, trace, transform, inverse):
    value_next = torch.matmul(policy_next.unsqueeze(-2), inverse(q_next).unsqueeze(-1)).flatten(-3)
    targets = off_policy_targets(reward, discount, same_episode, inverse(q), value_next.view_as(reward), trace)
    return transform(targets)


def retrace_operator(q, transition, reward, discount, policy, behaviour, trace):
    def onwards(table):
        return torch.einsum("sak,sak,k->sa", transition, discount, table)

    term = (transition * reward).sum(-1) + onwards((policy * q).sum(-1)) - q
    result = q.clone()
    while term.abs().max() > 1e-13:
        result = result + term
        term = onwards((behaviour * trace * term).sum(-1))
    return result
