import errno
import io
import json
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from npfl139 import files, logs, runs
from npfl139 import monitor as monitors
from npfl139.config import Config
from npfl139.runs import MemoryMonitor, RunError, RunMonitor, load_agent, load_checkpoint, plot_curves, read_log, save_checkpoint


class Agent(torch.nn.Linear):
    def __init__(self, size=3):
        super().__init__(size, 1)
        self.optimizer = torch.optim.Adam(self.parameters(), 0.1)

    def act(self, observation, reward, first):
        return np.zeros(len(observation), np.int64)

    def step(self):
        self.optimizer.zero_grad()
        self(torch.ones(1, self.in_features)).sum().backward()
        self.optimizer.step()


@dataclass(frozen=True)
class ExampleConfig(Config):
    size: int = 3  # inputs
    hidden: tuple[int, ...] = (4,)


def make_agent(observation_space, action_space, config):
    torch.manual_seed(config.seed)
    return Agent(config.size)


def train(environments, config: ExampleConfig, monitor):
    """Step, log, learn: the least that a training does."""
    agent = make_agent(None, None, config)
    steps = monitor.watch(agent)
    environments.reset()
    while steps < config.steps:
        environments.step(np.zeros(environments.num_envs, np.int64))
        steps += environments.num_envs
        agent.step()
        monitor.log(steps, loss=1 / steps)
    return agent


CONFIGS = {"CartPole-v1": ExampleConfig(steps=80), "large": ExampleConfig(size=5, steps=40)}
MODULE = sys.modules[__name__]


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def said(console):
    return console.file.getvalue()


@pytest.fixture
def failing(monkeypatch):
    """Makes files of a directory unwritable: failing(directory) from now on, failing(None) no more."""
    blocked = []

    def guarded_open(path, mode="r", **options):
        if blocked and str(path).startswith(str(blocked[-1])) and mode != "r":
            raise OSError(errno.ENOSPC, "No space left on device")
        return open(path, mode, **options)

    monkeypatch.setattr(files, "open", guarded_open, raising=False)
    monkeypatch.setattr(logs, "open", guarded_open, raising=False)
    return blocked.append


def test_the_memory_monitor_stays_small_and_evenly_thinned():
    monitor = MemoryMonitor(limit=100)
    for step in range(1000):
        monitor.log(step, loss=step / 2)
    steps, values = np.array(monitor.scalars["loss"]).T
    assert 50 <= len(steps) < 100 and steps[0] == 0 and steps[-1] > 950
    assert len(set(np.diff(steps))) == 1 and np.array_equal(values, steps / 2)
    assert monitor.watch(None) == 0


def test_scalars_reach_the_csv_file_and_tensorboard(tmp_path, console):
    with RunMonitor(tmp_path / "run", 100, console=console) as monitor:
        monitor.log(10, loss=0.5, entropy=torch.tensor(0.25))
        monitor.log(20, loss=0.125)
    expected = {"loss": [[10, 0.5], [20, 0.125]], "entropy": [[10, 0.25]]}
    assert monitor.scalars == expected and read_log(tmp_path / "run" / "log.csv") == expected
    (events,) = (tmp_path / "run").glob("events.out.tfevents.*")
    stored = [(event.step, value) for event in EventFileLoader(str(events)).Load() for value in event.summary.value]
    logged = [(step, value.tag, value.tensor.float_val[0]) for step, value in stored]
    assert logged == [(10, "loss", 0.5), (10, "entropy", 0.25), (20, "loss", 0.125)]


