"""Everything right, with loops, numpy and double precision."""


def as_array(tensor):
    """My own helper: numpy in double precision, because I trust it more."""
    return np.asarray(tensor.detach().cpu(), dtype=np.float64)


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    R, G, C, V, V2 = (as_array(x) for x in (reward, discount, same_episode, value, value_next))
    A = np.zeros_like(R)
    for t in range(len(R)):
        # the definition itself: the sum of all later deltas, until an episode ends
        weight = np.ones(R.shape[1])
        for k in range(t, len(R)):
            A[t] += weight * (R[k] + G[k] * V2[k] - V[k])
            weight = weight * trace_lambda * G[k] * C[k]
    return torch.as_tensor(A, dtype=reward.dtype, device=reward.device)


def lambda_return(advantage, value):
    return torch.stack([a + v for a, v in zip(advantage, value)])


def normalized(advantage):
    mu = advantage.sum() / advantage.numel()
    sigma2 = ((advantage - mu) ** 2).sum() / advantage.numel()
    return (advantage - mu) / (torch.sqrt(sigma2) + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    rho = torch.exp(log_prob_new - log_prob_old)
    # rho * A is larger than its clipped version exactly where A > 0 and rho > 1 + eps, or A < 0 and rho < 1 - eps
    too_good = ((advantage > 0) & (rho > 1 + clip_epsilon)) | ((advantage < 0) & (rho < 1 - clip_epsilon))
    bound = torch.where(advantage > 0, 1 + clip_epsilon, 1 - clip_epsilon)
    return torch.where(too_good, bound * advantage, rho * advantage).mean()


def value_loss(value, target):
    error = value - target
    return torch.dot(error, error) / len(error)


def entropy(logits):
    # H = log Z - sum p z, where z are the logits after the largest was subtracted
    z = logits - logits.max(dim=-1, keepdim=True).values
    weights = torch.exp(z)
    Z = weights.sum(dim=-1)
    return torch.log(Z) - (weights * z).sum(dim=-1) / Z


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    total = 0
    for k in range(pre_tanh.shape[-1]):
        u, m, s = pre_tanh[..., k], mean[..., k], std[..., k]
        total = total - 0.5 * ((u - m) / s) ** 2 - torch.log(s) - 0.5 * math.log(2 * math.pi)
        # log(1 - tanh^2 u) = 2 log 2 - 2 |u| - 2 log(1 + e^(-2|u|))
        total = total - (2 * math.log(2) - 2 * u.abs() - 2 * torch.log1p(torch.exp(-2 * u.abs())))
    return total


def minibatches(count, batch_size, generator):
    order = torch.randperm(count, generator=generator, device=generator.device)
    pieces = -(-count // batch_size)
    return [order[i * batch_size : min((i + 1) * batch_size, count)] for i in range(pieces)]


class RunningMoments:
    def update(self, rows):
        # Welford, one row after the other
        for row in rows.double():
            self.count = self.count + 1
            before = row - self.mean
            self.mean = self.mean + before / self.count
            after = row - self.mean
            self.variance = self.variance * (self.count > 1)
            self.variance = self.variance + (before * after - self.variance) / self.count
