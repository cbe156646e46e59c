"""Targets through the exercise of Retrace, the rest in one expression each."""

import torch.nn.functional as F


def inverse_dynamics_loss(embed, classify, observation, observation_next, action, valid):
    both = embed(torch.cat([observation, observation_next]))
    before, after = both.chunk(2)
    losses = F.cross_entropy(classify(torch.cat([before, after], dim=-1)), action, reduction="none")
    return losses[valid].sum() / valid.sum()


def inverse_kernel(squared_distance, mean_squared_distance, epsilon, cluster_distance):
    if not bool(mean_squared_distance > 0):
        return squared_distance * 0 + 1 if bool(squared_distance.isfinite().all()) else torch.ones(squared_distance.shape)
    return 1 / (F.relu(squared_distance / mean_squared_distance - cluster_distance) / epsilon + 1)


def prediction_error(prediction, target):
    return torch.einsum("np,np->n", prediction - target.detach(), prediction - target.detach())


def life_long_modulator(error, mean, std):
    return 1 + ((error - mean) / std if float(std) > 0 else torch.zeros_like(error))


def intrinsic_reward(episodic, modulator, maximum):
    return torch.maximum(torch.minimum(episodic * modulator, episodic * maximum), episodic)


def exploration_weights(count, maximum):
    inner = [maximum / (1 + math.exp(-10 * (2 * i - (count - 2)) / (count - 2))) for i in range(1, count - 1)]
    return torch.tensor([0.0, *inner, maximum] if count > 1 else [maximum])


def conditioned(arm, previous_action, previous_extrinsic, previous_intrinsic, first, arm_count, action_count):
    told = torch.zeros(*arm.shape, arm_count + action_count + 2)
    told.scatter_(-1, arm[..., None], 1)
    for t, b in (~first).nonzero().tolist():
        told[t, b, arm_count + previous_action[t, b]] = 1
        told[t, b, -2], told[t, b, -1] = previous_extrinsic[t, b], previous_intrinsic[t, b]
    return told


def ngu_targets(
    q_online, q_target, action, behaviour, extrinsic, intrinsic, weight, discount, same_episode, trace_lambda, target_epsilon, epsilon
):
    if not (action.shape == behaviour.shape == extrinsic.shape == intrinsic.shape == discount.shape == same_episode.shape):
        raise ValueError("the rows differ in shape")
    if q_online.shape != q_target.shape or q_online.shape[:2] != (action.shape[0] + 1, action.shape[1]) or weight.shape != action.shape[1:]:
        raise ValueError("the values do not fit the rows")
    with torch.no_grad():
        policy = epsilon_greedy(q_online, torch.full(q_online.shape[:-1], target_epsilon))
        index = action.unsqueeze(-1)
        trace = retrace_trace(policy[:-1].gather(-1, index)[..., 0], behaviour, trace_lambda)
        taken = q_target[:-1].gather(-1, index)[..., 0]
        reward = torch.addcmul(extrinsic, weight.expand_as(intrinsic), intrinsic)
        h, h_inverse = (lambda x: rescale(x, epsilon)), (lambda x: rescale_inverse(x, epsilon))
        return transformed_off_policy_targets(reward, discount, same_episode, taken, q_target[1:], policy[1:], trace, h, h_inverse)
