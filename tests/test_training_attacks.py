"""Who writes no exercise earns no training point, whatever else is in the file."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from grader.contract.figures import Figures, calibrated
from grader.contract.registry import available, load
from grader.contract.served import serve
from grader.contract.spec import Attempt
from grader.contract.student import InProcess, StudentError
from grader.contract.training import learns
from grader.grading import grade as grading
from grader.grading.grade import grade
from grader.grading.graft import graft
from grader.records import Options, Submission
from grader.release.skeleton import make_skeleton
from grader.topics.transformed_rewards import checks as transformed_rewards
from npfl139 import envs
from npfl139.envs import treasure
from solutions.ppo import CONFIGS

# ruff: noqa: E501  one attack is one line
FOLDER = Path(__file__).parent / "attacks" / "training"
ATTACKS = {path.stem: next(name for name in available() if path.stem.startswith(name)) for path in sorted(FOLDER.glob("*.py"))}
PPO = load("ppo")
SHORT = dataclasses.replace(CONFIGS["CartPole-v1"], steps=1_024, epochs=1)


def solved(topic, exercises=None):
    """Return the assignment in which all but the given exercises are solved."""
    source = topic.solution.read_text()
    return (source if exercises is None else make_skeleton(source, exercises)).split("if __name__ ==")[0]


def planted(topic, source):
    grafted = graft(topic, source)
    student = InProcess(grafted.given, topic.name, "given.py", topic.prerequisite_sources)
    grafted.plant(student, topic.solution.name)
    return student


def test_every_topic_has_an_attack_on_its_training():
    assert set(ATTACKS.values()) == {name for name in available() if load(name).trainings}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_without_exercises_earns_no_training_point(sandbox, attack):
    topic = load(ATTACKS[attack])
    source = f"{solved(topic, topic.exercises)}\n{(FOLDER / attack).with_suffix('.py').read_text()}"
    submission = Submission("mallory", topic.name, source, f"{topic.name}.py", hashlib.sha256(source.encode()).hexdigest(), None)
    result = grade(topic, submission, sandbox, Options())
    assert {(training.verdict, training.score) for training in result.training} == {("blocked", 0.0)}


def graded(sandbox, monkeypatch, source, filename="ppo.py", cells=()):
    """Grade the unit checks of PPO, and a training check that only calls the given code."""

    def attempt(student, seed):
        agent, _ = student.train(
            serve(envs.make("CartPole-v1", SHORT.env_count, seed=0), SHORT.steps).description, **dataclasses.asdict(SHORT)
        )
        return Attempt(1.0, SHORT.steps)

    monkeypatch.setattr(grading, "calibrated", lambda *_: Figures("", {}, {}, {}, threshold=0.5))
    topic = dataclasses.replace(PPO, trainings=(dataclasses.replace(PPO.trainings[0], attempt=attempt, unreached=UNREACHED),))
    submission = Submission("ada", "ppo", source, filename, hashlib.sha256(source.encode()).hexdigest(), None, cells=cells)
    return grade(topic, submission, sandbox, Options()).training[0]


UNREACHED = ("tanh_gaussian_log_prob",)


def test_own_given_code_is_left_out_and_told(sandbox, monkeypatch):
    result = graded(sandbox, monkeypatch, f"{solved(PPO)}\nclass Agent:\n    pass\ndef train():\n    return 1 / 0\n")
    assert (result.verdict, result.score) == ("passed", 3.0)
    assert result.note == "your own version of `Agent`, `train` was left out: training runs on the assignment's given code"
    assert graded(sandbox, monkeypatch, solved(PPO)).note is None


@pytest.mark.parametrize("exercise", ["value_loss", "RunningMoments.update"])
def test_a_needed_exercise_without_a_passed_check_blocks(sandbox, monkeypatch, exercise):
    missing = graded(sandbox, monkeypatch, solved(PPO, [exercise]))
    wrong = graded(sandbox, monkeypatch, f"{solved(PPO)}\n{exercise} = lambda *a: None\n")
    assert missing.verdict == wrong.verdict == "blocked"
    assert missing.feedback == wrong.feedback == f"it is blocked by {exercise}, which passes no check yet"


def test_an_exercise_of_another_branch_does_not_block(sandbox, monkeypatch):
    assert graded(sandbox, monkeypatch, solved(PPO, UNREACHED)).verdict == "passed"


def test_an_exercise_that_only_running_the_file_defines_is_told(sandbox, monkeypatch):
    hidden = "exec('def value_loss(value, target):\\n    return ((value - target) ** 2).mean()')"
    result = graded(sandbox, monkeypatch, f"{solved(PPO, ['value_loss'])}\n{hidden}\n")
    assert result.verdict == "blocked"
    assert result.feedback.startswith("it is blocked by value_loss, which was not found in the file: define it by a plain def")


def test_what_keeps_exercises_out_of_the_given_code_is_told(sandbox, monkeypatch):
    # `scale` is a number while the file is loaded, and a given function where the file's own version was left out.
    own = "def make_agent(*a):\n    return 2\nscale = make_agent() + 0\ndef value_loss(value, target):\n    return scale / 2 * ((value - target) ** 2).mean()\n"
    result = graded(sandbox, monkeypatch, f"{solved(PPO)}\n{own}")
    assert (result.verdict, result.score) == ("crashed", 0.0)
    assert result.feedback.startswith("its exercises cannot be put into the given code: TypeError in line")
    assert "`make_agent`" in result.note


def test_an_error_in_given_code_has_no_line_of_the_students(sandbox, monkeypatch):
    result = graded(
        sandbox,
        monkeypatch,
        f"{solved(PPO)}\ndef minibatches(count, batch_size, generator):\n    return None if count > 1000 else torch.randperm(count, generator=generator).split(batch_size)\n",
    )
    assert (result.verdict, result.feedback) == ("crashed", "TypeError: 'NoneType' object is not iterable")


def test_an_error_while_training_is_told_with_the_cell_of_the_notebook(sandbox, monkeypatch):
    own = "\ndef minibatches(count, batch_size, generator):\n    if count > 1000:\n        raise ValueError('too long')\n    return torch.randperm(count, generator=generator).split(batch_size)\n"
    source = solved(PPO) + own
    cells = ((1, 1), (solved(PPO).count("\n") + 2, 7))
    result = graded(sandbox, monkeypatch, source, filename="ppo.ipynb", cells=cells)
    assert (result.verdict, result.feedback) == ("crashed", "ValueError in cell 7, line 3: too long")


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack not in ("retrace_averages",)])
def test_not_even_with_the_right_exercises_is_a_replaced_loop_run(attack):
    topic = load(ATTACKS[attack])
    grafted = graft(topic, f"{solved(topic)}\n{(FOLDER / attack).with_suffix('.py').read_text()}")
    assert {"train", "natural_gradient_descent", "controllable_states", "SlidingWindowUCB.__init__"} & set(grafted.left_out)
    replaced = ("def train", "def natural_gradient_descent", "def controllable_states")
    assert not [line for line in grafted.source.split("\n") if line.startswith(replaced)]


def test_averages_do_not_evaluate_a_policy():
    topic = load("retrace")
    (training,) = topic.trainings
    student = planted(topic, f"{solved(topic)}\n{(FOLDER / 'retrace_averages.py').read_text()}")
    assert training.attempt(student, 0).score < calibrated("retrace", training.name).threshold


def test_an_exercise_that_replaces_the_embedding_does_not_find_the_agent():
    topic = load("ngu")
    (training,) = topic.trainings
    place = """
