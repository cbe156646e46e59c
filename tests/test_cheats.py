"""Whatever a submission tries, it earns what it honestly earns, leaves nothing behind, and the next submission is graded as ever.

Each file of tests/attacks is appended to a submission of which one exercise is right and five are wrong.
"""

import dataclasses
import os
import socket
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import npfl139.envs
from grader.contract.expect import Wrong, expect_close
from grader.contract.served import checked_actions, serve
from grader.contract.student import StudentError
from grader.grading.remote import Sandboxed
from grader.inside.limits import Limits
from npfl139.evaluation import evaluate

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.py"))
LIMITS = Limits(seconds=30, cpu_seconds=30, memory=256 * 2**20, scratch=4 * 2**20, callbacks=10_000)
BUDGET, COUNT = 80, 4
IMPATIENT = dataclasses.replace(LIMITS, seconds=1.0)
# The verdict on being loaded, where that is the end of it; those that wait or loop are given less time.
FATAL = {
    "closes_descriptors": "crashed", "daemon": "violation", "exit_at_once": "crashed", "exit_politely": "crashed", "fork_bomb": "violation",
    "memory_of_numpy": "memory", "memory_of_python": "memory", "memory_of_torch": "memory", "recurses": "crashed",
    "busy_threads": "timeout", "memory_shared_maps": "memory",
    "runs_a_shell": "violation", "loops_forever": "timeout", "prints_forever": "timeout", "sleeps_forever": "timeout",
    "stops_itself": "timeout",
}  # fmt: skip
# The verdict on every check, where the file can be loaded but nothing in it works.
HOPELESS = {
    "catches_signals": "timeout", "exit_when_called": "crashed", "floods_callbacks": "timeout", "forges_frames": "violation",
    "sends_bombs": "violation", "writes_half_a_frame": "violation",
}  # fmt: skip

HONEST = textwrap.dedent("""
    from dataclasses import dataclass
    import numpy as np
    import torch

    def double(x):
        return 2 * x

    def triple(x):
        return {triple} * x

    def square(x):
        return x ** {square}

    def twice(function, x):
        return function({twice})

    class Total:
        def __init__(self):
            self.total = 0.0
        def add(self, x):
            self.total = self.total {total} x
            return self.total

    @dataclass(frozen=True)
    class Config:
        seed: int = 0

    class Agent:
        def act(self, observation, reward, first):
            return (observation[:, 2] {act} 0).astype(np.int64)

    def train(environments, config: Config, monitor):
        environments.reset()
        for step in range({steps}):
            environments.step(np.zeros(environments.num_envs, np.int64))
        return Agent()
""")
RIGHT = HONEST.format(triple=3, square=2, twice="function(x)", total="+", act=">", steps=20)
WRONG = HONEST.format(triple=2, square=3, twice="x", total="-", act="<", steps=20)


def is_double_right(student, rng):
    x = torch.as_tensor(rng.normal(size=3))
    expect_close(student.double(x), 2 * x)


def is_triple_right(student, rng):
    x = torch.as_tensor(rng.normal(size=3))
    expect_close(student.triple(x), 3 * x)


def is_gradient_right(student, rng):
    x = torch.as_tensor(rng.uniform(1, 2, size=3))
    value, (gradient,) = student.gradient("square", x, wrt=[0])
    expect_close(value, x**2)
    expect_close(gradient, 2 * x)


def is_twice_right(student, rng):
    matrix, x = torch.as_tensor(rng.normal(size=(3, 3))), torch.as_tensor(rng.normal(size=3))
    expect_close(student.twice(lambda v: matrix @ v, x), matrix @ matrix @ x)


def is_total_right(student, rng):
    total = student.create("Total")
    total.add(float(rng.normal()))
    expect_close(total.add(1.0) - total.read("total") + 1, 1.0)
    expect_close(student.create("Total").add(2.0), 2.0)


