"""What torch.distributions and torch.nn.functional offer."""

from torch.distributions import Categorical, Normal
from torch.distributions.transforms import TanhTransform


def normalized(advantage):
    variance, mean = torch.var_mean(advantage, correction=0)
    return (advantage - mean) / (variance.sqrt() + 1e-8)


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    ratio = torch.exp(log_prob_new - log_prob_old)
    surrogates = torch.stack([ratio * advantage, torch.clip(ratio, 1 - clip_epsilon, 1 + clip_epsilon) * advantage])
    return surrogates.min(dim=0).values.mean()


def value_loss(value, target):
    return functional.mse_loss(value, target)


def entropy(logits):
    return Categorical(logits=logits).entropy()


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    transform = TanhTransform()
    return (Normal(mean, std).log_prob(pre_tanh) - transform.log_abs_det_jacobian(pre_tanh, pre_tanh.tanh())).sum(dim=-1)


def minibatches(count, batch_size, generator):
    return [*torch.split(torch.randperm(count, generator=generator), batch_size)]
