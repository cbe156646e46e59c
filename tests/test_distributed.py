"""Actors elsewhere: what reaches the learner, what a death costs, what is refused; with an engine in this process, and under Ray."""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch

import npfl139.runs
import solutions.agent57 as agent57
import solutions.ngu as ngu
import solutions.ppo as ppo
import solutions.r2d2 as r2d2
from npfl139 import commandline
from npfl139.checkpoints import RunError
from npfl139.distributed import team as team_module
from npfl139.distributed.moments import joined, since
from npfl139.distributed.ray_engine import RayEngine, ray_team
from npfl139.distributed.team import Team
from npfl139.distributed.work import Job, Worker
from npfl139.runs import MemoryMonitor
from solutions.ppo import RunningMoments

TINY = r2d2.R2D2Config(
    seed=3, steps=1600, env_count=4, sequence_length=8, sequence_period=4, burn_in=3, replay_rows=2000, replay_sequences=200, batch_size=6,
    memory_size=8, head_size=8, learning_starts=400,
)  # fmt: skip
CUES = "npfl139/CueRecall-v0"


class Here:
    """An engine without processes: an actor answers when it is asked; those in `mortal` die at their nth chunk."""

    def __init__(self, mortal=()):
        self.workers, self.questions, self.jobs, self.mortal, self.asked, self.closed = {}, deque(), [], dict(mortal), 0, False

    def start(self, number, job):
        self.jobs.append(job)
        self.workers[number] = Worker(job)

    def publish(self, published):
        return published

    def ask(self, number, published, steps):
        self.questions.append((number, published, steps))

    def wait(self):
        number, published, steps = self.questions.popleft()
        self.asked += 1
        if self.mortal.get(self.asked) == number:
            return number, None
        return number, self.workers[number].collect(published, steps)

    def close(self):
        self.closed = True


def team_of(count, engine, module=r2d2, environment_id=CUES, config=TINY):
    return Team(count, module, environment_id, config, lambda: engine)


def trained(team, module=r2d2):
    monitor = team.monitor = Keeping()
    return module.train(team, team.config, monitor), monitor


class Keeping(MemoryMonitor):
    """A monitor that keeps the replay."""

    def watch(self, agent, memory=None):
        self.memory = memory
        return 0


@pytest.mark.parametrize("count", [1, 3])
def test_a_team_trains_with_all_steps_and_no_more(count):
    agent, monitor = trained(team_of(count, Here()))
    assert agent.updates == 10 and 1600 - 4 < monitor.memory.store.written.sum() - monitor.memory.store.columns["terminated"].sum() < 2000
    lengths = monitor.scalars["episode_length"]
    assert max(steps for steps, _ in lengths) <= 1600 and monitor.scalars["episode_return"]


def test_actors_have_their_rows_epsilons_and_seeds():
    engine = Here()
    trained(team_of(3, engine, config=dataclasses.replace(TINY, steps=200)))
    assert [job.first_row for job in engine.jobs] == [0, 2, 3]
    expected = r2d2.actor_epsilons(4, TINY.exploration_base, TINY.exploration_exponent)
    np.testing.assert_array_equal(np.concatenate([job.epsilon for job in engine.jobs]), expected)
    assert len({worker.actor.agent.config.seed for worker in engine.workers.values()}) == 3


def test_a_lost_actor_is_replaced_and_its_sequences_stay():
    engine = Here(mortal={21: 0, 30: 1})
    agent, monitor = trained(team_of(2, engine))
    assert len(engine.jobs) == 4 and agent.updates == 10
    attempts = [(job.first_row, job.attempt) for job in engine.jobs]
    assert attempts == [(0, 0), (2, 0), (0, 1), (2, 2)]
    assert [count for _, count in monitor.scalars["actors_replaced"]] == [1, 2]
    table = monitor.memory
    slot = np.flatnonzero(table.key >= 0)
    assert len(slot) > 100
    for stream, episode, start, steps in zip(table.stream[slot], table.episode[slot], table.start[slot], table.steps[slot], strict=True):
        rows = table.rows_at(np.array([stream]), np.arange(episode, start + steps)[:, None])
        assert rows["previous_action"][0, 0] == -1 and (rows["previous_action"][1:] >= 0).all()  # a sequence lies within one episode


