"""Minimizes what is to be maximized: hands over a loss, although the agent negates the objective itself."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    td_error = reward + discount * value_next - value
    advantage = torch.zeros_like(reward)
    next_advantage = torch.zeros_like(reward[0])
    for step in range(reward.shape[0] - 1, -1, -1):
        next_advantage = td_error[step] + discount[step] * trace_lambda * next_advantage * same_episode[step]
        advantage[step] = next_advantage
    return advantage


def lambda_return(advantage, value):
    return advantage + value


def normalized(advantage):
    mean = advantage.mean()
    deviation = torch.sqrt(torch.mean((advantage - mean) ** 2))
    return (advantage - mean) / (deviation + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = torch.exp(log_prob_new - log_prob_old)
    policy_loss_1 = advantage * ratio
    policy_loss_2 = advantage * torch.clamp(ratio, 1 - clip_epsilon, 1 + clip_epsilon)
    return -torch.min(policy_loss_1, policy_loss_2).mean()


def value_loss(value, target):
    return functional.mse_loss(value, target)


def entropy(logits):
    probs = torch.softmax(logits, dim=-1)
    log_probs = torch.log_softmax(logits, dim=-1)
    return -(probs * log_probs).sum(dim=-1)


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    log_prob = torch.distributions.Normal(mean, std).log_prob(pre_tanh).sum(dim=-1)
    log_prob -= (2 * (np.log(2) - pre_tanh - functional.softplus(-2 * pre_tanh))).sum(dim=-1)
    return log_prob


def minibatches(count, batch_size, generator):
    indices = torch.randperm(count, generator=generator, device=generator.device)
    batches = []
    for start in range(0, count, batch_size):
        batches.append(indices[start : start + batch_size])
    return batches


class RunningMoments:
    def update(self, rows):
        rows = rows.double()
        batch_mean, batch_var, batch_count = rows.mean(0), rows.var(0, unbiased=False), rows.shape[0]
        delta = batch_mean - self.mean
        tot_count = self.count + batch_count
        self.mean = self.mean + delta * batch_count / tot_count
        m_2 = self.variance * self.count + batch_var * batch_count + delta**2 * self.count * batch_count / tot_count
        self.variance = m_2 / tot_count
        self.count = tot_count
