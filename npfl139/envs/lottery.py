"""Lottery: questions worth a little each, before a lottery far away whose noise drowns them for a long horizon."""

import colorsys

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.pictures import AGENT, DARK, GOLD, GREEN, LIGHT, RED, TRAIL, Colour, box, canvas, disc

__all__ = ["Lottery", "LotteryVector"]

ANSWERS = 4
UNASKED, WRONG, RIGHT = range(3)


class LotteryVector(BatchedEnv):
    """Sixteen questions, worth 1 each, then ten steps home, and at the end ±25 by the toss of a coin, whatever was done.

    A question is of one of 8 kinds, drawn anew in every step; each kind has one right answer of the 4 actions, always the same one.
    On the way home actions change nothing. The 26th step terminates the episode.

    The observation [10] is one-hot the kind of the question (8), zero on the way home; whether a question is asked (1); and the
    share of the steps that are over (1).

    The best expected return is 16, that of random play 4. The prize has mean 0: evaluate with `prize=0`, for its variance says
    nothing about the agent. An agent of long horizon has to find differences of 1 in targets of standard deviation 25; a short one does
    not see the lottery.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 6}
    limit_terminates = True

    def __init__(
        self, num_envs: int, prize: float = 25.0, questions: int = 16, home: int = 10, kinds: int = 8, answer_seed: int = 0,
        render_mode: str | None = None,
    ):  # fmt: skip
        """Draw the answers.

        Args:
            num_envs: B.
            prize: won or lost at the end of an episode.
            questions: asked, one a step.
            home: steps from the last question to the lottery.
            kinds: of questions.
            answer_seed: of their answers.
            render_mode: None or "rgb_array".
        """
        super().__init__(num_envs, Box(0, 1, (kinds + 2,), np.float32), Discrete(ANSWERS), questions + home, render_mode)
        self.prize, self.questions, self.kinds, self.rows = float(prize), questions, kinds, np.arange(num_envs)
        self.answer = np.random.default_rng(answer_seed).permutation(np.arange(kinds) % ANSWERS)
        self.question = np.zeros(num_envs, np.int64)
        self.marks = np.full((num_envs, self.max_episode_steps), UNASKED)  # of the answers so far
        self.won = np.zeros(num_envs)  # in the lottery of the current episode

    @property
    def best_return(self) -> float:
        """The largest expected return: all answers are right."""
        return float(self.questions)

    @property
    def random_return(self) -> float:
        """The expected return of random play: one answer of four is right."""
        return self.questions / ANSWERS

    def restart(self, rows: np.ndarray) -> None:
        self.question[rows] = self.np_random.integers(self.kinds, size=len(rows))
        self.marks[rows], self.won[rows] = UNASKED, 0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = (action == self.answer[self.question]) & (self.elapsed < self.questions)
        self.marks[self.rows, self.elapsed] = np.where(right, RIGHT, WRONG)
        self.won = self.prize * (2 * self.np_random.integers(2, size=self.num_envs) - 1) * (self.elapsed == self.max_episode_steps - 1)
        self.question = self.np_random.integers(self.kinds, size=self.num_envs)
        return right + self.won, np.zeros(self.num_envs, bool)

    def observe(self) -> np.ndarray:
        observation = np.zeros((self.num_envs, self.kinds + 2), np.float32)
        asked = self.elapsed < self.questions
        observation[self.rows, self.question] = observation[:, -2] = asked
        observation[:, -1] = self.elapsed / self.max_episode_steps
        return observation

    def draw(self, row: int) -> np.ndarray:
        """Return a picture: the way with the marks of the answers, the question above in the colour of its kind, the lottery."""
        step, y, time = 18, 140, self.elapsed[row]
        image = canvas(step * self.max_episode_steps + 120, 220)
        for place, mark in enumerate(self.marks[row, : self.questions]):
            box(image, 30 + step * place, y - 14, step - 2, 28, (DARK, RED, GREEN)[mark])
        for place in range(self.questions, self.max_episode_steps):
            box(image, 30 + step * place, y - 6, step - 2, 12, TRAIL if place < time else DARK)
        end = 30 + step * self.max_episode_steps
        x = 29 + step * (time + 0.5) if time < self.max_episode_steps else end + 42
        if time < self.questions:
            disc(image, x, 60, 26, self._colour(self.question[row]))
            box(image, x - 1, 86, 2, y - 94, self._colour(self.question[row]))
        outcome = GREEN if self.won[row] > 0 else RED if self.won[row] < 0 else GOLD
        box(image, end + 6, y - 32, 72, 64, outcome)
        box(image, end + 12, y - 26, 60, 52, DARK)
        disc(image, end + 42, y, 20, outcome)
        disc(image, x, y, 8, AGENT)
        box(image, 30, 192, 12 * self.questions, 10, DARK)
        box(image, 30, 192, 12 * int((self.marks[row] == RIGHT).sum()), 10, LIGHT)
        return image

    def _colour(self, kind: int) -> Colour:
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(kind / self.kinds, 0.6, 0.95))
        return red, green, blue


class Lottery(SingleEnv):
    """One row of `LotteryVector`."""

    metadata = LotteryVector.metadata
    batch_type = LotteryVector
