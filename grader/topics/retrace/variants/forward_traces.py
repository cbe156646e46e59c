"""Targets forwards in time: each correction is sent back along an eligibility that decays; works in place."""


def tree_backup_trace(policy, trace_lambda):
    return policy.clone().mul_(trace_lambda)


def retrace_trace(policy, behaviour, trace_lambda):
    return trace_lambda * torch.minimum(policy, behaviour) / behaviour


def expected_value(q, policy):
    return (q.double() * policy.double()).sum(-1)


def off_policy_targets(reward, discount, same_episode, q, value_next, trace):
    if not reward.shape == discount.shape == same_episode.shape == q.shape == value_next.shape == trace.shape:
        raise ValueError("the arguments must have the same shape")
    targets = q.clone().double()
    eligibility = torch.zeros_like(targets)
    for s in range(reward.shape[0]):
        if s > 0:
            eligibility[:s] *= discount[s - 1] * same_episode[s - 1] * trace[s]
        eligibility[s] = 1.0
        targets += eligibility * (reward[s] + discount[s] * value_next[s] - q[s])
    return targets


def transformed_off_policy_targets(reward, discount, same_episode, q, q_next, policy_next, trace, transform, inverse):
    untransformed_next = torch.stack([inverse(q_next[..., action]) for action in range(q_next.shape[-1])], -1)
    value_next = expected_value(untransformed_next, policy_next)
    return transform(off_policy_targets(reward, discount, same_episode, inverse(q), value_next, trace))