class Place(nn.Module):
    code = torch.randn(49, 16, generator=torch.Generator().manual_seed(0))

    def forward(self, observation):
        return self.code[(observation.reshape(len(observation), 3, -1).sum(1) > 2.5).float().argmax(-1)]


def inverse_dynamics_loss(embed, classify, observation, observation_next, action, valid):
    embed.torso, embed.layers = nn.Identity(), Place()
    return classify(torch.cat([embed(observation), embed(observation_next)], -1)).square().mean()
"""
    student = planted(topic, f"{solved(topic)}\n{place}")
    assert training.attempt(student, 0).score < calibrated("ngu", training.name).threshold


# Exercises of PPO that reach for the given code. What they are appended to is right otherwise.
CONSTANT = "\ndef constant(*observed):\n    return np.zeros(len(observed[-3]), int)\n"
HIJACKS = {
    "of the class, through the frames": "import sys\ndef minibatches(count, batch_size, generator):\n"
    "    sys._getframe(1).f_globals['Agent'].act = constant\n    return [torch.arange(count)]\n",
    "of the agent, through the frames": "import sys\ndef normalized(advantage):\n    frame = sys._getframe(1)\n"
    "    while 'agent' not in frame.f_locals:\n        frame = frame.f_back\n    frame.f_locals['agent'].act = constant\n    return advantage\n",
    "through a default": "def normalized(advantage, agent=Agent, calls=[]):\n    calls.append(1)\n    agent.act = constant\n    return advantage\n",
    "of a name of the module": "import sys\ndef normalized(advantage):\n    sys.modules['ppo'].train = constant\n    return advantage\n",
    "through the globals of a function": "def normalized(advantage):\n    train.__globals__['make_agent'] = constant\n    return advantage\n",
    "of the code of a function": "def normalized(advantage):\n    train.__code__ = constant.__code__\n    return advantage\n",
    "when the file is loaded": "import sys\ndef exchange():\n    sys.modules['ppo'].train = constant\n"
    "    return 0\nzero = exchange()\ndef normalized(advantage):\n    return advantage + zero\n",
    "of code when the file is loaded": "def exchange():\n    Agent.act = constant\n    return 0\nzero = exchange()\n"
    "def normalized(advantage):\n    return advantage + zero\n",
    "with the collector of garbage": "import gc\ndef normalized(advantage):\n    for thing in gc.get_objects():\n"
    "        if type(thing) is type and thing.__name__ == 'Agent' and thing.__module__ == 'ppo':\n            thing.act = constant\n    return advantage\n",
}


def attempted(source):
    training = learns("short", "CartPole-v1", SHORT, "It learns.", 1.0, episodes=2)
    return training.attempt(planted(PPO, solved(PPO) + source), seed=3)


@pytest.mark.parametrize("hijack", HIJACKS)
def test_an_exercise_that_exchanges_given_code_is_a_violation(hijack):
    with pytest.raises(StudentError, match="violation: an exercise changed the given (Agent.act|act|train|make_agent)"):
        attempted(CONSTANT + HIJACKS[hijack])


SAME = {
    "a helper named like given code": "def train(*a):\n    return 0\ndef normalized(advantage):\n"
    "    return (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)\n",
    "a helper named like what is built in": "def len(*a):\n    return 3\ndef range(*a):\n    return []\n"
    "_lambda_return = lambda_return\ndef lambda_return(advantage, value):\n    len(), range()\n    return _lambda_return(advantage, value)\n",
    "a star import that shadows": "from torch import *\n",
}


@pytest.mark.parametrize("name", SAME)
def test_names_of_helpers_change_nothing_in_the_given_code(name):
    assert attempted(SAME[name]) == attempted("")


# The network is no definition of the given code, so that an exercise can exchange it; the task is what defeats a plan.
PLAN = """
import gc