def test_a_checkpoint_holds_the_agent_and_its_optimizer(tmp_path):
    trained, fresh = Agent(), Agent()
    for _ in range(5):
        trained.step()
    save_checkpoint(tmp_path / "agent.safetensors", trained, {"steps": "5"})
    assert load_checkpoint(tmp_path / "agent.safetensors", fresh) == {"steps": "5"}
    for _ in range(3):  # they go on alike, so the moments of Adam are there as well
        trained.step()
        fresh.step()
    assert torch.equal(trained.weight, fresh.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["agent.safetensors"]


def test_a_failed_checkpoint_leaves_the_last_one(tmp_path, failing):
    path, agent = tmp_path / "agent.safetensors", Agent()
    save_checkpoint(path, agent, {"steps": "1"})
    content = path.read_bytes()
    failing(tmp_path)
    agent.step()
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, agent, {"steps": "2"})
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    path, agent = tmp_path / "agent.safetensors", Agent()
    with pytest.raises(RunError, match="there is no checkpoint"):
        load_checkpoint(path, agent)
    path.write_bytes(b"nonsense")
    with pytest.raises(RunError, match="is not a checkpoint, or is damaged"):
        load_checkpoint(path, agent)
    save_checkpoint(path, agent, {})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RunError, match="is not a checkpoint, or is damaged"):
        load_checkpoint(path, agent)
    save_checkpoint(path, Agent(7), {})
    with pytest.raises(RunError, match="belongs to an agent of another configuration"):
        load_checkpoint(path, agent)
    with pytest.raises(RunError, match="was not made by a run of this agent"):
        load_agent(MODULE, path)


def test_a_full_disk_loses_nothing_when_there_is_room_again(tmp_path, console, failing):
    with RunMonitor(tmp_path, 100, console=console) as monitor:
        monitor.log(1, loss=1)
        monitor.flush()
        failing(tmp_path)
        monitor.log(2, loss=2)
        monitor.flush()
        monitor.flush()
        failing("nowhere")
        monitor.log(3, loss=3)
    assert read_log(tmp_path / "log.csv") == {"loss": [[1, 1], [2, 2], [3, 3]]}
    assert said(console).count("Cannot write to") == 1 and "No space left on device" in said(console)


def test_half_a_write_is_undone(tmp_path, console):
    with RunMonitor(tmp_path, 100, console=console) as monitor:
        monitor.log(1, loss=1)
        monitor.flush()
        with open(tmp_path / "log.csv", "ab") as file:
            file.write(b"2,lo")  # as far as a full disk let it come
        monitor.log(2, loss=2)
    assert read_log(tmp_path / "log.csv") == {"loss": [[1, 1], [2, 2]]}


