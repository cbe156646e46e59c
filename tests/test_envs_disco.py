"""The Disco Maze: mazes, colours, what is seen, counted and paid."""

from collections import Counter

import gymnasium
import numpy as np
import pytest

from npfl139.envs import make
from npfl139.envs.disco import DiscoGoalVector, DiscoMaze, DiscoMazeVector, depth_first_mazes
from npfl139.evaluation import evaluate

UP, DOWN, LEFT, RIGHT = range(4)


def walks(maze):
    """The distance of each floor cell from the start, by breadth-first search; every other cell is -1."""
    distance = np.full(maze.shape, -1)
    distance[1, 1], queue = 0, [(1, 1)]
    for y, x in queue:
        for cell in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if maze[cell] >= 0 and distance[cell] < 0:
                distance[cell] = distance[y, x] + 1
                queue.append(cell)
    return distance


def tour(environments):
    """The actions that visit each cell of row 0 once, and come back out of all branches but that of the farthest cell."""
    walk, moves = environments.walk[0], environments.moves
    way = [int(walk.argmax())]
    while way[-1] != environments.start:
        way.append(next(way[-1] + move for move in moves if walk[way[-1] + move] == walk[way[-1]] - 1))
    actions = []

    def visit(cell):
        branches = [action for action in range(4) if walk[cell + moves[action]] > walk[cell]]
        for action in sorted(branches, key=lambda action: cell + moves[action] in way):
            actions.append(action)
            visit(cell + moves[action])
            actions.append(action ^ 1)  # back

    visit(environments.start)
    farthest = max(walk)
    floor = (walk >= 0).sum()
    return actions[: 2 * (floor - 1) - farthest]


