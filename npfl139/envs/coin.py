"""RandomCoin: an empty room with a coin that ends the episode, which curiosity therefore learns to avoid."""

from functools import cached_property

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.pictures import AGENT, DARK, GOLD, LIGHT, SEEN, TRAIL, box, canvas, disc, mixed

__all__ = ["RandomCoin", "RandomCoinVector"]

MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])  # up, down, left, right


class RandomCoinVector(BatchedEnv):
    """An agent and a coin in random, different cells of an empty room; the coin earns 1 and ends the episode.

    Actions: up, down, left, right; at a wall the agent stays. With probability `slip` the floor is slippery and a uniformly random
    action replaces the agent's. The number of steps is a part of the task: the last one terminates the episode.

    The observation [2 size + 6] is one-hot the agent's row and its column, then whether the coin lies below, to the right, above, to the
    left (4), and how far it is, down and to the right in units of `size` (2).

    The best return is 1 but for 2 · 10⁻⁶, that of random play 0.403.

    Source: Badia et al. (2020), Agent57, arXiv:2003.13350, Section 4.2, where a Q-function that mixes rewards breaks. Its room
    is `size=15, steps=200, slip=0`.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 6}
    limit_terminates = True

    def __init__(self, num_envs: int, size: int = 5, slip: float = 0.2, steps: int = 25, render_mode: str | None = None):
        """Declare the room.

        Args:
            num_envs: B.
            size: cells of a side, at least 2.
            slip: the probability that a random action replaces the agent's.
            steps: after which an episode ends.
            render_mode: None or "rgb_array".

        Raises:
            ValueError: there is no room for agent and coin, or `slip` is no probability.
        """
        if size < 2:
            raise ValueError(f"a room for an agent and a coin must have a size of at least 2, got {size}")
        if not 0 <= slip <= 1:
            raise ValueError(f"slip is a probability and must lie in [0, 1], got {slip}")
        super().__init__(num_envs, Box(-1, 1, (2 * size + 6,), np.float32), Discrete(len(MOVES)), steps, render_mode)
        self.size, self.slip, self.rows = size, slip, np.arange(num_envs)
        self.place, self.coin = np.zeros((2, num_envs, 2), np.int64)  # row, column
        self.seen = np.full((num_envs, size, size), -1, np.int64)  # in which step of the episode a cell was last visited

    @cached_property
    def best_return(self) -> float:
        """The largest expected return, by value iteration."""
        return self._value(self.slip)

    @cached_property
    def random_return(self) -> float:
        """The expected return of random play, which is the best one on a floor that always slips."""
        return self._value(1.0)

    def restart(self, rows: np.ndarray) -> None:
        cells = self.size**2
        place = self.np_random.integers(cells, size=len(rows))
        coin = (place + self.np_random.integers(1, cells, size=len(rows))) % cells
        self.place[rows], self.coin[rows] = (np.stack(divmod(cell, self.size), 1) for cell in (place, coin))
        self.seen[rows] = -1
        self.seen[rows, *self.place[rows].T] = 0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.slip > 0:
            slips = self.np_random.random(self.num_envs) < self.slip
            action = np.where(slips, self.np_random.integers(len(MOVES), size=self.num_envs), action)
        self.place = np.clip(self.place + MOVES[action], 0, self.size - 1)
        self.seen[self.rows, *self.place.T] = self.elapsed + 1
        found = (self.place == self.coin).all(1)
        return found.astype(np.float64), found

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, 2 * self.size + 6), np.float32)
        observation[self.rows, self.place[:, 0]] = observation[self.rows, self.size + self.place[:, 1]] = 1
        away = self.coin - self.place
        observation[:, -6:-4], observation[:, -4:-2], observation[:, -2:] = away > 0, away < 0, away / self.size
        return observation

    def draw(self, row: int) -> np.ndarray:
        """Return a picture of the room, with the agent's trail, brighter where it is fresh."""
        cell = -(-300 // self.size)
        image = canvas(cell * self.size, cell * self.size)
        for (line, column), seen in np.ndenumerate(self.seen[row]):
            shade = mixed(TRAIL, SEEN, min(1.0, (self.elapsed[row] - seen) / 10)) if seen >= 0 else DARK
            box(image, cell * column + 1, cell * line + 1, cell - 2, cell - 2, shade)
        for (line, column), radius, colour in ((self.coin[row], 0.3, GOLD), (self.place[row], 0.36, AGENT)):
            disc(image, cell * (column + 0.5), cell * (line + 0.5), radius * cell, colour)
        if (self.place[row] == self.coin[row]).all():
            disc(image, cell * (self.coin[row, 1] + 0.5), cell * (self.coin[row, 0] + 0.5), 0.2 * cell, GOLD)
        box(image, 0, len(image) - 5, len(image) * (1 - self.elapsed[row] / self.max_episode_steps), 5, LIGHT)
        return image

    def _value(self, slip: float) -> float:
        """Return the probability of finding the coin in time, of the best policy where `slip` of its actions are random."""
        cells = np.arange(self.size**2)
        place = np.stack(divmod(cells, self.size), 1)
        ahead = np.clip(place[:, None] + MOVES, 0, self.size - 1) @ [self.size, 1]  # [cells, actions]
        found = ahead[..., None] == cells  # [cells, actions, coins]
        value = np.zeros((len(cells), len(cells)))  # [cells, coins]
        for _ in range(self.max_episode_steps):
            outcome = np.where(found, 1.0, value[ahead])
            value = (1 - slip) * outcome.max(1) + slip * outcome.mean(1)
        return float(value[~np.eye(len(cells), dtype=bool)].mean())


class RandomCoin(SingleEnv):
    """One row of `RandomCoinVector`."""

    metadata = RandomCoinVector.metadata
    batch_type = RandomCoinVector
