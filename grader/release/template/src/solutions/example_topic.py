# %% [markdown]
# # Example topic
#
# A row of slot machines, each with a mean reward that nobody knows: which one to pull? This file is a complete small assignment. It shows
# what an assignment consists of; replace its text, its functions and its loop by yours.

# %%
import torch

from npfl139.seeding import torch_stream

Tensor = torch.Tensor


# %% [markdown]
# ## What an arm is worth


# %%
def extended_mean(mean: Tensor, count: Tensor, reward: Tensor) -> Tensor:
    """Return the means after one more reward each [example_topic:mean].

        Q' = Q + (R - Q) / n

    Args:
        mean: [...] Q, of the first n - 1 rewards; for n = 1 of none, and without influence.
        count: [...] n ≥ 1, the number of rewards with this one.
        reward: [...] R.

    Returns:
        [...] Q', of the first n rewards.

    Source: Sutton and Barto (2018), Equation 2.3.

    >>> extended_mean(torch.tensor([4.0, 9.0]), torch.tensor([2, 1]), torch.tensor([8.0, 3.0]))
    tensor([6., 3.])
    """
    return mean + (reward - mean) / count


# %% [markdown]
# ## Which arm to pull


# %%
def boltzmann(value: Tensor, temperature: float) -> Tensor:
    """Return the probabilities with which the arms are pulled [example_topic:boltzmann].

        π(a) = exp(Q(a) / τ) / Σ_b exp(Q(b) / τ)

    Args:
        value: [..., A] Q.
        temperature: τ > 0.

    Returns:
        [..., A] π; sums to 1 over the last axis.

    Source: Sutton and Barto (2018), Equation 2.11, with preferences Q / τ.

    >>> boltzmann(torch.tensor([[1.0, 1.0], [0.0, -1000.0]]), 2.0)
    tensor([[0.5000, 0.5000],
            [1.0000, 0.0000]])
    """
    return (value / temperature).softmax(dim=-1)


# %% [markdown]
# ## Playing


# %%
def play(arm_means: Tensor, steps: int, temperature: float, seed: int) -> list[float]:
    """Return the mean reward of each step over the bandits whose arms have the means `arm_means` [B, A]."""
    generator, rows = torch_stream(seed, "pulls"), torch.arange(len(arm_means))
    value, count, gained = torch.zeros_like(arm_means), torch.zeros_like(arm_means), []
    for _ in range(steps):
        arm = torch.multinomial(boltzmann(value, temperature), 1, generator=generator)[:, 0]
        count[rows, arm] += 1
        reward = arm_means[rows, arm] + torch.randn(len(arm_means), generator=generator)
        value[rows, arm] = extended_mean(value[rows, arm], count[rows, arm], reward)
        gained.append(reward.mean().item())
    return gained


# %%
if __name__ == "__main__":
    arm_means = torch.randn(200, 5, generator=torch_stream(42, "arms"))
    for temperature in (0.01, 0.1, 1.0):
        print(
            f"τ = {temperature:<4}: {sum(play(arm_means, 100, temperature, seed=42)[-20:]) / 20:.3f} of {arm_means.amax(dim=1).mean():.3f}"
        )
