"""Everything in float64, and results in float64 where they are returned."""

import torch.nn.functional as F


def inverse_dynamics_loss(embed, classify, observation, observation_next, action, valid):
    logits = classify(torch.cat([embed(observation), embed(observation_next)], dim=1)).double()
    losses = F.nll_loss(logits.log_softmax(1), action.long(), reduction="none")
    weights = valid.double()
    return (losses * weights).sum() / weights.sum()


def inverse_kernel(squared_distance, mean_squared_distance, epsilon, cluster_distance):
    mean = torch.as_tensor(mean_squared_distance).double()
    relative = torch.relu(squared_distance.double() / mean.where(mean > 0, 1.0) - cluster_distance)
    return torch.where(mean > 0, 1 / (1 + relative / epsilon), torch.ones_like(relative))


def episodic_bonus(similarity, pseudo_count, max_similarity):
    s = similarity.double().sum(dim=-1) ** 0.5 + pseudo_count
    return (s <= max_similarity).double() / s


def prediction_error(prediction, target):
    with torch.no_grad():
        fixed = target.double()
    return torch.linalg.vector_norm(prediction.double() - fixed, dim=1) ** 2


def life_long_modulator(error, mean, std):
    alpha = torch.ones_like(error, dtype=torch.float64)
    if std > 0:
        alpha = alpha + (error.double() - mean.double()) / std.double()
    return alpha


def intrinsic_reward(episodic, modulator, maximum):
    return torch.clip(modulator.double(), 1.0, maximum) * episodic.double()


def exploration_weights(count, maximum):
    i = torch.arange(count, dtype=torch.float64)
    inner = maximum / (1 + torch.exp(-10 * (2 * i - count + 2) / max(count - 2, 1)))
    return torch.where(i == count - 1, float(maximum), torch.where(i == 0, 0.0, inner))


def discounts(count, longest, shortest):
    if count == 1:
        return torch.tensor([longest], dtype=torch.float64)
    return 1 - torch.logspace(math.log10(1 - longest), math.log10(1 - shortest), count, dtype=torch.float64)


def epsilon_greedy(q, epsilon):
    actions = q.shape[-1]
    spread = torch.ones_like(q).double() * (epsilon / actions).unsqueeze(-1)
    return spread.scatter_add(-1, q.argmax(-1, keepdim=True), (1 - epsilon).double().expand(q.shape[:-1]).unsqueeze(-1))


def ngu_targets(
    q_online, q_target, action, behaviour, extrinsic, intrinsic, weight, discount, same_episode, trace_lambda, target_epsilon, epsilon
):
    for tensor in (behaviour, extrinsic, intrinsic, discount, same_episode):
        if tensor.shape != action.shape:
            raise ValueError("shapes differ")
    if weight.shape != action.shape[1:] or q_online.shape != q_target.shape or len(q_online) != len(action) + 1:
        raise ValueError("shapes differ")
    with torch.no_grad():
        value = rescale_inverse(q_target.double(), epsilon)
        policy = torch.full_like(value, target_epsilon / value.shape[-1])
        policy.scatter_add_(-1, q_online.argmax(-1, keepdim=True), torch.full_like(value[..., :1], 1 - target_epsilon))
        expected = (policy * value).sum(-1)
        taken = value[:-1].gather(-1, action[..., None])[..., 0]
        trace = trace_lambda * (policy[:-1].gather(-1, action[..., None])[..., 0] / behaviour).clamp(max=1.0)
        delta = extrinsic + weight[None] * intrinsic + discount * expected[1:] - taken
        result, carried = torch.empty_like(taken), torch.zeros_like(taken[0])
        for t in reversed(range(len(action))):
            if t + 1 < len(action):
                carried = discount[t] * same_episode[t] * trace[t + 1] * carried
            carried = delta[t] + carried
            result[t] = rescale(taken[t] + carried, epsilon)
        return result