def test_actors_that_always_die_end_the_training():
    engine = Here(mortal=dict.fromkeys(range(1, 99), 0))
    with pytest.raises(RunError, match="5 actors died one after the other"):
        trained(team_of(1, engine))


def test_throughput_and_staleness_are_logged(monkeypatch):
    monkeypatch.setattr(team_module, "SECONDS_PER_REPORT", 0.0)
    _, monitor = trained(team_of(2, Here()))
    for name in ("steps_per_second", "updates_per_second", "staleness"):
        values = [value for _, value in monitor.scalars[name]]
        assert len(values) > 20 and np.isfinite(values).all() and min(values) >= 0
    assert max(value for _, value in monitor.scalars["staleness"]) <= 2


@pytest.mark.parametrize("module", [ngu, agent57])
def test_the_learner_knows_what_its_actors_have_seen(module):
    config = next(iter(module.CONFIGS.values()))
    small = {"env_count": 6, "steps": 3000, "learning_starts": 600, "steps_per_update": 300, "replay_rows": 6000, "novelty_warmup": 3}
    engine = Here()
    agent, monitor = trained(team_of(2, engine, module, "npfl139/ShortCueRecall-v0", dataclasses.replace(config, **small)), module)
    assert agent.updates >= 7
    steps = monitor.memory.store.written.sum()
    seen = agent.novelty.observations.count.item()
    assert 0.9 * steps < seen <= steps + 2 * 6 * 20 and agent.novelty.distances.mean > 0 and agent.novelty.errors.variance > 0
    if module is agent57:
        episodes = monitor.scalars["episode_return"]
        assert agent.controller.bandit.pulls > 0.7 * len(episodes) > 20
        assert {arm for arm, _ in agent.controller.bandit.window} == set(range(config.policies))
    arms = np.concatenate([worker.actor.actors.arm for worker in engine.workers.values()])
    assert module is agent57 or arms.tolist() == [row % config.policies for row in range(6)]


def test_moments_are_told_apart_and_joined():
    rows = torch.from_numpy(np.random.default_rng(1).normal(5, 3, (50, 4)))
    parts = [RunningMoments(4) for _ in range(3)]
    for moments, some in zip(parts, (rows[:20], rows, rows[20:]), strict=True):
        moments.update(some)
    before, now, after = (moments.state_dict() for moments in parts)
    told = since(before, now)
    for name, tensor in after.items():
        torch.testing.assert_close(told[name], tensor)
        torch.testing.assert_close(joined(before, told)[name], now[name])
    assert joined(RunningMoments(4).state_dict(), RunningMoments(4).state_dict())["count"] == 0
    torch.testing.assert_close(joined(before, since(before, before))["mean"], before["mean"])


def test_a_file_is_a_job_too(tmp_path):
    from npfl139.examples import load_module

    path = tmp_path / "mine.py"
    path.write_text(Path(r2d2.__file__).read_text())
    module = load_module(path, "mine")[0]
    job = Job.of(module, environment_id=CUES, config=vars(TINY), epsilon=np.zeros(2), first_row=0, attempt=0)
    del sys.modules["mine"]
    worker = Worker(job)
    assert job.file == str(path) and worker.actor.agent.config.env_count == 2 and type(worker.actor.agent.config).__module__ == "mine"


