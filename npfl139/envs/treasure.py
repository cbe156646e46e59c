"""TreasureChain: the same short task at four scales of reward, which no single clipping or scaling of the rewards fits."""

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv

__all__ = ["TreasureChain", "TreasureChainVector"]

ROOMS = 4
TORCH_STEPS = 8  # the episode ends when the torch has burnt down
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

    def __init__(self, num_envs: int, render_mode: str | None = None):
        space = Box(0.0, 1.0, (ROOMS + len(SCALES) + TORCH_STEPS + 1,), np.float32)
        super().__init__(num_envs, space, Discrete(2), TORCH_STEPS + 1, render_mode)
        self.room = np.zeros(num_envs, np.int64)
        self.level = np.zeros(num_envs, np.int64)

    @property
    def best_return(self) -> np.ndarray:
        """[B] the largest return that the current episodes of the rows allow."""
        return SCALES[self.level] * (TREASURE + TORCH_STEPS - ROOMS)

    def restart(self, rows: np.ndarray) -> None:
        self.room[rows] = 0
        self.level[rows] = self.np_random.integers(len(SCALES), size=len(rows))

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = (action == WALK) & (self.room == ROOMS - 1)
        reward = SCALES[self.level] * ((action == TAKE_COIN) + TREASURE * found)
        self.room = np.minimum(self.room + (action == WALK), ROOMS - 1)
        return reward, found | (self.elapsed + 1 >= TORCH_STEPS)

    def observe(self) -> np.ndarray:
        parts = np.eye(ROOMS)[self.room], np.eye(len(SCALES))[self.level], np.eye(TORCH_STEPS + 1)[self.elapsed]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def draw(self, row: int) -> np.ndarray:
        image = np.zeros((2 * CELL, (ROOMS + 1) * CELL, 3), np.uint8)
        for room in range(ROOMS):
            _paint(image, room, 0, CELL - 2, FLOOR)
            _paint(image, room, CELL // 2, CELL // 2 - 4, COIN)
        _paint(image, ROOMS, 0, CELL - 2, CHEST)
        _paint(image, self.room[row], 4, CELL // 3, PERSON)
        left = len(image[0]) * (TORCH_STEPS - self.elapsed[row]) // TORCH_STEPS
        image[CELL + 4 : CELL + 10, :left] = COIN
        image[CELL + 14 : CELL + 20, : CELL * (self.level[row] + 1)] = CHEST
        return image


class TreasureChain(SingleEnv):
    """One TreasureChain; see `TreasureChainVector`."""

    batch_type = TreasureChainVector


def _paint(image: np.ndarray, room: int, offset: int, size: int, colour: tuple[int, int, int]) -> None:
    image[offset : offset + size, room * CELL + offset : room * CELL + offset + size] = colour
