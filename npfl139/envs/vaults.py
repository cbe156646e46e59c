"""Vaults: combination locks to find and then to tour, none of which ends the episode."""

from functools import cached_property

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.exact import occupancy
from npfl139.envs.pictures import AGENT, DARK, GOLD, LIGHT, TRAIL, box, canvas, disc, mixed

__all__ = ["Vaults", "VaultsVector"]

ACTIONS = 4
CELL = 44  # pixels


class VaultsVector(BatchedEnv):
    """A hub and three locked corridors of 7 cells, with a treasure in the last cell of each.

    In the hub, action c enters corridor c, and an action for which there is no corridor stays. In each cell one of the 4 actions,
    always the same, leads on, and the others lead back to the hub, as does every action in the last cell. Whoever reaches a
    last cell for the first time in an episode earns 1 / corridors. After 45 steps the episode terminates: they are
    a part of the task.

    The observation [1 + corridors · length] is one-hot: the hub, or the cell. Which treasures are taken is not shown.

    The best return is 1, of a tour of all the vaults, where there is time for it: 8 steps each. Random play finds a given treasure
    with a probability of 0.12 %, and who is content with one does not look for another; curiosity tours them.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 6}
    limit_terminates = True

    def __init__(
        self, num_envs: int, corridors: int = 3, length: int = 7, steps: int = 45, lock_seed: int = 0, render_mode: str | None = None
    ):
        """Draw the combinations.

        Args:
            num_envs: B.
            corridors: how many vaults, 1 to 4.
            length: cells of each.
            steps: after which an episode ends.
            lock_seed: of the combinations.
            render_mode: None or "rgb_array".

        Raises:
            ValueError: there are fewer actions than corridors, or no corridor.
        """
        if not 1 <= corridors <= ACTIONS:
            raise ValueError(f"there must be 1 to {ACTIONS} corridors, an action leads into each, got {corridors}")
        super().__init__(num_envs, Box(0, 1, (1 + corridors * length,), np.float32), Discrete(ACTIONS), steps, render_mode)
        self.corridors, self.length, self.rows = corridors, length, np.arange(num_envs)
        self.combination = np.random.default_rng(lock_seed).integers(ACTIONS, size=(corridors, length))  # the last is of no use
        self.corridor, self.depth = np.zeros((2, num_envs), np.int64)  # depth 0 is the hub, whatever the corridor
        self.deepest = np.zeros((num_envs, corridors), np.int64)  # the depth reached in this episode

    @property
    def best_return(self) -> float:
        """Of opening one vault after another: `length` steps in, and one back before the next."""
        return min(self.corridors, (self.max_episode_steps + 1) // (self.length + 1)) / self.corridors

    @cached_property
    def random_return(self) -> float:
        """The expected return of random play: the probability that a given vault is opened, from an exact computation."""
        opened, other = self.length, self.length + 1  # states: the hub, this corridor's cells, the other ones'
        successors = np.zeros((2 * self.length + 1, ACTIONS), np.int64)
        successors[0, : self.corridors] = other
        successors[0, 0] = 1
        successors[1:opened, 0] = np.arange(2, opened + 1)
        successors[other:-1, 0] = np.arange(other + 1, len(successors))
        successors[opened] = opened
        return float(occupancy(successors, 0, self.max_episode_steps)[-1, opened])

    def restart(self, rows: np.ndarray) -> None:
        self.corridor[rows] = self.depth[rows] = self.deepest[rows] = 0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hub = self.depth == 0
        enters = hub & (action < self.corridors)
        unlocks = ~hub & (self.depth < self.length) & (action == self.combination[self.corridor, self.depth - 1])
        self.corridor = np.where(enters, action, self.corridor)
        self.depth = np.where(enters | unlocks, self.depth + 1, 0)
        deepest = self.deepest[self.rows, self.corridor]
        found = (self.depth == self.length) & (deepest < self.length)
        self.deepest[self.rows, self.corridor] = np.maximum(deepest, self.depth)
        return found / self.corridors, np.zeros(self.num_envs, bool)

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, 1 + self.corridors * self.length), np.float32)
        observation[self.rows, np.where(self.depth == 0, 0, self.corridor * self.length + self.depth)] = 1
        return observation

    def draw(self, row: int) -> np.ndarray:
        """Return a picture: the hub on the left, cells seen in this episode brighter, treasures as long as they lie there."""
        gap = CELL // 2
        image = canvas((self.length + 2) * CELL, max(6, 2 * self.corridors) * CELL - gap)
        height = len(image)
        ways = (np.arange(self.corridors) - (self.corridors - 1) / 2) * 1.6 * CELL + height / 2
        box(image, gap, ways[0] - 0.4 * CELL, 0.8 * CELL, ways[-1] - ways[0] + 0.8 * CELL, DARK)
        for corridor, y in enumerate(ways):
            for cell in range(1, self.length + 1):
                seen = cell <= self.deepest[row, corridor]
                box(image, cell * CELL + gap, y - 0.4 * CELL, 0.85 * CELL, 0.8 * CELL, TRAIL if seen else DARK)
            x = (self.length + 0.925) * CELL
            taken = self.deepest[row, corridor] == self.length
            disc(image, x, y, 0.28 * CELL, mixed(TRAIL, LIGHT, 0.3) if taken else GOLD)
        inside = self.depth[row] > 0
        disc(image, (self.depth[row] + 0.92) * CELL, ways[self.corridor[row]] if inside else height / 2, 0.2 * CELL, AGENT)
        box(image, 0, height - 6, len(image[0]) * (1 - self.elapsed[row] / self.max_episode_steps), 6, LIGHT)
        return image


class Vaults(SingleEnv):
    """One row of `VaultsVector`."""

    metadata = VaultsVector.metadata
    batch_type = VaultsVector
