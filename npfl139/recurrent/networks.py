"""Networks of agents with a memory: time-major, with the recurrent state of a row as one vector, whatever it consists of."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from npfl139.nets import MLP, orthogonal_

__all__ = ["LSTM", "Convolutions", "NetworkConfig", "NoMemory", "RecurrentNetwork", "Vectors"]


class NetworkConfig(Protocol):
    """What a configuration says about a `RecurrentNetwork`."""

    @property
    def observation_scale(self) -> Sequence[float]:
        """By which each number of observations that are vectors is multiplied; () leaves them."""

    @property
    def torso_sizes(self) -> Sequence[int]:
        """Hidden layers before the memory, for observations that are vectors."""

    @property
    def torso_precision(self) -> str:
        """In what the convolutions of images compute, "float32" or "bfloat16", see `Convolutions`."""

    @property
    def memory(self) -> str:
        """Which memory: "lstm" or "none"."""

    @property
    def memory_size(self) -> int:
        """Units of the memory."""

    @property
    def memory_span(self) -> float:
        """Steps over which a new LSTM remembers at most."""


class Convolutions(nn.Module):
    """The torso for images: [T, B, C, H, W] or [T, B, H, W] -> [T, B, output_size]. Numbers of uint8 are divided by 255.

    Images of 36 × 36 pixels and more go through the three layers of Mnih et al. (2015), smaller ones through the two of the Disco Maze
    of Badia et al. (2020), arXiv:2002.06038, Table 7. A stack of images of colours, [T, B, K, C, H, W], counts as K·C colours.

    In the precision "bfloat16" weights and features stay float32, and each layer rounds them to 8 significant bits, colours last in memory.
    That is much faster where processors have instructions for it. Features of a new torso, their gradients and the values made of them
    are off by about 0.4 % of their size.
    """

    LAYERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # channels, kernel, stride
    SMALL = ((16, 3, 1), (32, 3, 1))

    def __init__(self, shape: Sequence[int], generator: torch.Generator, precision: str = "float32"):
        """Make the torso for images of the shape [..., H, W], which computes in "float32" or in "bfloat16".

        Raises:
            ValueError: they are smaller than 5 × 5 pixels.
        """
        super().__init__()
        self.dtype: torch.dtype = getattr(torch, precision)
        height, width = shape[-2:]
        if min(height, width) < 5:
            raise ValueError(f"images must be [C, H, W] or [H, W] with at least 5 × 5 pixels, got {list(shape)}")
        channels = math.prod(shape[:-2])
        self.shape = channels, height, width
        self.layers = nn.ModuleList()
        for outputs, kernel, stride in self.LAYERS if min(height, width) >= 36 else self.SMALL:
            layer = nn.utils.skip_init(nn.Conv2d, channels, outputs, kernel, stride)
            orthogonal_(layer, 2**0.5, generator)
            self.layers.append(layer)
            channels, height, width = outputs, (height - kernel) // stride + 1, (width - kernel) // stride + 1
        self.output_size = channels * height * width

    def forward(self, image: Tensor) -> Tensor:
        hidden = image.reshape(-1, *self.shape).to(self.dtype)
        if image.dtype == torch.uint8:
            hidden = hidden / 255
        if self.dtype == torch.bfloat16:
            hidden = hidden.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            weight, bias = layer.weight.to(self.dtype), layer.bias.to(self.dtype)
            hidden = nn.functional.conv2d(hidden, weight, bias, layer.stride).relu()
        return hidden.reshape(*image.shape[:2], self.output_size).float()


class Vectors(nn.Module):
    """The torso for vectors of any dtype: [T, B, ...] -> [T, B, output_size], fully connected layers, or none at all.

    Numbers of uint8 are divided by 255, as those of images are.
    """

    def __init__(self, size: int, scale: Sequence[float], hidden_sizes: Sequence[int], generator: torch.Generator):
        """Make the torso.

        Args:
            size: how many numbers an observation has.
            scale: by which each of them is multiplied; () leaves them.
            hidden_sizes: of the layers.

        Raises:
            ValueError: there are not as many scales as numbers.
        """
        super().__init__()
        if scale and len(scale) != size:
            raise ValueError(f"observation_scale must have one number for each of the {size} of an observation, got {len(scale)}")
        self.scale: Tensor | None
        self.register_buffer("scale", torch.tensor(scale) if scale else None, persistent=False)
        self.output_size = hidden_sizes[-1] if hidden_sizes else size
        self.layers: MLP | None = MLP(size, hidden_sizes[:-1], hidden_sizes[-1], generator, 2**0.5, torch.relu) if hidden_sizes else None

    def forward(self, vector: Tensor) -> Tensor:
        vector = vector.flatten(2) / 255 if vector.dtype == torch.uint8 else vector.flatten(2).float()
        vector = vector if self.scale is None else vector * self.scale
        return vector if self.layers is None else self.layers(vector).relu()


class LSTM(nn.Module):
    """A memory that carries the state [B, 2·H], the hidden and the cell state of an LSTM side by side."""

    def __init__(self, input_size: int, size: int, span: float, generator: torch.Generator):
        """Make an LSTM whose cells forget, before anything is learnt, over different times of up to `span` steps.

        The bias of a forget gate is log τ and that of the input gate is -log τ, so the cell forgets at a rate of 1 / (1 + τ), with τ
        drawn from [1, span - 1].

        Source: Tallec and Ollivier (2018), arXiv:1804.11188.
        """
        super().__init__()
        self.layer = nn.LSTM(input_size, size)
        for parameter in self.layer.parameters():
            nn.init.uniform_(parameter, -(size**-0.5), size**-0.5, generator=generator)
        with torch.no_grad():
            bias = self.layer.get_parameter("bias_ih_l0")
            self.layer.get_parameter("bias_hh_l0").zero_()
            bias[size : 2 * size].uniform_(1, span - 1, generator=generator).log_()
            bias[:size] = -bias[size : 2 * size]

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = state.chunk(2, -1)
        output, (hidden, cell) = self.layer(inputs, (hidden.contiguous()[None], cell.contiguous()[None]))
        return output, torch.cat([hidden[0], cell[0]], -1)


class NoMemory(nn.Module):
    """A feed-forward layer in the place of the LSTM, for the ablation. It passes the state on untouched."""

    def __init__(self, input_size: int, size: int, span: float, generator: torch.Generator):
        super().__init__()
        self.layer = MLP(input_size, (), size, generator, 2**0.5)

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(inputs).relu(), state


class RecurrentNetwork(nn.Module):
    """Features of a history: a torso looks at the observation, and a memory combines it with what else an agent feels.

    Called with `inputs`, time-major tensors [T, B, ...] by name, and a state [B, S], it returns features [T, B, memory_size] and the next
    state [B, S]. What the memory sees besides the observation is the subclass's to extend: `INPUTS`, `extra_size` and `extra`.
    """

    INPUTS: tuple[str, ...] = ("observation", "previous_action", "previous_reward")  # what the network sees of a row

    def __init__(self, observation_shape: Sequence[int], action_count: int, config: NetworkConfig, generator: torch.Generator):
        """Make the network.

        Args:
            observation_shape: of one observation, or of a stack of them; vectors have one axis.
            action_count: A.
            config: of the torso and of the memory.
            generator: of the initial weights.

        Raises:
            ValueError: as `Convolutions` and `Vectors`.
        """
        super().__init__()
        self.action_count, self.state_size = action_count, 2 * config.memory_size
        self.torso: Convolutions | Vectors
        if len(observation_shape) > 1:
            self.torso = Convolutions(observation_shape, generator, config.torso_precision)
        else:
            self.torso = Vectors(math.prod(observation_shape), config.observation_scale, config.torso_sizes, generator)
        memory: type[LSTM] | type[NoMemory] = LSTM if config.memory == "lstm" else NoMemory
        input_size = self.torso.output_size + self.extra_size(action_count, config)
        self.memory = memory(input_size, config.memory_size, config.memory_span, generator)

    @classmethod
    def extra_size(cls, action_count: int, config: Any) -> int:
        """Return how many numbers `extra` gives. It is asked before there is a network, hence a class method."""
        return action_count + 1

    def extra(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return what the memory sees besides the observation, [T, B, extra_size]; a previous action of -1 stands for none."""
        action = nn.functional.one_hot(inputs["previous_action"].long() + 1, self.action_count + 1)[..., 1:]
        return torch.cat([action, inputs["previous_reward"][..., None]], -1)

    def forward(self, inputs: dict[str, Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
        return self.memory(torch.cat([self.torso(inputs["observation"]), self.extra(inputs)], -1), state)
