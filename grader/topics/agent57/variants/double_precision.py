"""Everything in float64."""


def combined_q(extrinsic, intrinsic, weight):
    return extrinsic.double() + weight.double().unsqueeze(-1).expand_as(intrinsic) * intrinsic.double()


def transformed_combined_q(extrinsic, intrinsic, weight, transform, inverse):
    return transform(inverse(extrinsic.double()) + weight.double()[..., None] * inverse(intrinsic.double()))


def split_targets(
    online, target, action, behaviour, extrinsic, intrinsic, weight, discount, same_episode, trace_lambda, target_epsilon, epsilon
):
    rows = (behaviour, extrinsic, intrinsic, discount, same_episode)
    if any(row.shape != action.shape for row in rows) or weight.shape != action.shape[1:]:
        raise ValueError("the rows differ in shape")
    if any(q.shape != online[0].shape for q in (*online, *target)) or online[0].shape[:2] != (len(action) + 1, action.shape[1]):
        raise ValueError("the values do not fit the rows")
    with torch.no_grad():
        greedy = (online[0].double() + weight.double()[:, None] * online[1].double()).argmax(-1, keepdim=True)
        policy = torch.full(online[0].shape, target_epsilon / online[0].shape[-1], dtype=torch.float64)
        policy.scatter_(-1, greedy, target_epsilon / online[0].shape[-1] + 1 - target_epsilon)
        trace = trace_lambda * (policy[:-1].gather(-1, action[..., None]).squeeze(-1) / behaviour.double()).clamp(max=1)
        result = []
        for reward, q in ((extrinsic, target[0]), (intrinsic, target[1])):
            value = rescale_inverse(q.double(), epsilon)
            taken = value[:-1].gather(-1, action[..., None]).squeeze(-1)
            correction, y = torch.zeros_like(taken[0]), []
            for t in range(len(action) - 1, -1, -1):
                correction = reward[t] + discount[t] * ((policy[t + 1] * value[t + 1]).sum(-1) + correction) - taken[t]
                y.append(rescale(taken[t] + correction, epsilon))
                correction = same_episode[t - 1] * trace[t] * correction if t else correction
            result.append(torch.stack(y[::-1]))
    return result[0], result[1]


def human_normalized_score(agent, random, human):
    gained, gap = agent.double() - random.double(), human.double() - random.double()
    return gained / gap


def capped(scores):
    return scores.double().clip(0.0, 1.0)
