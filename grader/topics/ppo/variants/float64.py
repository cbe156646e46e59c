"""Everything is computed and returned in float64; the recursion works in place."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    delta = reward.double() + discount.double() * value_next.double() - value.double()
    for t in range(len(delta) - 2, -1, -1):
        delta[t] += trace_lambda * discount[t] * same_episode[t] * delta[t + 1]
    return delta


def lambda_return(advantage, value):
    return advantage.double() + value.double()


def normalized(advantage):
    advantage = advantage.double()
    centred = advantage - advantage.mean()
    return centred / (centred.square().mean().sqrt() + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio, advantage = (log_prob_new.double() - log_prob_old.double()).exp(), advantage.double()
    # For a positive advantage only the upper limit binds, for a negative one only the lower.
    limited = torch.where(advantage > 0, ratio.clamp(max=1 + clip_epsilon), ratio.clamp(min=1 - clip_epsilon))
    return (limited * advantage).sum() / len(advantage)


def value_loss(value, target):
    return (value.double() - target.double()).pow(2).mean()


def entropy(logits):
    logits = logits.double()
    return torch.logsumexp(logits, -1) - (logits.softmax(-1) * logits).sum(-1)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    pre_tanh, mean, std = pre_tanh.double(), mean.double(), std.double()
    log_normal = -0.5 * ((pre_tanh - mean) / std) ** 2 - torch.log(std * math.sqrt(2 * math.pi))
    log_derivative = math.log(4) + functional.logsigmoid(2 * pre_tanh) + functional.logsigmoid(-2 * pre_tanh)
    return (log_normal - log_derivative).sum(-1)
