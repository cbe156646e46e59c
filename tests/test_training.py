"""Training checks: what is learnt counts, and nothing else does."""

import dataclasses

import gymnasium
import numpy as np
import pytest

from grader.contract.disguises import Relabelled
from grader.contract.registry import load
from grader.contract.student import StudentError
from grader.contract.training import learns, smoothed
from grader.grading.diagnosis import trusted
from npfl139 import envs
from npfl139.rollout import Collector
from solutions.ppo import CONFIGS

TOPIC = load("ppo")
SOLUTION = TOPIC.solution.read_text().split("if __name__ ==")[0]
SHORT = dataclasses.replace(CONFIGS["CartPole-v1"], steps=2_048)


def attempted(source, **changes):
    training = learns("short", "CartPole-v1", dataclasses.replace(SHORT, **changes), "It learns.", 1.0, episodes=10)
    return training.attempt(trusted(TOPIC, source, "ppo.py"), seed=3)


def test_an_attempt_is_measured_by_the_grader():
    attempt = attempted(SOLUTION)
    assert attempt.steps == SHORT.steps
    assert 8 <= attempt.score <= 500
    steps = [step for step, _ in attempt.curve]
    assert steps == sorted(steps) and steps[-1] <= SHORT.steps
    assert set(attempt.traces) >= {"entropy", "kl"}


def test_an_attempt_can_be_repeated():
    assert attempted(SOLUTION) == attempted(SOLUTION)


@pytest.mark.parametrize(
    ("cheat", "verdict"),
    [
        (
            "def train(environments, config, monitor):\n    return _train(environments, replace(config, steps=10 * config.steps), monitor)",
            "violation",
        ),
        ("def train(environments, config, monitor):\n    environments.reset()\n    return _train(environments, config, monitor)", "wrong"),
        ("def train(environments, config, monitor):\n    environments.step(np.zeros(16, int))", "wrong"),
        ("def train(environments, config, monitor):\n    environments.reset()\n    environments.step(np.full(16, 7))", "wrong"),
        ("def train(environments, config, monitor):\n    return None", "crashed|wrong"),
        (
            "class Bad:\n    def act(self, *arrays):\n        return np.zeros(3)\n\n"
            "def train(environments, config, monitor):\n    return Bad()",
            "wrong",
        ),
    ],
)
def test_what_training_must_not_do(cheat, verdict):
    preparation, annotated = "from dataclasses import replace\n_train = train", "train.__annotations__ = _train.__annotations__"
    source = f"{SOLUTION}\n{preparation}\n{cheat}\n{annotated}\n"
    with pytest.raises(StudentError) as caught:
        attempted(source)
    assert caught.value.verdict in verdict.split("|")


HAND_WRITTEN = """
class Controller:
    def act(self, observation, reward, first):
        return (observation[:, 2] + 0.5 * observation[:, 3] > 0).astype(np.int64)

def train(environments, config, monitor):
    return Controller()

train.__annotations__ = {"config": PPOConfig}
"""


def test_a_hand_written_controller_fails_once_the_task_is_relabelled():
    plain = learns("plain", "CartPole-v1", SHORT, "It learns.", 1.0, episodes=20, relabel=False)
    disguised = learns("disguised", "CartPole-v1", SHORT, "It learns.", 1.0, episodes=20)
    student = trusted(TOPIC, SOLUTION + HAND_WRITTEN, "ppo.py")
    assert plain.attempt(student, seed=1).score > 450
    scores = [disguised.attempt(student, seed).score for seed in range(8)]
    assert np.median(scores) < 200


@pytest.mark.parametrize("environment_id", ["CartPole-v1", "Pendulum-v1"])
def test_relabelling_can_be_undone_and_changes_nothing_else(environment_id):
    plain = envs.make(environment_id, 3, seed=5)
    disguised = Relabelled(envs.make(environment_id, 3, seed=5), np.random.default_rng(1))
    collectors = Collector(plain), Collector(disguised)

    def undone(observation):
        return (observation / disguised.scale - disguised.offset) @ disguised.rotation

    for _ in range(300):
        actions = plain.action_space.sample()
        if isinstance(plain.single_action_space, gymnasium.spaces.Discrete):
            relabelled = np.argsort(disguised.permutation)[actions]
        else:
            relabelled = disguised.mirror * actions  # Pendulum's torques are symmetric around 0
        first, second = collectors[0].step(actions), collectors[1].step(relabelled)
        np.testing.assert_allclose(first.next_observation, undone(second.next_observation), atol=2e-4)
        np.testing.assert_allclose(first.reward, second.reward, rtol=1e-5)
        assert (first.terminated == second.terminated).all() and (first.truncated == second.truncated).all()


def test_only_vectors_can_be_relabelled():
    class Images(gymnasium.vector.VectorEnv):
        single_observation_space = gymnasium.spaces.Box(0, 255, (8, 8), np.uint8)
        single_action_space = gymnasium.spaces.Discrete(2)

    with pytest.raises(ValueError, match="only vectors"):
        Relabelled(Images(), np.random.default_rng(0))


def test_the_curve_is_the_mean_return_in_equal_spans():
    assert smoothed([(10, 1.0), (20, 3.0), (400, 5.0)], 400) == ((10, 1.0), (20, 3.0), (400, 5.0))
    assert smoothed([(1, 1.0), (9, 3.0), (11, 7.0)], 400) == ((10, 2.0), (20, 7.0))
    assert smoothed([], 100) == ()