@pytest.mark.parametrize("size", [5, 7, 9, 21])
def test_mazes_are_trees_whose_walks_are_known(size):
    for maze in depth_first_mazes(20, size, np.random.default_rng(0)):
        assert np.array_equal(maze, walks(maze))  # so all of the floor is connected
        assert (maze[1::2, 1::2] >= 0).all() and (maze >= 0).sum() == 2 * (size // 2) ** 2 - 1  # as many passages as a tree has
        assert (maze[[0, -1]] < 0).all() and (maze[:, [0, -1]] < 0).all()


def searched(side):
    """The probability of each maze of side × side odd cells, by following all choices of a random depth-first search."""
    mazes = Counter()

    def search(path, dug, probability):
        if not path:
            mazes[dug] += probability
            return
        y, x = path[-1]
        seen = {cell for cell, _ in dug}
        free = [(y + 2 * up, x + 2 * right) for up, right in ((-1, 0), (1, 0), (0, -1), (0, 1))]
        free = [cell for cell in free if min(cell) > 0 and max(cell) < 2 * side and cell not in seen]
        for cell in free:
            search([*path, cell], dug | {(cell, (y, x))}, probability / len(free))
        if not free:
            search(path[:-1], dug, probability)

    search([(1, 1)], frozenset({((1, 1), (1, 1))}), 1.0)
    return mazes


def test_mazes_are_as_likely_as_random_depth_first_search_digs_them():
    expected, count = Counter(), 40_000
    for dug, probability in searched(3).items():
        floor = np.zeros((7, 7), bool)
        for (y, x), (above, left) in dug:
            floor[y, x] = floor[(y + above) // 2, (x + left) // 2] = True
        expected[floor.tobytes()] += probability
    found = Counter((maze >= 0).tobytes() for maze in depth_first_mazes(count, 7, np.random.default_rng(0)))
    assert sum(expected.values()) == pytest.approx(1) and found.keys() <= expected.keys()
    for maze, probability in expected.items():
        assert abs(found[maze] / count - probability) < 5 * np.sqrt(probability * (1 - probability) / count)


def test_mazes_differ_and_come_from_the_generator_alone():
    once, again = (depth_first_mazes(50, 9, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(once, again)
    assert len(np.unique(once.reshape(50, -1), axis=0)) > 25  # there are some hundreds


def test_the_fixed_maze_is_the_seeds():
    mazes = [DiscoMazeVector(3, maze_seed=seed).walk for seed in (0, 0, 1)]
    assert np.array_equal(mazes[0], mazes[1]) and not np.array_equal(mazes[0], mazes[2])
    assert (mazes[0] == mazes[0][0]).all()


def test_a_picture_shows_floor_agent_and_walls_of_all_colours_equally_often_drawn_anew_each_step():
    environments = DiscoMazeVector(64, size=9)
    before, _ = environments.reset(seed=1)
    counts = np.zeros(8)
    for _ in range(50):
        observation = environments.step(environments.action_space.sample())[0]
        code = np.tensordot([1, 2, 4], observation == 255, (0, 1)).reshape(64, -1)
        walls = environments.walk < 0
        assert set(np.unique(observation)) == {0, 255}
        assert (code[np.arange(64), environments.place] == 7).all() and ((code == 7).sum(1) == 1).all()
        assert ((code == 0).sum(1) == (environments.walk >= 0).sum(1) - 1).all()
        counts += np.bincount(code[walls], minlength=8)
        assert 0.7 < (observation != before).any(1).reshape(64, -1)[walls].mean() < 0.9  # 4/5 of the walls have another colour
        before = observation
    assert counts[0] == counts[6] == counts[7] == 0
    share = counts[1:6] / counts.sum()
    assert np.abs(share - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / counts.sum())


def test_one_colour_is_still():
    environments = DiscoMazeVector(2, colours=1)
    first, _ = environments.reset(seed=0)
    assert np.array_equal(first, environments.observe())


def test_walls_stop_the_agent():
    environments = DiscoMazeVector(1)
    environments.reset(seed=0)
    for action in (UP, LEFT):
        _, reward, terminated, truncated, _ = environments.step(np.array([action]))
        assert environments.place[0] == environments.start and reward[0] == 0 and not terminated[0] and not truncated[0]


def test_deadly_walls_end_the_episode():
    environments = DiscoMazeVector(2, deadly_walls=True)
    environments.reset(seed=0)
    onward = RIGHT if environments.walls[0, environments.start + 1] == 0 else DOWN
    _, reward, terminated, truncated, info = environments.step(np.array([UP, onward]))
    assert terminated.tolist() == [True, False] and not truncated.any() and (reward == 0).all()
    floor = (environments.walk[0] >= 0).sum()
    assert info["_coverage"].tolist() == [True, False] and info["coverage"][0] == 1 / floor


@pytest.mark.parametrize(("size", "seed"), [(7, 0), (9, 0), (9, 1), (21, 0)])
def test_a_tour_sees_the_whole_maze_in_the_stated_time(size, seed):
    environments = DiscoMazeVector(1, size=size, maze_seed=seed)
    actions = tour(environments)
    environments = DiscoMazeVector(1, size=size, maze_seed=seed, steps=len(actions), deadly_walls=True)
    environments.reset(seed=0)
    for action in actions[:-1]:
        _, _, terminated, truncated, info = environments.step(np.array([action]))
        assert not terminated[0] and not truncated[0] and not info and environments.coverage[0] < 1
    _, _, terminated, _, info = environments.step(np.array(actions[-1:]))
    assert terminated[0] and info["coverage"][0] == 1


def test_coverage_counts_cells_once_and_anew_each_episode():
    environments = DiscoMazeVector(1, steps=4)
    environments.reset(seed=0)
    there = RIGHT if environments.walls[0, environments.start + 1] == 0 else DOWN
    floor = (environments.walk[0] >= 0).sum()
    for _ in range(2):
        for action in (there, there ^ 1, there, there ^ 1):
            info = environments.step(np.array([action]))[4]
        assert info["coverage"][0] == 2 / floor


def test_a_single_maze_tells_its_coverage_too():
    environment = gymnasium.make("npfl139/DiscoMaze-v0", steps=2).unwrapped
    assert isinstance(environment, DiscoMaze)
    environment.reset(seed=0)
    assert environment.step(UP)[4] == {}
    assert environment.step(UP)[2:] == (True, False, {"coverage": 1 / 31})


def test_new_mazes_differ_by_row_and_episode_and_repeat_with_the_seed():
    def mazes():
        environments = DiscoMazeVector(6, size=21, new_maze=True, steps=1)
        environments.reset(seed=3)
        found = [environments.walk.copy()]
        for _ in range(100):  # more than are made at a time
            environments.step(np.zeros(6, int))
            found.append(environments.walk.copy())
        environments.reset(seed=3)
        assert np.array_equal(environments.walk, found[0])
        return np.concatenate(found)

    found = mazes()
    assert len(np.unique(found, axis=0)) == len(found)
    assert np.array_equal(found, mazes())


def test_a_new_maze_is_the_one_that_is_shown_and_walked():
    environments = DiscoMazeVector(8, size=7, new_maze=True, steps=5)
    observation, _ = environments.reset(seed=0)
    for _ in range(40):
        black = (observation == 0).all(1).reshape(8, -1)
        black[np.arange(8), environments.place] = True
        assert np.array_equal(black, environments.walk >= 0)
        observation = environments.step(environments.action_space.sample())[0]


def test_the_goal_pays_whoever_walks_there_and_stays():
    environments = DiscoGoalVector(2)
    assert environments.walk[0].max() == 14 and environments.best_return == pytest.approx(1.7)
    way = [environments.goal]
    while way[-1] != environments.start:
        way.append(
            next(way[-1] + move for move in environments.moves if environments.walk[0, way[-1] + move] == environments.walk[0, way[-1]] - 1)
        )
    actions = [int(np.flatnonzero(environments.moves == step)[0]) for step in -np.diff(way)[::-1]]
    wall = int(np.flatnonzero(environments.walls[0, environments.goal + environments.moves])[0])
    environments.reset(seed=0)
    total = np.zeros(2)
    for step in range(30):
        ahead = actions[step] if step < len(actions) else wall
        _, reward, terminated, truncated, _ = environments.step(np.array([ahead, UP]))
        assert terminated.all() == (step == 29) and not truncated.any()
        total += reward
    assert total == pytest.approx([environments.best_return, 0])


def test_random_play_earns_what_is_declared():
    environments = DiscoGoalVector(64, size=5, steps=30, maze_seed=0)
    environments.reset(seed=0)
    environments.action_space.seed(0)
    returns = evaluate(lambda *_: environments.action_space.sample(), environments, 10_000)
    assert returns.mean() == pytest.approx(environments.random_return, abs=4 * returns.std() / 100)
    assert environments.random_return > 0.05  # so there was something to compare
    assert DiscoGoalVector(1).random_return < 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 8}, "the size of a maze must be odd and at least 5, got 8"),
        ({"size": 3}, "the size of a maze must be odd and at least 5, got 3"),
        ({"colours": 7}, "there must be 1 to 6 colours, got 7"),
        ({"colours": 0}, "there must be 1 to 6 colours, got 0"),
    ],
)
def test_impossible_mazes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make("npfl139/DiscoMaze-v0", 1, 0, **options)


def test_the_drawing_has_the_colours_of_the_observation_and_the_trail():
    environments = make("npfl139/DiscoGoal-v0", 1, 0, render_mode="rgb_array")
    environments.reset()
    pictures = [environments.render()[0]]
    environments.transition(np.array([UP]))
    assert np.array_equal(environments.render()[0], pictures[0])  # nothing else was observed yet, and the wall stopped the agent
    environments.observe()
    assert not np.array_equal(environments.render()[0], pictures[0])
    assert pictures[0].shape[0] == pictures[0].shape[1] >= 240
