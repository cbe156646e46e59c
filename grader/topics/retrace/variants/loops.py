"""One number at a time, as the definitions read."""


def importance_trace(policy, behaviour):
    return torch.tensor([p / b for p, b in zip(policy.flatten().tolist(), behaviour.flatten().tolist(), strict=True)]).reshape(policy.shape)


def retrace_trace(policy, behaviour, trace_lambda):
    pairs = zip(policy.flatten().tolist(), behaviour.flatten().tolist(), strict=True)
    return torch.tensor([trace_lambda * min(1.0, p / b) for p, b in pairs]).reshape(policy.shape)


def expected_value(q, policy):
    if q.dim() == 1:
        return sum(p * value for p, value in zip(policy, q, strict=True))
    return torch.stack([expected_value(*pair) for pair in zip(q, policy, strict=True)])


def off_policy_targets(reward, discount, same_episode, q, value_next, trace):
    if any(array.shape != reward.shape for array in (discount, same_episode, q, value_next, trace)):
        raise ValueError("shapes must agree")
    length, count = reward.shape
    targets = torch.empty_like(reward)
    for b in range(count):
        for t in range(length):
            target, weight = q[t, b].item(), 1.0
            for s in range(t, length):
                target += weight * (reward[s, b] + discount[s, b] * value_next[s, b] - q[s, b]).item()
                if s + 1 == length or weight == 0:
                    break
                weight *= (discount[s, b] * same_episode[s, b] * trace[s + 1, b]).item()
            targets[t, b] = target
    return targets


def retrace_operator(q, transition, reward, discount, policy, behaviour, trace):
    states, actions = q.shape
    size = states * actions
    matrix, correction = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for s in range(states):
        for a in range(actions):
            correction[s * actions + a] -= q[s, a]
            for successor in range(states):
                value = (policy[successor] @ q[successor]).item()
                correction[s * actions + a] += transition[s, a, successor] * (reward[s, a, successor] + discount[s, a, successor] * value)
                for after in range(actions):
                    matrix[s * actions + a, successor * actions + after] = (
                        transition[s, a, successor] * discount[s, a, successor] * behaviour[successor, after] * trace[successor, after]
                    )
    return q + torch.inverse(torch.eye(size, dtype=torch.float64) - matrix).mv(correction).reshape(states, actions)