def is_training_right(student, rng):
    served = serve(npfl139.envs.make("CartPole-v1", COUNT, 1), BUDGET)
    agent, _ = student.train(served.description, seed=1)
    environments = npfl139.envs.make("CartPole-v1", 10, int(rng.integers(2**31)))
    policy = lambda *observed: checked_actions(agent.act(*observed), environments.single_action_space, 10)  # noqa: E731
    if served.steps != BUDGET or evaluate(policy, environments, 10).mean() < 20:  # the right agent reaches 40, the wrong one 9
        raise Wrong("it has not learnt")


CHECKS = [is_double_right, is_triple_right, is_gradient_right, is_twice_right, is_total_right, is_training_right]


def graded(student, source):
    """Return the names of the checks that pass, and the verdicts of all."""
    verdicts = []
    try:
        student.load(source, "work", "work.py")
    except StudentError as error:
        return [], [error.verdict]
    for check in CHECKS:
        try:
            check(student, np.random.default_rng(int.from_bytes(os.urandom(4), "little")))
            verdicts.append("passed")
        except Wrong:
            verdicts.append("wrong")
        except StudentError as error:
            verdicts.append(error.verdict)
    return [check.__name__ for check, verdict in zip(CHECKS, verdicts, strict=True) if verdict == "passed"], verdicts


def processes_below(ancestor: int) -> set[int]:
    """Return the process ids of all descendants, as the host sees them."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass  # it has just ended
    found, new = set(), {ancestor}
    while new:
        found |= new
        new = {process for process, parent in parents.items() if parent in new} - found
    return found - {ancestor}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_the_honest_submissions_earn_what_they_should(sandbox):
    with Sandboxed(sandbox, LIMITS) as student:
        assert graded(student, RIGHT)[0] == [check.__name__ for check in CHECKS]
        assert graded(student, WRONG)[0] == ["is_double_right"]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda path: path.stem)
def test_an_attack_earns_nothing(sandbox, attack, listener, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADER_SECRET", "attack-canary")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attack-canary-gradebook.json").write_text("{}")
    before = processes_below(os.getpid())
    source = f"{WRONG}\nPORT = {listener.getsockname()[1]}\n{attack.read_text()}"
    impatient = "timeout" in (FATAL.get(attack.stem), HOPELESS.get(attack.stem))
    with Sandboxed(sandbox, IMPATIENT if impatient else LIMITS) as student:
        passed, verdicts = graded(student, source)
        assert set(passed) <= {"is_double_right"}
        assert "grader_fault" not in verdicts
        assert verdicts == [FATAL[attack.stem]] if attack.stem in FATAL else len(verdicts) == len(CHECKS)
        assert attack.stem not in HOPELESS or set(verdicts) == {HOPELESS[attack.stem]}
        if "attack_loot" in source and student.alive:
            assert student.attack_loot() == []
    assert processes_below(os.getpid()) <= before
    assert [path.name for path in tmp_path.iterdir()] == ["attack-canary-gradebook.json"]
    assert not [*Path("/tmp").glob("attack-marker*"), *Path("/dev/shm").glob("attack-marker*")]
    with pytest.raises(BlockingIOError):
        listener.accept()
    with Sandboxed(sandbox, LIMITS) as student:
        assert student.alive is False
        student.load(RIGHT, "work", "work.py")
        assert student.double(21) == 42


# What the fallback without namespaces must stop, too. It hides no files and no processes, so the others would be unfair, or unsafe.
FOR_THE_FALLBACK = (
    "always_equal", "at_exit", "daemon", "exceeds_budget", "exit_at_once", "forges_frames", "patched_asserts", "patches_environments",
    "patches_the_worker",
    "pickles", "runs_a_shell", "trains_elsewhere", "walks_frames", "watcher_thread", "writes_half_a_frame",
)  # fmt: skip


@pytest.mark.parametrize("name", FOR_THE_FALLBACK)
def test_an_attack_earns_nothing_in_the_fallback_either(weak_sandbox, name):
    attack = next(path for path in ATTACKS if path.stem == name)
    with Sandboxed(weak_sandbox, LIMITS) as student:
        passed, verdicts = graded(student, f"{WRONG}\n{attack.read_text()}")
    assert set(passed) <= {"is_double_right"} and "grader_fault" not in verdicts
