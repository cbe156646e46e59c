"""Targets as a triangular matrix of weights, for all pairs of steps at once; traces in log space."""


def importance_trace(policy, behaviour):
    return torch.exp(torch.log(policy) - torch.log(behaviour))


def retrace_trace(policy, behaviour, trace_lambda):
    return trace_lambda * torch.exp(torch.clamp(torch.log(policy) - torch.log(behaviour), max=0.0))


def expected_value(q, policy):
    return torch.linalg.vecdot(q, policy)


def off_policy_targets(reward, discount, same_episode, q, value_next, trace):
    for array in (discount, same_episode, q, value_next, trace):
        if array.shape != reward.shape:
            raise ValueError(f"{tuple(array.shape)} is not {tuple(reward.shape)}")
    length = len(reward)
    step = torch.ones_like(reward)
    step[1:] = discount[:-1] * same_episode[:-1] * trace[1:]
    weights = torch.zeros(length, *reward.shape, dtype=reward.dtype)
    for t in range(length):
        weights[t, t] = 1
        weights[t, t + 1 :] = torch.cumprod(step[t + 1 :], dim=0)
    return q + torch.einsum("tsb,sb->tb", weights, reward + discount * value_next - q)


def retrace_operator(q, transition, reward, discount, policy, behaviour, trace):
    states, actions = q.shape
    onwards = (transition * discount).reshape(-1, states)
    believed = torch.block_diag(*(behaviour * trace).unsqueeze(1))
    chosen = torch.block_diag(*policy.unsqueeze(1))
    flat = q.reshape(-1, 1)
    target = (transition * reward).sum(2).reshape(-1, 1) + onwards @ chosen @ flat
    identity = torch.eye(states * actions, dtype=q.dtype)
    return (flat + torch.linalg.inv(identity - onwards @ believed) @ (target - flat)).reshape(states, actions)
