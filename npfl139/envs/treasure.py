"""TreasureChain: the same short task at four scales of reward, which no single clipping or scaling of the rewards fits."""

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv

__all__ = ["TreasureChain", "TreasureChainVector"]

SCALES = 10.0 ** np.arange(4)  # of all rewards of an episode, drawn when it starts and observed
TREASURE = 10.0  # coins; a coin from the heap is worth 1
TAKE_COIN, WALK = 0, 1

CELL = 24  # pixels of a room
FLOOR, COIN, CHEST, PERSON = (60, 60, 70), (230, 190, 60), (150, 90, 40), (240, 240, 240)


class TreasureChainVector(BatchedEnv):
    """A corridor of four rooms, each with a heap of coins, with a treasure behind the last, and a torch that lasts for 8 steps.

    Action 0 takes a coin where one stands, action 1 walks on; walking out of the last room finds the treasure and ends the
    episode. A coin is worth `scale`, the treasure 10 `scale`, where the scale 1, 10, 100 or 1000 is drawn anew for
    every episode: rewards lie between 1 and 10 000. Best is to take four coins and to walk in time, for 14 `scale`. Only
    to take coins gives 8 `scale`, and that looks best to an agent whose rewards are clipped to 1. Only to walk gives 10 `scale`.

    The observation [17] is one-hot the room (4), the scale (4) and the steps that the torch has burnt (9). The end of
    the torch is a part of the task, and observed: it terminates the episode, and truncates nothing.
    """

    def __init__(self, num_envs: int, render_mode: str | None = None, rooms: int = 4, torch_steps: int = 8, burnt_at_start: int = 0):
        """Declare the chain; other lengths than those of the class's docstring make other tasks of the same kind.

        Args:
            rooms: how many steps the treasure is away.
            torch_steps: how long a new torch lasts.
            burnt_at_start: an episode starts with a torch that has burnt for 0 to so many steps, drawn uniformly. With every
                step that it has burnt, one coin less can be taken.

        Raises:
            ValueError: the treasure cannot always be reached.
        """
        if rooms < 1 or burnt_at_start < 0 or torch_steps - burnt_at_start < rooms:
            raise ValueError(f"a torch of {torch_steps} steps of which {burnt_at_start} may be gone does not last for {rooms} rooms")
        space = Box(0.0, 1.0, (rooms + len(SCALES) + torch_steps + 1,), np.float32)
        super().__init__(num_envs, space, Discrete(2), torch_steps + 1, render_mode)
        self.rooms, self.torch_steps, self.burnt_at_start = rooms, torch_steps, burnt_at_start
        self.room = np.zeros(num_envs, np.int64)
        self.level = np.zeros(num_envs, np.int64)
        self.burnt_before = np.zeros(num_envs, np.int64)  # steps that the torch had burnt when the episode started

    @property
    def burnt(self) -> np.ndarray:
        """[B] the steps that the torches have burnt."""
        return self.burnt_before + self.elapsed

    @property
    def best_return(self) -> np.ndarray:
        """[B] the largest return that the current episodes of the rows allow."""
        return SCALES[self.level] * (TREASURE + self.torch_steps - self.burnt_before - self.rooms)

    def restart(self, rows: np.ndarray) -> None:
        self.room[rows] = 0
        self.level[rows] = self.np_random.integers(len(SCALES), size=len(rows))
        if self.burnt_at_start:
            self.burnt_before[rows] = self.np_random.integers(self.burnt_at_start + 1, size=len(rows))

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = (action == WALK) & (self.room == self.rooms - 1)
        reward = SCALES[self.level] * ((action == TAKE_COIN) + TREASURE * found)
        self.room = np.minimum(self.room + (action == WALK), self.rooms - 1)
        return reward, found | (self.burnt + 1 >= self.torch_steps)

    def observe(self) -> np.ndarray:
        parts = np.eye(self.rooms)[self.room], np.eye(len(SCALES))[self.level], np.eye(self.torch_steps + 1)[self.burnt]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def draw(self, row: int) -> np.ndarray:
        image = np.zeros((2 * CELL, (self.rooms + 1) * CELL, 3), np.uint8)
        for room in range(self.rooms):
            _paint(image, room, 0, CELL - 2, FLOOR)
            _paint(image, room, CELL // 2, CELL // 2 - 4, COIN)
        _paint(image, self.rooms, 0, CELL - 2, CHEST)
        _paint(image, self.room[row], 4, CELL // 3, PERSON)
        left = len(image[0]) * (self.torch_steps - self.burnt[row]) // self.torch_steps
        image[CELL + 4 : CELL + 10, :left] = COIN
        image[CELL + 14 : CELL + 20, : CELL * (self.level[row] + 1)] = CHEST
        return image


class TreasureChain(SingleEnv):
    """One TreasureChain; see `TreasureChainVector`."""

    batch_type = TreasureChainVector


def _paint(image: np.ndarray, room: int, offset: int, size: int, colour: tuple[int, int, int]) -> None:
    image[offset : offset + size, room * CELL + offset : room * CELL + offset + size] = colour
