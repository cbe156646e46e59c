# %% [markdown]
# # Transformed rewards
#
# The rewards of one Atari game differ from those of another by four orders of magnitude. Clipping them to [-1, 1] makes them
# alike, and changes the task. Here the *values* are squeezed instead, by an invertible function $h$, and the agent still
# maximizes the true return. The exercises build $h$ and its inverse, study the transformed Bellman operator on tabular
# Markov decision processes, and end in the targets of a double DQN agent.

# %%
import torch

Tensor = torch.Tensor


# %% [markdown]
# ## The transformation

# %%
def rescale(x: Tensor, epsilon: float) -> Tensor:
    """Return h(x), elementwise [transformed_rewards:rescale].

        h(x) = sign(x) (√(|x| + 1) - 1) + ε x

    h is odd and strictly increasing, close to x/2 for small |x| and to √|x| for large |x|, until ε|x| takes over.

    √(|x| + 1) - 1 subtracts two nearly equal numbers when |x| is small: in float32 half of the digits are gone at |x| = 1e-3.
    Find an algebraically equal form without this cancellation. The result must have a relative error of at most 1e-6 in
    float32 for 1e-6 ≤ |x| ≤ 1e6 and 1e-3 ≤ ε ≤ 1e-1.

    Args:
        x: [...] any shape.
        epsilon: ε ≥ 0, the slope that remains for large |x|.

    Returns:
        [...] of the same shape.

    Source: Pohlen et al. (2018), arXiv:1805.11593, Section 3.2.

    >>> rescale(torch.tensor([-3.0, 0.0, 3.0, 99.0]), 0.1)
    tensor([-1.3000,  0.0000,  1.3000, 18.9000])
    >>> rescale(torch.tensor([2e-6]), 0.0)  # x/2, up to a relative difference of x/4
    tensor([1.0000e-06])
    """
    return x * (1 / (torch.sqrt(x.abs() + 1) + 1) + epsilon)


def rescale_inverse(x: Tensor, epsilon: float) -> Tensor:
    """Return h⁻¹(x), elementwise, the inverse of `rescale` [transformed_rewards:inverse].

        h⁻¹(x) = sign(x) (((√(1 + 4ε(|x| + 1 + ε)) - 1) / (2ε))² - 1)

    Computed as it is printed, this form has no correct digit left in float32 at ε = 1e-3 and |x| = 1e-4: it subtracts nearly
    equal numbers twice, and divides by 2ε in between. Derive an equal form that only adds. A hint: substitute 1 + w for the
    square root √(|y| + 1) in |h(y)| = |x|, and solve the quadratic equation for w ≥ 0 in the way that does not cancel. The
    result must have a relative error of at most 1e-6 in float32 wherever 1e-6 ≤ |h⁻¹(x)| ≤ 1e6 and 1e-3 ≤ ε ≤ 1e-1, and be exact in the limit ε = 0.

    Args:
        x: [...] any shape.
        epsilon: ε ≥ 0.

    Returns:
        [...] of the same shape.

    Source: Pohlen et al. (2018), arXiv:1805.11593, Proposition A.2 (iii).

    >>> rescale_inverse(torch.tensor([-1.3, 0.0, 1.3, 18.9]), 0.1).round(decimals=3)
    tensor([-3.,  0.,  3., 99.])
    >>> x = torch.tensor([-1e6, -1e-4, 1e-4, 1.0, 1e6])
    >>> bool(((rescale_inverse(rescale(x, 1e-3), 1e-3) - x).abs() <= 1e-6 * x.abs()).all())
    True
    >>> rescale_inverse(torch.tensor([2.0]), 0.0)  # at ε = 0 it is (|x| + 1)² - 1
    tensor([8.])
    """
    linear = 1 + 2 * epsilon
    root = 2 * x / (linear + torch.sqrt(linear**2 + 4 * epsilon * x.abs()))
    return root * (root.abs() + 2)
