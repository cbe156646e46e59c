"""Collect: reach a place, stay there; then it moves.

A puck on the square [-1, 1]² is pushed about; friction slows it down, walls stop it. Every step within reach of the place earns 1 / STAY,
and after STAY such steps the place jumps elsewhere. So an agent that stops in time earns about one per place, and one that rushes
through earns little. An episode never terminates: after its time limit it is truncated, and the values must say so.
"""

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv

__all__ = ["Collect", "CollectVector"]

REACH, STAY, KEPT, THRUST = 0.2, 5, 0.8, 0.05
TOP_SPEED = THRUST / (1 - KEPT)
PUSHES = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float64)


class CollectVector(BatchedEnv):
    """Observations [B, 7]: position, velocity in units of the largest, place − position, the part of the stay that is done.

    Actions: nothing, right, left, up, down; or, continuous, a push in [-1, 1]².
    """

    def __init__(self, num_envs: int, continuous: bool = False, max_episode_steps: int = 100, render_mode: str | None = None):
        action_space = Box(-1, 1, (2,), np.float32) if continuous else Discrete(len(PUSHES))
        high = np.array([1, 1, 1, 1, 2, 2, 1], np.float32)
        low = np.array([*-high[:6], 0], np.float32)
        super().__init__(num_envs, Box(low, high), action_space, max_episode_steps, render_mode)
        self.continuous = continuous
        self.position, self.velocity, self.place = np.zeros((3, num_envs, 2))
        self.stayed = np.zeros(num_envs)

    def restart(self, rows: np.ndarray) -> None:
        self.position[rows], self.place[rows] = self.np_random.uniform(-1, 1, (2, len(rows), 2))
        self.velocity[rows], self.stayed[rows] = 0, 0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        push = np.clip(action, -1, 1) if self.continuous else PUSHES[action]
        velocity = KEPT * self.velocity + THRUST * push
        position = self.position + velocity
        self.position = np.clip(position, -1, 1)
        self.velocity = np.where(self.position == position, velocity, 0.0)
        there = ((self.place - self.position) ** 2).sum(1) < REACH**2
        self.stayed += there
        collected = np.flatnonzero(self.stayed >= STAY)
        if len(collected):
            self.place[collected] = self.np_random.uniform(-1, 1, (len(collected), 2))
            self.stayed[collected] = 0
        return there / STAY, np.zeros(self.num_envs, bool)

    def observe(self) -> np.ndarray:
        columns = (self.position, self.velocity / TOP_SPEED, self.place - self.position, self.stayed[:, None] / STAY)
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def draw(self, row: int) -> np.ndarray:
        """Return an image of the puck (dark) and the place (green, fuller the longer the stay)."""
        size = 200
        grid = np.linspace(-1.1, 1.1, size)
        points = np.stack(np.meshgrid(grid, -grid), axis=-1)
        to_place, to_puck = (((points - centre[row]) ** 2).sum(-1) for centre in (self.place, self.position))
        image = np.full((size, size, 3), 235, np.uint8)
        image[(np.abs(points) <= 1).all(-1)] = 255
        image[to_place < REACH**2] = (190, 230, 190)
        image[to_place < REACH**2 * self.stayed[row] / STAY] = (60, 160, 60)
        image[to_puck < 0.05**2] = (40, 40, 40)
        return image


class Collect(SingleEnv):
    """One row of `CollectVector`."""

    batch_type = CollectVector
