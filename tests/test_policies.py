import torch
from torch.distributions import Categorical

from npfl139.policies import categorical_log_prob, categorical_sample, gaussian_sample
from npfl139.seeding import torch_stream


def test_log_probabilities_are_those_of_torch_for_any_leading_shape():
    logits, action = torch.randn(2, 5, 3, generator=torch_stream(1, "logits")), torch.tensor([[0, 1, 2, 2, 1]] * 2)
    torch.testing.assert_close(categorical_log_prob(logits, action), Categorical(logits=logits).log_prob(action))


def test_actions_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([0.5, 0.2, 0.3]).log().expand(20_000, 3)
    frequency = categorical_sample(logits, torch_stream(1, "actions")).bincount() / 20_000
    assert (frequency - torch.tensor([0.5, 0.2, 0.3])).abs().max() < 0.02  # six standard deviations


def test_gaussian_actions_have_their_moments_and_depend_on_the_generator_only():
    mean, std = torch.tensor([1.0, -2.0]).expand(20_000, 2), torch.tensor([0.5, 3.0])
    action = gaussian_sample(mean, std, torch_stream(1, "actions"))
    assert torch.equal(action, gaussian_sample(mean, std, torch_stream(1, "actions")))
    assert ((action.mean(0) - mean[0]).abs() < 6 * std / 20_000**0.5).all()
    assert ((action.std(0) / std - 1).abs() < 0.03).all()
