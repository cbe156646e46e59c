"""Small networks whose initial weights come from a generator that is passed in."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["MLP", "orthogonal_"]


class MLP(nn.Module):
    """A multi-layer perceptron [..., input_size] -> [..., output_size], with orthogonal weights and zero biases.

    Hidden weights are scaled by √2, the last ones by `output_scale`: 0.01 makes a policy start nearly uniform.
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        output_size: int,
        generator: torch.Generator,
        output_scale: float = 1.0,
        activation: Callable[[Tensor], Tensor] = torch.tanh,
    ):
        super().__init__()
        sizes = [input_size, *hidden_sizes, output_size]
        self.layers = nn.ModuleList(_Linear(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True))
        self.activation = activation
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            orthogonal_(layer, output_scale if layer is self.layers[-1] else 2**0.5, generator)

    def forward(self, inputs: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            inputs = self.activation(layer(inputs))
        return last(inputs)


class _Linear(nn.Linear):
    """A linear layer that is not filled with numbers from torch's global generator first."""

    def reset_parameters(self) -> None:
        pass


def orthogonal_(layer: nn.Linear | nn.Conv2d, scale: float, generator: torch.Generator) -> None:
    """Fill the weights of a layer with a scaled orthogonal matrix and its biases with zeros, in place."""
    nn.init.orthogonal_(layer.weight, scale, generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
