"""Two chains that random play does not come through: DeepSea, and a key that lies in the other direction than its door."""

from functools import cached_property

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.exact import occupancy
from npfl139.envs.pictures import AGENT, BLUE, DARK, GOLD, GREEN, LIGHT, NIGHT, RED, TRAIL, box, canvas, disc, mixed

__all__ = ["DeepSea", "DeepSeaVector", "KeyDoor", "KeyDoorVector"]

SAND = (176, 150, 104)
MOVE_COST = 0.01  # of as many moves to the right as the sea is deep


class DeepSeaVector(BatchedEnv):
    """A sea of n × n cells: every step sinks by one row, to the left or to the right; the treasure lies in the lower right corner.

    The diver starts in the upper left corner; at the sides it stays in its column. Which of the 2 actions means right is
    drawn for each cell from `mapping_seed`. To the right costs 0.01 / n; to the right from the corner of the treasure earns 1. After
    n steps the diver is at the bottom and the episode terminates.

    The observation [n²] is one-hot the cell, and zero at the end.

    The best return is 0.99, always to the right; random play finds the treasure with probability 2⁻ⁿ and pays 0.005.

    Source: Osband et al. (2019), Deep Exploration via Randomized Value Functions, arXiv:1703.07608, Section 4; rewards
    and mapping as in bsuite, arXiv:1908.03568.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 6}
    limit_terminates = True
    best_return = 1 - MOVE_COST

    def __init__(self, num_envs: int, n: int = 10, mapping_seed: int = 0, render_mode: str | None = None):
        """Declare seas of `n` × `n` cells whose actions are drawn from `mapping_seed`.

        Raises:
            ValueError: `n` is less than 2.
        """
        if n < 2:
            raise ValueError(f"a deep sea has at least 2 × 2 cells, got n = {n}")
        super().__init__(num_envs, Box(0, 1, (n * n,), np.float32), Discrete(2), n, render_mode)
        self.n, self.rows = n, np.arange(num_envs)
        self.right = np.random.default_rng(mapping_seed).integers(2, size=(n, n))  # the action that leads to the right
        self.columns = np.zeros((num_envs, n + 1), np.int64)  # in each row of the sea, as far as the dive has come
        self.found = np.zeros(num_envs, bool)

    @property
    def random_return(self) -> float:
        """The expected return of random play."""
        return 0.5**self.n - MOVE_COST / 2

    def restart(self, rows: np.ndarray) -> None:
        self.columns[rows], self.found[rows] = 0, False

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        column = self.columns[self.rows, self.elapsed]
        right = action == self.right[self.elapsed, column]
        self.found = right & (column == self.n - 1)
        self.columns[self.rows, self.elapsed + 1] = np.clip(column + 2 * right - 1, 0, self.n - 1)
        return self.found - MOVE_COST / self.n * right, np.zeros(self.num_envs, bool)

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, self.n**2), np.float32)
        rows = np.flatnonzero(self.elapsed < self.n)
        depth = self.elapsed[rows]
        observation[rows, self.n * depth + self.columns[rows, depth]] = 1
        return observation

    def draw(self, row: int) -> np.ndarray:
        """Return a picture: darker the deeper, the way of the dive, the treasure in its corner."""
        cell = -(-320 // self.n)
        size, depth = cell * self.n, int(self.elapsed[row])
        image = canvas(size, size + cell // 2)
        for line in range(self.n):
            shade = mixed(BLUE, NIGHT, 0.25 + 0.7 * line / self.n)
            for column in range(self.n):
                box(image, cell * column, cell * line, cell - 1, cell - 1, shade)
        box(image, 0, size, size, cell, SAND)
        box(image, size - 0.9 * cell, size - 0.75 * cell, 0.8 * cell, 0.75 * cell, LIGHT if self.found[row] else GOLD)
        box(image, size - 0.9 * cell, size - 0.5 * cell, 0.8 * cell, 2, NIGHT)
        way = [(cell * (column + 0.5), cell * (line + 0.5)) for line, column in enumerate(self.columns[row, : depth + 1])]
        for x, y in way[:-1]:
            disc(image, x, y, 0.12 * cell, LIGHT)
        x, y = way[-1]
        disc(image, x, min(y, len(image) - 0.35 * cell), 0.3 * cell, AGENT)
        return image


class DeepSea(SingleEnv):
    """One row of `DeepSeaVector`."""

    metadata = DeepSeaVector.metadata
    batch_type = DeepSeaVector


class KeyDoorVector(BatchedEnv):
    """A corridor: a key at its left end, a door behind its right one, and the agent in the middle. The door wants the key.

    Actions: left, right. Who stands in the leftmost cell has the key from then on; to the right from the last cell earns 1 and ends the
    episode with the key, and does nothing without. After 4 `length` steps the episode terminates: they are a part of the task.

    The observation [length + 1] is one-hot the cell (length), and whether the key was picked up in this very step (1): that the agent
    has it must be remembered.

    The best return is 1, after 3/2 `length` steps. `random_return` is that of random play, 0.0012 where `length` is 20.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 10}
    limit_terminates = True
    best_return = 1.0

    def __init__(self, num_envs: int, length: int = 20, render_mode: str | None = None):
        """Declare corridors of `length` cells.

        Raises:
            ValueError: `length` is less than 3.
        """
        if length < 3:
            raise ValueError(f"a corridor with a key has at least 3 cells, got {length}")
        super().__init__(num_envs, Box(0, 1, (length + 1,), np.float32), Discrete(2), 4 * length, render_mode)
        self.length, self.start, self.rows = length, length // 2, np.arange(num_envs)
        self.place = np.zeros(num_envs, np.int64)
        self.has_key, self.picks_up, self.opened = np.zeros((3, num_envs), bool)
        self.seen = np.zeros((num_envs, length), bool)

    @cached_property
    def random_return(self) -> float:
        """The expected return of random play: the probability that it fetches the key and opens the door in time."""
        place = np.arange(self.length)
        left, right, keyed = np.maximum(place - 1, 0), np.minimum(place + 1, self.length - 1), self.length + place
        successors = np.zeros((2 * self.length + 1, 2), np.int64)  # states: without the key, with it, at the end
        successors[place] = np.stack([np.where(left == 0, self.length, left), right], 1)
        successors[keyed] = self.length + np.stack([left, place + 1], 1)
        successors[-1] = 2 * self.length
        return float(occupancy(successors, self.start, self.max_episode_steps)[-1, -1])

    def restart(self, rows: np.ndarray) -> None:
        self.place[rows] = self.start
        self.has_key[rows] = self.picks_up[rows] = self.opened[rows] = self.seen[rows] = False
        self.seen[rows, self.start] = True

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.opened = (action == 1) & (self.place == self.length - 1) & self.has_key
        self.place = np.clip(self.place + 2 * action - 1, 0, self.length - 1)
        self.picks_up = (self.place == 0) & ~self.has_key
        self.has_key = self.has_key | self.picks_up
        self.seen[self.rows, self.place] = True
        return self.opened.astype(np.float64), self.opened.copy()

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, self.length + 1), np.float32)
        observation[self.rows, self.place] = 1
        observation[:, -1] = self.picks_up
        return observation

    def draw(self, row: int) -> np.ndarray:
        """Return a picture: the corridor, cells seen brighter, the key where it is, the door, red as long as it is locked."""
        cell = max(20, 480 // (self.length + 2))
        image = canvas(cell * (self.length + 2), 6 * cell)
        y, (height, width, _) = 3.5 * cell, image.shape
        for place, seen in enumerate(self.seen[row]):
            box(image, cell * (place + 0.5), y - 0.6 * cell, cell - 1, 1.2 * cell, TRAIL if seen else DARK)
        x = cell * (self.place[row] + 1)
        door = cell * (self.length + 0.5)
        box(image, door, y - 1.6 * cell, 0.9 * cell, 2.2 * cell, GREEN if self.opened[row] else GOLD if self.has_key[row] else RED)
        disc(image, door + 0.25 * cell, y - 0.8 * cell, 0.12 * cell, NIGHT)
        key_x, key_y = (x, y - 1.2 * cell) if self.has_key[row] else (cell, y)
        disc(image, key_x - 0.2 * cell, key_y, 0.22 * cell, GOLD)
        box(image, key_x, key_y - 0.06 * cell, 0.45 * cell, 0.14 * cell, GOLD)
        box(image, key_x + 0.3 * cell, key_y, 0.12 * cell, 0.22 * cell, GOLD)
        disc(image, door + 0.45 * cell if self.opened[row] else x, y, 0.3 * cell, AGENT)
        box(image, 0, height - 6, width * (1 - self.elapsed[row] / self.max_episode_steps), 6, LIGHT)
        return image


class KeyDoor(SingleEnv):
    """One row of `KeyDoorVector`."""

    metadata = KeyDoorVector.metadata
    batch_type = KeyDoorVector