def test_teams_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="1 to 4 actors, each with one environment or more, got 5"):
        team_of(5, Here)
    with pytest.raises(ValueError, match="1 to 4 actors"):
        team_of(0, Here)
    with pytest.raises(ValueError, match="there is no environment"):
        team_of(1, Here, environment_id="npfl139/CueRecal-v0")
    with pytest.raises(ValueError, match="it has no explorers: train it without --engine"):
        team_of(1, Here, ppo, "CartPole-v1", ppo.CONFIGS["CartPole-v1"])


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--actors", 2], "add --engine ray"),
        (["--address", "auto"], "add --engine ray"),
        (["--engine", "ray", "--actors", 0], "should be greater than or equal to 1"),
        (["--engine", "dask"], "'dask' is not one of"),
        (["--engine", "ray", "--actors", 99], "1 to 32 actors"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(arguments, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        commandline.main(r2d2.train, [*map(str, arguments), "--out", str(tmp_path / "run")], "r2d2")
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and sentence in told and told.startswith("r2d2: ") and not (tmp_path / "run").exists()


def test_without_ray_a_sentence_names_the_extra(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit):
        commandline.main(r2d2.train, ["--engine", "ray", "--actors", "1", "--out", str(tmp_path / "run")], "r2d2")
    assert "needs Ray, which is not installed: pip install 'deep-rl-unit[ray]'" in capsys.readouterr().err


class FakeRay(types.SimpleNamespace):
    """A cluster of some processors, or none, whose actors all answer with an exception."""

    class RayError(Exception):
        cause = FileNotFoundError("no such game")

    class RayTaskError(RayError):
        pass

    class RayActorError(RayError):
        pass

    def __init__(self, processors, problem=None):
        super().__init__(processors=processors, problem=problem, exceptions=self, shut_down=0)

    def init(self, **options):
        if self.processors is None:
            raise Exception("no Ray\nat all")  # as Ray does where it takes too long

    def cluster_resources(self):
        return {"CPU": self.processors}

    def shutdown(self):
        self.shut_down += 1

    def remote(self, **options):
        return lambda kind: types.SimpleNamespace(remote=lambda job: self)

    @property
    def collect(self):
        return types.SimpleNamespace(remote=lambda published, steps: "answer")

    def wait(self, answers):
        return answers[:1], answers[1:]

    def get(self, answer):
        raise self.problem


@pytest.mark.parametrize(
    "address, processors, sentence",
    [
        ("nowhere", None, "is host:port"),
        ("127.0.0.1:1", None, "nothing answers at 127.0.0.1:1"),
        ("auto", None, "the Ray cluster at auto cannot be joined: no Ray$"),
        ("auto", 3.0, "the Ray cluster at auto has 3 processors, too few for 4 actors: ask for fewer"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_told(address, processors, sentence, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay(processors))
    with pytest.raises(ValueError, match=sentence):
        ray_team(r2d2, CUES, TINY, 4, address)
    assert sys.modules["ray"].shut_down == (address == "auto")


@pytest.mark.parametrize(
    "problem, sentence",
    [
        (FakeRay.RayTaskError("a\ntraceback"), "an actor has failed: FileNotFoundError: no such game"),
        (FakeRay.RayActorError("died in its creation task\nno room"), "an actor cannot start: no room"),
        (FakeRay.RayError("the store is gone\nand more"), "Ray has failed: the store is gone; go on with --resume"),
    ],
)
def test_what_would_happen_again_ends_the_training(problem, sentence, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay(2.0, problem))
    engine = RayEngine(1, "auto")
    engine.start(0, None)
    engine.ask(0, None, 1)
    with pytest.raises(RunError, match=sentence):
        engine.wait()


def test_an_actor_that_is_gone_is_told_by_its_number(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay(2.0, FakeRay.RayActorError("killed")))
    engine = RayEngine(1, "auto")
    engine.start(7, None)
    engine.ask(7, None, 1)
    assert engine.wait() == (7, None)
    engine.close()


# All that follows runs Ray in other processes, as its users do; what it prints would be an error.

ROOT = Path(__file__).parents[1]
SMALL = ["--env-count", 4, "--batch-size", 6, "--memory-size", 8, "--head-size", 8, "--learning-starts", 400]
CLUSTER = """
import logging, sys, ray
logging.getLogger("ray").setLevel(logging.ERROR)
ray.init(num_cpus=3, include_dashboard=False, _temp_dir=sys.argv[1], configure_logging=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
LEARNER = """
import functools, sys
import npfl139.runs
import solutions.r2d2 as r2d2
from npfl139.distributed.ray_engine import ray_team
from tests.test_distributed import TINY

import dataclasses
npfl139.runs.RunMonitor = functools.partial(npfl139.runs.RunMonitor, checkpoint_seconds=0.2)
out, address, steps = sys.argv[1:]
config = dataclasses.replace(TINY, steps=int(steps))
team = functools.partial(ray_team, actors=2, address=address)
agent = npfl139.runs.run(r2d2, "npfl139/CueRecall-v0", config, out, True, team)
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """An environment in which Ray's eight processes start in half the time, and do not wait for all others on a busy machine.

    Where Jupyter is installed, jsonschema, which Ray imports, loads a grammar of addresses for a second, in each of them.
    """
    folder = tmp_path_factory.mktemp("quick")
    (folder / "rfc3987_syntax.py").write_text('raise ImportError("too slow")')
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "RAY_worker_niceness": "0"}


def command(*arguments, **options):
    """Run `npfl139` in a process of its own."""
    line = [sys.executable, "-m", "npfl139.cli", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=300, **options)


def processes(folder):
    """Return the numbers of the processes of the Ray session in a folder, and those of its actors."""
    lines, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            lines[int(path.name)] = (path / "cmdline").read_bytes().decode()
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    own = {number for number, line in lines.items() if f"{folder}/" in line and number != os.getpid()}
    workers = {number for number, line in lines.items() if line.startswith("ray::") and parents[number] in own}
    return own | workers, {number for number in workers if lines[number].startswith("ray::Worker")}


def eventually(what, seconds=120):
    """Return the first true result."""
    end = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.05)
    return result


@pytest.fixture
def folder():
    """A folder with a short name, since Ray holds sockets in it."""
    with tempfile.TemporaryDirectory(prefix="npfl139-") as name:
        yield Path(name)


def test_a_folder_whose_name_is_too_long_for_sockets_is_told(folder, quick):
    (long := folder / ("long" * 20)).mkdir()
    result = command("train", "r2d2", "--engine", "ray", "--actors", 1, "--out", folder / "run", env=quick | {"TMPDIR": str(long)})
    assert result.returncode == 2 and "Ray cannot be started on this machine" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not list(long.iterdir())


def test_a_run_under_ray_survives_the_death_of_an_actor_and_leaves_nothing(folder, quick):
    log = folder / "run" / "log.csv"
    line = [sys.executable, "-m", "npfl139.cli", "train", "r2d2", "--env", CUES, "--engine", "ray", "--actors", 2, *SMALL]
    line = list(map(str, [*line, "--steps", 10_000, "--out", folder / "run", "--episodes", 2]))
    environment = quick | {"TMPDIR": str(folder), "HOME": str(folder / "home")}
    with subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as learner:
        eventually(lambda: learner.poll() is not None or (log.exists() and "episode_return" in log.read_text()))
        assert learner.poll() is None, learner.communicate()
        os.kill(min(processes(folder)[1]), signal.SIGKILL)
        printed, complaints = learner.communicate(timeout=240)
    assert learner.returncode == 0 and not complaints and printed.startswith(f"{CUES}: mean return")
    scalars = npfl139.runs.read_log(log)
    assert [count for _, count in scalars["actors_replaced"]] == [1] and scalars["steps_per_second"] and scalars["staleness"]
    assert int(npfl139.runs.read_metadata(folder / "run" / "agent.safetensors")["steps"]) == 10_000
    eventually(lambda: not processes(folder)[0])
    assert {path.name for path in folder.iterdir()} <= {"run", "home"}


def test_a_killed_learner_goes_on_with_actors_of_the_same_cluster(folder, quick):
    checkpoint = folder / "run" / "agent.safetensors"
    environment = quick | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "HOME": str(folder)}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CLUSTER, folder], env=environment, **pipes) as cluster:
        address = cluster.stdout.readline().strip()
        line = [sys.executable, "-c", LEARNER, folder / "run", address]
        with subprocess.Popen([*line, "10000000"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as learner:
            eventually(lambda: checkpoint.exists() and int(npfl139.runs.read_metadata(checkpoint)["steps"]) > 2000)
            learner.kill()
        steps = int(npfl139.runs.read_metadata(checkpoint)["steps"])
        again = subprocess.run([*line, str(steps + 4000)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
        assert again.returncode == 0 and not again.stderr.strip()
        assert int(npfl139.runs.read_metadata(checkpoint)["steps"]) == steps + 4000
        losses = [step for step, _ in npfl139.runs.read_log(folder / "run" / "log.csv")["loss"]]
        assert losses == sorted(losses) and losses[-1] > steps + 3000 and losses[0] < 1000
        cluster.communicate("", timeout=60)
    eventually(lambda: not processes(folder)[0])
