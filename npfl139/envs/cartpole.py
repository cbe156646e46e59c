"""CartPole-v1 for many rows at once, with the dynamics, the limits and the rewards of Gymnasium's.

Source: Barto, Sutton and Anderson (1983), with the constants and the explicit Euler steps of Gymnasium's CartPoleEnv.
"""

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv

__all__ = ["CartPole", "CartPoleVector"]

GRAVITY, CART_MASS, POLE_MASS, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
POSITION_LIMIT, ANGLE_LIMIT = 2.4, 12 * 2 * np.pi / 360
TOTAL_MASS = CART_MASS + POLE_MASS


class CartPoleVector(BatchedEnv):
    """Observations [B, 4]: position, velocity, angle, angular velocity. Actions: push to the left or to the right."""

    metadata = {**BatchedEnv.metadata, "render_fps": 50}

    def __init__(self, num_envs: int, max_episode_steps: int = 500, render_mode: str | None = None):
        high = np.array([2 * POSITION_LIMIT, np.inf, 2 * ANGLE_LIMIT, np.inf], np.float32)
        super().__init__(num_envs, Box(-high, high, dtype=np.float32), Discrete(2), max_episode_steps, render_mode)
        self.state = np.zeros((4, num_envs))

    def restart(self, rows: np.ndarray) -> None:
        self.state[:, rows] = self.np_random.uniform(-0.05, 0.05, (4, len(rows)))

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position, velocity, angle, spin = self.state
        cosine, sine = np.cos(angle), np.sin(angle)
        push = (FORCE * (2 * action - 1) + POLE_MASS * HALF_LENGTH * spin**2 * sine) / TOTAL_MASS
        spin_rate = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE_MASS * cosine**2 / TOTAL_MASS))
        acceleration = push - POLE_MASS * HALF_LENGTH * spin_rate * cosine / TOTAL_MASS
        self.state = self.state + SECONDS * np.stack([velocity, acceleration, spin, spin_rate])
        terminated = (np.abs(self.state[0]) > POSITION_LIMIT) | (np.abs(self.state[2]) > ANGLE_LIMIT)
        return np.ones(self.num_envs), terminated

    def observe(self) -> np.ndarray:
        return self.state.T.astype(np.float32, order="C")

    def draw(self, row: int) -> np.ndarray:
        """Return an image of the cart on its track and its pole."""
        height, width, scale = 160, 400, 80
        rows, columns = np.mgrid[:height, :width]
        across, up = columns - width / 2 - scale * self.state[0, row], 120 - rows
        angle = self.state[2, row]
        along, beside = across * np.sin(angle) + up * np.cos(angle), across * np.cos(angle) - up * np.sin(angle)
        image = np.full((height, width, 3), 255, np.uint8)
        image[up == 0] = 120
        image[(np.abs(across) < 25) & (np.abs(up) < 12)] = (40, 40, 40)
        image[(along > 0) & (along < 2 * HALF_LENGTH * scale) & (np.abs(beside) < 4)] = (202, 152, 101)
        return image


class CartPole(SingleEnv):
    """One row of `CartPoleVector`."""

    metadata = CartPoleVector.metadata
    batch_type = CartPoleVector
