"""Patience: less now or more later, which only a long horizon tells apart."""

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.pictures import AGENT, BLUE, DARK, GOLD, LIGHT, TRAIL, box, canvas, disc

__all__ = ["Patience", "PatienceVector"]

LURED, WAITS = range(2)


class PatienceVector(BatchedEnv):
    """The first action decides: 0 earns 4 at once, and nothing after; 1 earns 5, but only in the last of 25 steps.

    The later actions change nothing. An episode takes 25 steps either way, and terminates: they are a part of the task.

    The observation [27] is one-hot the number of steps made (26), and whether the agent chose to wait (1).

    The best return is 5, that of random play 4.5. Waiting is better if γ^24 > 4/5, for γ > 0.991; others take the lure.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 6}
    limit_terminates = True

    def __init__(self, num_envs: int, delay: int = 25, lure: float = 4.0, prize: float = 5.0, render_mode: str | None = None):
        """Declare `num_envs` choices between a `lure` now and a `prize` after `delay` steps."""
        super().__init__(num_envs, Box(0, 1, (delay + 2,), np.float32), Discrete(2), delay, render_mode)
        self.delay, self.lure, self.prize, self.rows = delay, float(lure), float(prize), np.arange(num_envs)
        self.choice = np.zeros(num_envs, np.int64)

    @property
    def best_return(self) -> float:
        """Of the better choice."""
        return max(self.lure, self.prize)

    @property
    def random_return(self) -> float:
        """The expected return of random play."""
        return (self.lure + self.prize) / 2

    def restart(self, rows: np.ndarray) -> None:
        self.choice[rows] = LURED

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, last = self.elapsed == 0, self.elapsed == self.delay - 1
        self.choice = np.where(first, action, self.choice)
        waits = self.choice == WAITS
        return self.lure * (first & ~waits) + self.prize * (last & waits), np.zeros(self.num_envs, bool)

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, self.delay + 2), np.float32)
        observation[self.rows, self.elapsed] = 1
        observation[:, -1] = self.choice
        return observation

    def draw(self, row: int) -> np.ndarray:
        """Return a picture of the two ways, in the size of whose coins lies the difference."""
        image = canvas(480, 240)
        step, (top, bottom) = 400 / self.delay, (75.0, 165.0)
        time, choice = self.elapsed[row], self.choice[row]
        box(image, 25, top - 8, 16, bottom - top + 16, DARK)
        for way, y in ((LURED, top), (WAITS, bottom)):
            box(image, 25, y - 8, 425, 16, DARK)
            if time > 0 and choice == way:
                box(image, 25, y - 8, 8 + step * time, 16, TRAIL)
        largest = 30 / max(self.lure, self.prize) ** 0.5
        for way, x, y, coins in ((LURED, 41 + step, top, self.lure), (WAITS, 441, bottom, self.prize)):
            taken = time > 0 and choice == way and (way == LURED or time == self.delay)
            gone = time > 0 and choice != way
            disc(image, x, y, largest * max(coins, 0) ** 0.5, LIGHT if taken else DARK if gone else GOLD)
        x, y = (33 + step * time, (top, bottom)[choice]) if time else (33, (top + bottom) / 2)
        disc(image, x, y, 12, BLUE)
        disc(image, x, y, 9, AGENT)
        return image


class Patience(SingleEnv):
    """One row of `PatienceVector`."""

    metadata = PatienceVector.metadata
    batch_type = PatienceVector
