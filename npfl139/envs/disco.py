"""The Random Disco Maze: nothing to earn, a maze to see, and walls whose flashing colours make every picture new.

Whoever calls new what it has not seen pixel by pixel finds novelty without a step; only what the agent controls, its place, tells new
cells from old ones.

Source: Badia et al. (2020), Never Give Up, arXiv:2002.06038, Section 4.1: 21 × 21 cells, a new maze each episode, a wall ends it.
"""

from functools import cached_property

import numpy as np
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.exact import occupancy
from npfl139.envs.pictures import AGENT, GOLD, NIGHT, SEEN, TRAIL, box, canvas, disc, mixed

__all__ = ["DiscoGoal", "DiscoGoalVector", "DiscoMaze", "DiscoMazeVector", "depth_first_mazes"]

MOST_COLOURS, WHITE = 6, 7  # a colour's bits are its red, green and blue; 0 is the floor
NEW_MAZES = 512  # are made at a time
AT_GOAL = 0.1  # reward of a step that ends at the goal
LAMPS = np.array([NIGHT, (240, 78, 96), (60, 200, 120), (250, 205, 80), (70, 110, 240), (205, 90, 220), (70, 205, 225)])  # as drawn


def depth_first_mazes(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return mazes [count, size, size] of random depth-first search: the walk from the cell (1, 1) to each cell, -1 in walls.

    A maze is a tree: the cells of odd row and column are floor, and one walk leads from each to each other. All mazes are dug
    at the same time, one step of each search after another.
    """
    side = size // 2
    width = side + 2  # of the grid of odd cells with a border, where cells are numbered row by row
    cells = np.arange(width**2)
    spots = (2 * (cells // width) - 1) * size + 2 * (cells % width) - 1  # where the odd cells lie in the maze
    solid = np.zeros((count, width, width), bool)
    solid[:, 1:-1, 1:-1] = True
    mazes, path = np.full((count, size**2), -1, np.int16), np.zeros((count, side**2), np.int64)
    # The same arrays as rows without end, and where in them each maze begins: so they are indexed twice as fast.
    rows = np.arange(count)
    flat_solid, flat_mazes, flat_path = solid.reshape(-1), mazes.reshape(-1), path.reshape(-1)
    first_cell, first_spot, first_path = (rows * part for part in (width**2, size**2, side**2))
    neighbours = np.array([-width, width, -1, 1])
    here, depth = np.full(count, width + 1), np.zeros(count, np.int64)
    path[:, 0], flat_solid[first_cell + here], mazes[:, spots[width + 1]] = width + 1, False, 0
    for _ in range(2 * (side**2 - 1)):  # to every cell but the first the search goes once, and once back
        free = flat_solid[(first_cell + here)[:, None] + neighbours]
        choice = (free * (1 - rng.random(free.shape))).argmax(1)
        digs = free[rows, choice]
        deeper = depth + 2 * digs - 1
        there = np.where(digs, here + neighbours[choice], flat_path[first_path + deeper])
        # On the way back, this writes what is there already.
        flat_path[first_path + deeper], flat_solid[first_cell + there] = there, False
        flat_mazes[first_spot + spots[there]] = 2 * deeper
        flat_mazes[first_spot + (spots[here] + spots[there]) // 2] = deeper + depth  # the passage between the two
        here, depth = there, deeper
    return mazes.reshape(count, size, size)


class DiscoMazeVector(BatchedEnv):
    """A maze to walk through without any reward. At the end of an episode, `info["coverage"]` tells the share of floor cells seen.

    The agent starts in the upper left corner and moves by actions: up, down, left, right. A wall stops it, or ends the
    episode if walls are deadly. The number of steps is a part of the task: the last one terminates the episode.

    Observations [B, 3, size, size] of uint8 are pictures of one pixel a cell, 0 or 255 in red, green and blue: the agent is white,
    floors are black, and every bit of wall has one of the colours, drawn anew in every step. They suit 3 × 3 convolutions
    of stride 1, or flattened a perceptron.

    All rewards are 0. The maze is a tree: a tour of all its n floor cells takes 2 (n - 1) - d steps, where d is the walk to the
    cell farthest from the start (30 to 40 in a maze of 9 × 9, 200 to 310 in one of 21 × 21).
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 10}
    limit_terminates = True

    def __init__(
        self, num_envs: int, size: int = 9, new_maze: bool = False, deadly_walls: bool = False, colours: int = 5, steps: int = 60,
        maze_seed: int = 0, render_mode: str | None = None,
    ):  # fmt: skip
        """Build the maze.

        Args:
            num_envs: B.
            size: cells of a side, walls included; odd.
            new_maze: whether every episode has a maze of its own; of 7 × 7 cells there are 14, of 9 × 9 322.
            deadly_walls: whether to walk into a wall ends the episode.
            colours: of the walls, 1 to 6: red, green, yellow, blue, magenta, cyan.
            steps: after which an episode ends.
            maze_seed: of the maze, if that is always the same.
            render_mode: None or "rgb_array".

        Raises:
            ValueError: there is no such maze, or there are not so many colours.
        """
        if size < 5 or size % 2 == 0:
            raise ValueError(f"the size of a maze must be odd and at least 5, got {size}")
        if not 1 <= colours <= MOST_COLOURS:
            raise ValueError(f"there must be 1 to {MOST_COLOURS} colours, got {colours}")
        super().__init__(num_envs, Box(0, 255, (3, size, size), np.uint8), Discrete(4), steps, render_mode)
        self.size, self.new_maze, self.deadly_walls, self.colours = size, new_maze, deadly_walls, colours
        self.moves, self.rows = np.array([-size, size, -1, 1]), np.arange(num_envs)
        self.start = size + 1
        mazes = depth_first_mazes(1, size, np.random.default_rng(maze_seed)).reshape(1, -1)
        self.walk = np.repeat(mazes, num_envs, 0)  # [B, size²] from the start to each cell, -1 in walls
        self.walls = (self.walk < 0).astype(np.uint8)
        self.place = np.full(num_envs, self.start)
        self.seen = np.full(self.walk.shape, -1, np.int32)  # in which step of the episode a cell was last visited
        self.shown = np.zeros(self.walk.shape, np.uint8)  # the colours of the last observation
        self._new = self.walk[:0]

    @property
    def best_return(self) -> float:
        """There is nothing to earn."""
        return 0.0

    @property
    def random_return(self) -> float:
        return 0.0

    @property
    def coverage(self) -> np.ndarray:
        """[B] the share of floor cells that the current episodes have visited."""
        return (self.seen >= 0).sum(1) / (self.walk >= 0).sum(1)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        self._new = self._new[:0]  # mazes in store come from the last seed
        return super().reset(seed=seed, options=options)

    def restart(self, rows: np.ndarray) -> None:
        if self.new_maze:
            self.walk[rows] = self._new_mazes(len(rows))
            self.walls[rows] = self.walk[rows] < 0
        self.place[rows] = self.start
        self.seen[rows] = -1
        self.seen[rows, self.start] = 0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ahead = self.place + self.moves[action]
        stopped = self.walls[self.rows, ahead] == 1
        self.place = np.where(stopped, self.place, ahead)
        self.seen[self.rows, self.place] = self.elapsed + 1
        return np.zeros(self.num_envs), stopped & self.deadly_walls

    def observe(self) -> np.ndarray:
        self.shown = self.np_random.integers(1, self.colours + 1, self.walls.shape, np.uint8) * self.walls
        self.shown[self.rows, self.place] = WHITE
        image = np.empty((self.num_envs, 3, self.size**2), np.uint8)
        for channel in range(3):
            np.negative(self.shown >> channel & 1, out=image[:, channel])  # -1 is 255
        return image.reshape(self.num_envs, 3, self.size, self.size)

    def summary(self) -> dict[str, np.ndarray]:
        return {"coverage": self.coverage}

    def draw(self, row: int) -> np.ndarray:
        """Return a picture: walls in the colours of the last observation, the trail of the agent, brighter where it is fresh."""
        cell = -(-300 // self.size)
        image = canvas(cell * self.size, cell * self.size)
        for index in range(self.size**2):
            y, x = cell * (index // self.size), cell * (index % self.size)
            seen = self.seen[row, index]
            if self.walls[row, index]:
                box(image, x + 1, y + 1, cell - 2, cell - 2, LAMPS[self.shown[row, index]])
            elif seen >= 0:
                box(image, x, y, cell, cell, mixed(TRAIL, SEEN, min(1.0, (self.elapsed[row] - seen) / 15)))
        disc(image, *self._middle(self.place[row], cell), 0.36 * cell, AGENT)
        return image

    def _middle(self, index: int, cell: int) -> tuple[float, float]:
        return cell * (index % self.size + 0.5), cell * (index // self.size + 0.5)

    def _new_mazes(self, count: int) -> np.ndarray:
        if len(self._new) < count:
            made = depth_first_mazes(max(NEW_MAZES, count), self.size, self.np_random)
            self._new = np.concatenate([self._new, made.reshape(len(made), -1)])
        taken, self._new = self._new[:count], self._new[count:]
        return taken


class DiscoMaze(SingleEnv):
    """One row of `DiscoMazeVector`."""

    metadata = DiscoMazeVector.metadata
    batch_type = DiscoMazeVector


class DiscoGoalVector(DiscoMazeVector):
    """A Disco Maze, always the same, where every step that ends in the cell farthest from the start earns 0.1.

    The goal is not shown, and reaching it does not end the episode: the agent may stand there. In the given maze it is 14 steps away;
    the best return is 1.7, and random play hardly ever finds it (`random_return`).
    """

    def __init__(self, num_envs: int, size: int = 7, colours: int = 5, steps: int = 30, maze_seed: int = 3, render_mode: str | None = None):
        super().__init__(num_envs, size, colours=colours, steps=steps, maze_seed=maze_seed, render_mode=render_mode)
        self.goal = int(self.walk[0].argmax())

    @property
    def best_return(self) -> float:
        """Of walking straight to the goal and staying there."""
        return AT_GOAL * max(0, self.max_episode_steps - int(self.walk[0, self.goal]) + 1)

    @cached_property
    def random_return(self) -> float:
        """The expected return of uniformly random actions."""
        cells = np.arange(self.size**2)
        ahead = np.clip(cells[:, None] + self.moves, 0, self.size**2 - 1)
        successors = np.where(self.walls[0, ahead], cells[:, None], ahead)
        return AT_GOAL * float(occupancy(successors, self.start, self.max_episode_steps)[1:, self.goal].sum())

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        _, terminated = super().advance(action)
        return AT_GOAL * (self.place == self.goal), terminated

    def draw(self, row: int) -> np.ndarray:
        image = super().draw(row)
        cell = len(image) // self.size
        x, y = self._middle(self.goal, cell)
        disc(image, x, y, 0.44 * cell, GOLD)
        disc(image, x, y, 0.32 * cell, AGENT if self.place[row] == self.goal else NIGHT)
        return image


class DiscoGoal(SingleEnv):
    """One row of `DiscoGoalVector`."""

    metadata = DiscoGoalVector.metadata
    batch_type = DiscoGoalVector