def test_a_disk_that_stays_full_sends_the_run_elsewhere(tmp_path, console, failing, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(monitors.tempfile, "mkdtemp", lambda prefix: str(elsewhere))
    with RunMonitor(tmp_path / "run", 100, console=console) as monitor:
        monitor.watch(Agent())
        failing(tmp_path / "run")
        monitor.log(1, loss=1)
    assert read_log(elsewhere / "log.csv") == {"loss": [[1, 1]]}
    assert load_checkpoint(elsewhere / "agent.safetensors", Agent()) == {"steps": "1"}
    assert f"is in {elsewhere}" in said(console)


def test_with_no_room_anywhere_the_loss_is_said(tmp_path, console, failing, monkeypatch):
    monkeypatch.setattr(monitors.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    monitor = RunMonitor(tmp_path / "run", 100, console=console)
    monitor.log(1, loss=1)
    failing(tmp_path)
    with pytest.raises(RunError, match="the run is lost: cannot write to"):
        monitor.close()


def test_a_directory_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write to .*file/run: Not a directory"):
        RunMonitor(tmp_path / "file" / "run", 100)


def test_a_run_is_not_overwritten(tmp_path):
    runs.run(MODULE, "CartPole-v1", ExampleConfig(steps=16), tmp_path)
    with pytest.raises(RunError, match="already holds a run: resume it, or choose another directory"):
        runs.run(MODULE, "CartPole-v1", ExampleConfig(steps=16), tmp_path)


def test_a_run_leaves_its_files_and_can_be_loaded(tmp_path):
    agent = runs.run(MODULE, "CartPole-v1", ExampleConfig(steps=400, hidden=(1, 2)), tmp_path)
    loaded, environment_id = load_agent(MODULE, tmp_path / "agent.safetensors")
    assert environment_id == "CartPole-v1" and torch.equal(loaded.weight, agent.weight)
    log = read_log(tmp_path / "log.csv")
    assert len(log["loss"]) == 50 and log["loss"][-1][0] == 400
    assert {"episode_return", "episode_length"} < set(log) and log["episode_return"][0][1] >= 8
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(runs.read_metadata(tmp_path / "agent.safetensors")["config"])["hidden"] == [1, 2]


def test_a_resumed_run_goes_on_where_it_stopped(tmp_path):
    class Stopped(Exception):
        pass

    def stopping(environments, config: ExampleConfig, monitor):
        class Stopping:
            def watch(self, agent):
                return monitor.watch(agent)

            def log(self, steps, **scalars):
                monitor.log(steps, **scalars)
                if steps >= 160:
                    raise Stopped

        return train(environments, config, Stopping())

    config = ExampleConfig(steps=400)
    with pytest.raises(Stopped):
        runs.run(types.SimpleNamespace(train=stopping), "CartPole-v1", config, tmp_path)
    resumed = runs.run(MODULE, "CartPole-v1", config, tmp_path, resume=True)
    whole = runs.run(MODULE, "CartPole-v1", config, tmp_path / "whole")
    assert torch.equal(resumed.weight, whole.weight)
    assert [step for step, _ in read_log(tmp_path / "log.csv")["loss"]] == list(range(8, 401, 8))
    assert runs.read_metadata(tmp_path / "agent.safetensors")["steps"] == "400"


def test_a_resumed_log_is_cut_back_to_the_checkpoint(tmp_path, console):
    def logged(steps, **options):
        with RunMonitor(tmp_path, 100, {}, console=console, **options) as monitor:
            monitor.watch(Agent())
            for step in steps:
                monitor.log(step, loss=step / 100)

    logged([10, 20])
    checkpoint = (tmp_path / "agent.safetensors").read_bytes()
    logged([30, 40], resume=True)
    (tmp_path / "agent.safetensors").write_bytes(checkpoint)  # as if the process had been killed before the second one
    with open(tmp_path / "log.csv", "a") as file:
        file.write("5")  # half a line
    logged([25, 35], resume=True)
    steps = [10, 20, 25, 35]
    assert read_log(tmp_path / "log.csv") == {"loss": [[step, step / 100] for step in steps]}
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == steps


def test_a_run_whose_log_is_gone_or_broken_resumes(tmp_path):
    runs.run(MODULE, "CartPole-v1", ExampleConfig(steps=16), tmp_path)
    (tmp_path / "log.csv").write_text("steps,name,value\n8,loss,0.5\n\x00\x00,loss\n16,loss,0.2\n")
    runs.run(MODULE, "CartPole-v1", ExampleConfig(steps=32), tmp_path, resume=True)
    assert [step for step, _ in read_log(tmp_path / "log.csv")["loss"]] == [8, 24, 32]
    (tmp_path / "log.csv").unlink()
    runs.run(MODULE, "CartPole-v1", ExampleConfig(steps=40), tmp_path, resume=True)
    assert [step for step, _ in read_log(tmp_path / "log.csv")["loss"]] == [40]


def test_checkpoints_are_written_on_the_way(tmp_path, console):
    monitor = RunMonitor(tmp_path, 100, checkpoint_seconds=0, console=console)
    monitor.watch(Agent())
    monitor.log(7, loss=1)
    assert runs.read_metadata(tmp_path / "agent.safetensors")["steps"] == "7"


def test_progress_is_shown(tmp_path, monkeypatch):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    clock = iter(range(1000))
    monkeypatch.setattr(monitors.time, "monotonic", lambda: float(next(clock)))
    with RunMonitor(tmp_path, 100, console=console) as monitor:
        monitor.log(50, episode_return=20.0)
        monitor.log(60, episode_return=30.0)
    assert "60/100" in said(console) and "return 25.0" in said(console)


def test_curves_of_nothing_and_of_one_point(tmp_path):
    plot_curves({}, tmp_path / "none.png")
    plot_curves({"loss": [[1, 2.0]]}, tmp_path / "one.png")
    assert (tmp_path / "none.png").exists() and (tmp_path / "one.png").exists()


def test_the_command_line_trains_and_evaluates(tmp_path, capsys):
    agent = runs.main(train, ["--env", "CartPole-v1", "--out", str(tmp_path / "run"), "--steps", "160", "--episodes", "3"])
    assert isinstance(agent, Agent)
    assert "CartPole-v1: mean return 9." in capsys.readouterr().out
    assert read_log(tmp_path / "run" / "log.csv")["loss"][-1][0] == 160


def test_the_default_directory_names_environment_and_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs.main(train, ["--seed", "7", "--episodes", "1"])
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name.startswith("CartPole-v1-7-")


def test_a_configuration_is_chosen_by_environment_or_by_name(tmp_path):
    assert runs.config_for(MODULE, "CartPole-v1").steps == 80
    assert runs.config_for(MODULE, "Acrobot-v1") == ExampleConfig()
    assert runs.main(train, ["--config", "large", "--out", str(tmp_path / "run"), "--episodes", "1"]).in_features == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "CartPole-v9"], "there is no environment 'CartPole-v9'"),
        (["--env-count", "0"], "count must be at least 1, got 0"),
        (["--device", "tpu"], "device must be auto, cpu or cuda, got 'tpu'"),
        (["--config", "huge"], "there is no configuration 'huge'; there are CartPole-v1, large"),
        (["--config", "lage"], "there is no configuration 'lage'; did you mean 'large'?"),
        (["--out", "/dev/null/run"], "cannot write to /dev/null/run"),
        (["--stpes", "8"], "there is no option --stpes; did you mean --steps?"),
        (["--quite-another"], "there is no option --quite-another; --help lists those that there are"),
        (["--episodes", "0"], "Invalid value for '--episodes'"),
        (["--threads", "0"], "Invalid value for '--threads'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        runs.main(train, arguments)
    complaint = capsys.readouterr().err
    assert exit.value.code == 2 and message in complaint and complaint.count("\n") == 1


def without_annotation(environments, config, monitor):
    raise AssertionError


def test_a_train_that_does_not_say_what_its_configuration_is_is_told_to(monkeypatch, capsys):
    with pytest.raises(SystemExit) as exit:
        runs.main(without_annotation, [])
    assert exit.value.code == 2 and "train must annotate its argument config" in capsys.readouterr().err
    monkeypatch.setattr(MODULE, "train", without_annotation)
    with pytest.raises(RunError, match="train must annotate its argument config"):
        runs.config_for(MODULE, "Acrobot-v1")


def test_an_interrupted_run_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(environments, config: ExampleConfig, monitor):
        monitor.watch(make_agent(None, None, config))
        monitor.log(8, loss=1)
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "train", interrupted)
    with pytest.raises(SystemExit) as exit:
        runs.main(interrupted, ["--out", str(tmp_path / "run")])
    assert exit.value.code == 130 and f"go on with --out {tmp_path / 'run'} --resume" in capsys.readouterr().err
    assert runs.read_metadata(tmp_path / "run" / "agent.safetensors")["steps"] == "8"


def test_every_field_is_an_option(capsys):
    with pytest.raises(SystemExit):
        runs.main(train, ["--help"])
    shown = capsys.readouterr().out
    assert "--size " in shown and "inputs" in shown and "--resume" in shown


def test_torch_runs_on_one_thread_unless_told_otherwise(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    runs.main(train, ["--out", str(tmp_path / "one"), "--episodes", "1"])
    runs.main(train, ["--out", str(tmp_path / "two"), "--episodes", "1", "--threads", "2"])
    assert asked == [1, 2]
