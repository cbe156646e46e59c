import torch

from npfl139.nets import MLP
from npfl139.seeding import torch_stream


def test_weights_are_scaled_orthogonal_and_biases_zero():
    network = MLP(5, (8, 8), 3, torch_stream(1, "networks"), output_scale=0.01)
    for layer, scale in zip(network.layers, (2**0.5, 2**0.5, 0.01), strict=True):
        weight = layer.weight if layer.out_features <= layer.in_features else layer.weight.T
        torch.testing.assert_close(weight @ weight.T, scale**2 * torch.eye(len(weight)), rtol=1e-4, atol=1e-6)
        assert not layer.bias.any()


def test_the_generator_decides():
    def weight(seed):
        return MLP(4, (6,), 2, torch_stream(seed, "networks")).layers[0].weight

    assert torch.equal(weight(1), weight(1)) and not torch.equal(weight(1), weight(2))


def test_it_computes_layer_after_layer():
    network = MLP(2, (3,), 1, torch_stream(1, "networks"), activation=torch.relu)
    first, last = network.layers
    inputs = torch.randn(4, 5, 2, generator=torch_stream(1, "inputs"))
    expected = (inputs @ first.weight.T).clamp(min=0) @ last.weight.T
    torch.testing.assert_close(network(inputs), expected)


def test_without_hidden_layers_it_is_linear():
    network = MLP(3, (), 2, torch_stream(1, "networks"))
    assert [tuple(parameter.shape) for parameter in network.parameters()] == [(2, 3), (2,)]