def double_q_value(q, q_target):
    for thing in gc.get_objects():
        if type(thing) is DQN:
            thing.network = Plan()
    return q_target.amax(-1)


class Plan(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.nothing, self.step = torch.nn.Parameter(torch.zeros(())), 0

    def forward(self, inputs):
        self.step += len(inputs) > 200
        action = ({coin} if self.step <= 4 else 1 - {coin}) * torch.ones(len(inputs), dtype=torch.long)
        return torch.nn.functional.one_hot(action, 2) + self.nothing
"""


@pytest.mark.parametrize("coin", [0, 1])
def test_four_coins_and_then_the_treasure_is_no_longer_a_plan(coin, monkeypatch):
    monkeypatch.setattr(transformed_rewards, "CONFIG", dataclasses.replace(transformed_rewards.CONFIG, steps=1_216))
    topic = load("transformed_rewards")
    (training,) = topic.trainings
    student = planted(topic, solved(topic) + PLAN.replace("{coin}", str(coin)))
    assert max(training.attempt(student, seed).score for seed in range(2)) < 0.6


def test_no_plan_reaches_the_threshold_on_the_treasure_chain():
    """Whoever knows the lengths takes as many coins as the most burnt torch allows, none or one, and leaves coins with the newest."""
    threshold = calibrated("transformed_rewards", "TreasureChain").threshold
    for rooms in transformed_rewards.ROOMS:
        for coins in transformed_rewards.COINS:
            for plan in range(coins + rooms):
                shares = [
                    (plan + 10 if plan + rooms <= coins + rooms - burnt else min(plan, coins + rooms - burnt)) / (10 + coins - burnt)
                    for burnt in range(transformed_rewards.BURNT + 1)
                ]
                assert min(shares) < 0.74 < threshold


def test_the_best_value_is_found_by_trying_every_number_of_coins():
    chain = envs.make("npfl139/TreasureChain-v0", 50, 0, rooms=4, torch_steps=9, burnt_at_start=4)
    chain.reset()
    expected = [
        treasure.SCALES[level] * max(sum(0.99**step for step in range(coins)) + 10 * 0.99 ** (coins + 3) for coins in range(6 - burnt))
        for level, burnt in zip(chain.level, chain.burnt, strict=True)
    ]
    np.testing.assert_allclose(transformed_rewards.best_value(chain), expected)
