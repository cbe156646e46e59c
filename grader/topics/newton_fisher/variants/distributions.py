"""torch.distributions where it has the formula, autograd.functional where it has the derivative, one-hot labels."""

from torch.distributions import Categorical
from torch.distributions import kl_divergence as kl_of_distributions


def distribution(theta, inputs, sizes):
    return Categorical(logits=log_probabilities(theta, inputs, sizes))


def score(theta, inputs, labels, sizes):
    return torch.autograd.functional.jacobian(lambda parameters: distribution(parameters, inputs, sizes).log_prob(labels), theta)


def fisher_exact(theta, inputs, sizes):
    probabilities = distribution(theta, inputs, sizes).probs
    weighted = [
        probabilities[:, y].sqrt().unsqueeze(1) * score(theta, inputs, torch.full_like(inputs[:, 0], y).long(), sizes)
        for y in range(sizes[-1])
    ]
    stacked = torch.cat(weighted)
    return stacked.mT @ stacked / inputs.shape[0]


def fisher_sampled(theta, inputs, sizes, samples, generator):
    uniform = torch.rand(samples, *log_probabilities(theta, inputs, sizes).shape, generator=generator, dtype=theta.dtype)
    labels = (log_probabilities(theta, inputs, sizes) - (-uniform.log()).log()).argmax(-1)  # the Gumbel trick
    return torch.stack([fisher_empirical(theta, inputs, y, sizes) for y in labels]).mean(0)


def expected_hessian(theta, inputs, label_probabilities, sizes):
    def cross_entropy(parameters):
        return torch.nn.functional.cross_entropy(log_probabilities(parameters, inputs, sizes), label_probabilities)

    hessian = torch.autograd.functional.hessian(cross_entropy, theta)
    return (hessian + hessian.T) / 2


def kl_divergence(theta, other, inputs, sizes):
    return kl_of_distributions(distribution(theta, inputs, sizes), distribution(other, inputs, sizes)).mean()
