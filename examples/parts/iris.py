"""Forgot a parenthesis just before the deadline (the generator takes it away, since this file must be Python)."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    delta = reward + discount * value_next - value
    advantage = torch.zeros_like(delta)
    running = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = delta[t] + trace_lambda * discount[t] * same_episode[t] * running
        advantage[t] = running
    return advantage


def lambda_return(advantage, value):
    return advantage + value


def normalized(advantage):
    return (advantage - advantage.mean()) / (advantage.std(unbiased=False) + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = torch.exp(log_prob_new - log_prob_old)
    return torch.min(ratio * advantage, torch.clamp(ratio, 1 - clip_epsilon, 1 + clip_epsilon) * advantage).mean()
