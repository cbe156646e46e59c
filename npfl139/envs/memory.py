"""Tasks that need a memory: what decides is shown once, at the start, or is never shown at all.

In both mazes the agent walks along corridors by an action `forward`; in a room it answers `left` or `right` to a cue that it
saw in the very first observation. Where it stands in a corridor is not shown, only noise is. An agent without a memory can do no
better than guess.
"""

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.cartpole import CartPoleVector

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

    def draw(self, row: int) -> np.ndarray:
        """Return an image: corridors from left to right, rooms in grey, the agent in black, the cue's colour above the start."""
        cell, height = 10, 60
        rooms = np.cumsum(self.corridors + 1) - 1
        image = np.full((height, cell * (rooms[-1] + 1), 3), 255, np.uint8)
        image[20:40] = 225
        for room in rooms:
            image[10:50, cell * room : cell * (room + 1)] = 160
        if self.elapsed[row] == 0:
            image[5:15, :cell] = (202, 60, 60) if self.cue[row] < 0 else (60, 60, 202)
        place = cell * (rooms[self.room[row]] - self.corridors[self.room[row]] + self.place[row])
        image[25:35, place + 2 : place + cell - 2] = 0
        return image


class CueRecallVector(Corridors):
    """A cue, a corridor of 20 steps, one room, where the cue is the answer. The best return is 1; guessing gives 0."""

    def __init__(self, num_envs: int, corridor: int = 20, max_episode_steps: int = 70, render_mode: str | None = None):
        super().__init__(num_envs, (corridor,), (False,), 2, max_episode_steps, render_mode)


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
