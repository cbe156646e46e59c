"""NoisyTelevision: dense pay at two levers, beside a television that offers something new for ever."""

import colorsys

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.pictures import DARK, GOLD, GREEN, LIGHT, box, canvas, disc

__all__ = ["NoisyTelevision", "NoisyTelevisionVector"]

CHANNEL, VOLUME = 2, 3  # the actions below are the levers
PAY = 0.1


class NoisyTelevisionVector(BatchedEnv):
    """A lamp shows which of two levers pays now; the two other actions zap a television, and pay nothing.

    Actions: pull the left lever, pull the right one, the next of 16 channels, the next of 16 volumes. The lever of the lamp pays
    0.1; then the lamp is drawn anew. After 30 steps the episode terminates: they are a part of the task.

    The observation [35] is one-hot the lamp (2), the channel (16) and the volume (16), and the share of the steps that are over.
    An episode starts at a random channel and volume.

    The best return is 3, that of random play 0.75. A curious agent watches television: its 256 pictures are novel, and the agent
    controls them, which no embedding of what can be controlled looks through.

    Source of the idea: Burda et al. (2018), Large-Scale Study of Curiosity-Driven Learning, arXiv:1808.04355, Section 5.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 6}
    limit_terminates = True

    def __init__(self, num_envs: int, channels: int = 16, steps: int = 30, render_mode: str | None = None):
        """Declare `num_envs` televisions of so many channels, and as many volumes; an episode ends after `steps`."""
        super().__init__(num_envs, Box(0, 1, (3 + 2 * channels,), np.float32), Discrete(4), steps, render_mode)
        self.channels, self.rows = channels, np.arange(num_envs)
        self.lamp, self.channel, self.volume = np.zeros((3, num_envs), np.int64)
        self.pulled = np.full(num_envs, -1)  # which lever in the last step, or -1
        self.earned = np.zeros(num_envs, np.int64)  # how often it paid

    @property
    def best_return(self) -> float:
        """Of pulling the lever of the lamp in every step."""
        return PAY * self.max_episode_steps

    @property
    def random_return(self) -> float:
        """The expected return of random play: one action of four pays."""
        return self.best_return / 4

    def restart(self, rows: np.ndarray) -> None:
        self.lamp[rows] = self.np_random.integers(2, size=len(rows))
        self.channel[rows], self.volume[rows] = self.np_random.integers(self.channels, size=(2, len(rows)))
        self.pulled[rows], self.earned[rows] = -1, 0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        paid = action == self.lamp
        self.pulled = np.where(action < CHANNEL, action, -1)
        self.earned += paid
        self.channel = (self.channel + (action == CHANNEL)) % self.channels
        self.volume = (self.volume + (action == VOLUME)) % self.channels
        self.lamp = self.np_random.integers(2, size=self.num_envs)
        return PAY * paid, np.zeros(self.num_envs, bool)

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, 3 + 2 * self.channels), np.float32)
        for place in (self.lamp, 2 + self.channel, 2 + self.channels + self.volume):
            observation[self.rows, place] = 1
        observation[:, -1] = self.elapsed / self.max_episode_steps
        return observation

    def draw(self, row: int) -> np.ndarray:
        """Return a picture: the television, of a colour and a pattern for each channel; the levers under their lamps; the pay."""
        image = canvas(420, 260)
        box(image, 20, 20, 220, 170, DARK)
        box(image, 32, 32, 196, 120, (0, 0, 0))
        channel, volume = self.channel[row] / self.channels, (self.volume[row] + 1) / self.channels
        tones = np.random.default_rng(self.channel[row]).random((6, 10))
        for (line, column), tone in np.ndenumerate(tones):
            red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb((channel + 0.12 * tone) % 1, 0.65, 0.35 + 0.6 * tone))
            box(image, 34 + 19.2 * column, 34 + 19.4 * line, 18.2, 18.4, (red, green, blue))
        box(image, 32, 166, 196, 10, (0, 0, 0))
        box(image, 32, 166, 196 * volume, 10, GREEN)
        for lever in range(2):
            x = 290 + 80 * lever
            disc(image, x, 50, 18, GOLD if self.lamp[row] == lever else DARK)
            down = self.pulled[row] == lever
            box(image, x - 22, 130, 44, 56, DARK)
            box(image, x - 3, 140 if down else 96, 6, 34, LIGHT)
            disc(image, x, 172 if down else 96, 10, LIGHT)
        for coin in range(self.earned[row]):
            disc(image, 30 + 12.4 * coin, 218, 7, GOLD)
        box(image, 0, 254, 420 * (1 - self.elapsed[row] / self.max_episode_steps), 6, LIGHT)
        return image


class NoisyTelevision(SingleEnv):
    """One row of `NoisyTelevisionVector`."""

    metadata = NoisyTelevisionVector.metadata
    batch_type = NoisyTelevisionVector
