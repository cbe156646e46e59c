"""Tasks that need a memory: what decides is shown once, at the start, or is never shown at all.

In both mazes the agent walks along corridors by an action `forward`; in a room it answers `left` or `right` to a cue that it
saw in the very first observation. Where it stands in a corridor is not shown, only noise is. An agent without a memory can do no
better than guess.
"""

from functools import cached_property

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.cartpole import CartPoleVector
from npfl139.envs.exact import occupancy
from npfl139.envs.pictures import AGENT, BLUE, DARK, RED, TRAIL, box, canvas, disc

__all__ = ["CueRecall", "CueRecallVector", "MaskedCartPole", "MaskedCartPoleVector", "TwoRooms", "TwoRoomsVector"]

FORWARD, LEFT, RIGHT = range(3)
DAWDLING = -0.02  # reward for an answer in a corridor, or for walking on in a room


class Corridors(BatchedEnv):
    """Corridors of given lengths, each of which ends in a room with a question; the cue is shown only at the very start.

    Observations [B, 2 + rooms + noise] are 0, but for: the cue, ±1, in the first observation (0), whether this is the first
    observation (1), which room the agent stands in, if any, and random signs that mean nothing. A right answer earns 1 and opens
    the next corridor, a wrong one earns -1 and ends the episode, and so does the last right one.
    """

    def __init__(
        self,
        num_envs: int,
        corridors: tuple[int, ...],
        opposite: tuple[bool, ...],
        noise: int,
        max_episode_steps: int,
        render_mode: str | None = None,
    ):
        """Declare the maze.

        Args:
            num_envs: B.
            corridors: the steps to walk to each room.
            opposite: whether the right answer in each room is the opposite of the cue.
            noise: how many random signs an observation has.
            max_episode_steps: after which an episode is truncated.
            render_mode: None or "rgb_array".
        """
        size = 2 + len(corridors) + noise
        super().__init__(num_envs, Box(-1, 1, (size,), np.float32), Discrete(3), max_episode_steps, render_mode)
        self.corridors, self.noise = np.array(corridors), noise
        self.sign = np.where(opposite, -1, 1)
        self.cue, self.room, self.place = np.zeros((3, num_envs), np.int64)  # ±1; the room ahead; steps made towards it

    def restart(self, rows: np.ndarray) -> None:
        self.cue[rows] = 2 * self.np_random.integers(2, size=len(rows)) - 1
        self.room[rows] = self.place[rows] = 0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked = self.place == self.corridors[self.room]
        answered = asked & (action != FORWARD)
        right = answered & (2 * action - 3 == self.cue * self.sign[self.room])
        last = self.room == len(self.corridors) - 1
        walked = ~asked & (action == FORWARD)
        self.place += walked
        onward = right & ~last
        self.room[onward] += 1
        self.place[onward] = 0
        reward = np.where(answered, np.where(right, 1.0, -1.0), np.where(walked, 0.0, DAWDLING))
        return reward, answered & ~onward

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, *self.single_observation_space.shape), np.float32)
        start = self.elapsed == 0
        observation[:, 0], observation[:, 1] = self.cue * start, start
        asked = np.flatnonzero(self.place == self.corridors[self.room])
        observation[asked, 2 + self.room[asked]] = 1
        observation[:, 2 + len(self.corridors) :] = 2 * self.np_random.integers(2, size=(self.num_envs, self.noise)) - 1
        return observation

    @property
    def best_return(self) -> float:
        """Of a right answer in each room."""
        return float(len(self.corridors))

    @cached_property
    def random_return(self) -> float:
        """The expected return of uniformly random actions: right and wrong answers of the first room cancel out, dawdling costs."""
        rooms = np.cumsum(self.corridors + 1) - 1  # of all places, numbered from the start to the last room
        end = rooms[-1] + 1
        successors = np.tile(np.arange(end + 1)[:, None], 3)
        successors[:end, FORWARD] += 1
        successors[rooms] = np.stack([rooms, rooms + 1, np.full_like(rooms, end)], axis=1)  # dawdling, a right answer, a wrong one
        reward = np.full(end + 1, 2 / 3 * DAWDLING)
        reward[rooms], reward[end] = DAWDLING / 3, 0
        return float((occupancy(successors, 0, self.max_episode_steps)[:-1] @ reward).sum())

    def draw(self, row: int) -> np.ndarray:
        """Return a picture: corridors from left to right, the rooms at their ends, the cue's colour above the start while it is shown."""
        rooms = np.cumsum(self.corridors + 1) - 1
        cell = max(16, 240 // (rooms[-1] + 1))
        y, here = 3 * cell, rooms[self.room[row]] - self.corridors[self.room[row]] + self.place[row]
        image = canvas(cell * (rooms[-1] + 1), 6 * cell)
        for place in range(rooms[-1] + 1):
            shade = TRAIL if place <= here else DARK
            height = 3 if place in rooms else 1.2
            box(image, cell * place, y - 0.5 * height * cell, cell - 1, height * cell, shade)
        for room in rooms:
            for side, colour in ((-1, RED), (1, BLUE)):
                disc(image, cell * (room + 0.5), y + side * cell, 0.25 * cell, colour)
        if self.elapsed[row] == 0:
            disc(image, 0.5 * cell, y - 1.5 * cell, 0.4 * cell, RED if self.cue[row] < 0 else BLUE)
        disc(image, cell * (here + 0.5), y, 0.36 * cell, AGENT)
        return image


class CueRecallVector(Corridors):
    """A cue, a corridor of 20 steps, one room, where the cue is the answer. The best return is 1; guessing gives 0.

    After `max_episode_steps` an episode is truncated, or, if `limit_terminates`, it terminates: a short limit is better a part of the
    task, for an agent would bootstrap from the state behind it, which it never sees in training.
    """

    def __init__(
        self, num_envs: int, corridor: int = 20, max_episode_steps: int = 70, limit_terminates: bool = False,
        render_mode: str | None = None,
    ):  # fmt: skip
        super().__init__(num_envs, (corridor,), (False,), 2, max_episode_steps, render_mode)
        self.limit_terminates = limit_terminates


class CueRecall(SingleEnv):
    """One row of `CueRecallVector`."""

    batch_type = CueRecallVector


class TwoRoomsVector(Corridors):
    """A cue, a room after 6 steps where the cue is the answer, and a second one 24 steps further, where it is the opposite.

    Who replays sequences of fewer than 32 steps never sees the cue and the second question together: only a recurrent state that was
    stored can connect them. The best return is 2; guessing gives 0.
    """

    def __init__(self, num_envs: int, corridors: tuple[int, int] = (6, 24), max_episode_steps: int = 100, render_mode: str | None = None):
        super().__init__(num_envs, corridors, (False, True), 2, max_episode_steps, render_mode)


class TwoRooms(SingleEnv):
    """One row of `TwoRoomsVector`."""

    batch_type = TwoRoomsVector


class MaskedCartPoleVector(CartPoleVector):
    """CartPole-v1 whose observations [B, 2] show the cart's position and the pole's angle, but no velocities."""

    def __init__(self, num_envs: int, max_episode_steps: int = 500, render_mode: str | None = None):
        super().__init__(num_envs, max_episode_steps, render_mode)
        space = self.single_observation_space
        BatchedEnv.__init__(self, num_envs, Box(space.low[::2], space.high[::2]), Discrete(2), max_episode_steps, render_mode)

    def observe(self) -> np.ndarray:
        return super().observe()[:, ::2].copy()


class MaskedCartPole(SingleEnv):
    """One row of `MaskedCartPoleVector`."""

    metadata = CartPoleVector.metadata
    batch_type = MaskedCartPoleVector
