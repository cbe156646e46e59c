"""Training checks whose environments, step budget, relabelling and evaluation belong to the grader."""

import dataclasses
from collections.abc import Callable

import gymnasium
import numpy as np

from grader.contract.disguises import relabelled
from grader.contract.served import checked_actions, serve
from grader.contract.spec import Attempt, Training
from grader.contract.student import RemoteObject, Student
from npfl139 import envs
from npfl139.config import Config
from npfl139.evaluation import evaluate
from npfl139.rollout import Policy
from npfl139.seeding import derived_seed, numpy_stream

__all__ = ["checked_policy", "learns", "smoothed"]

CURVE_POINTS = 40


def learns(
    name: str,
    environment: str,
    config: Config,
    claim: str,
    points: float,
    episodes: int = 100,
    relabel: bool = True,
    wrap: Callable[[gymnasium.vector.VectorEnv], gymnasium.vector.VectorEnv] | None = None,
    seconds: float = 120.0,
    unreached: tuple[str, ...] = (),
) -> Training:
    """Return the training check that the given `train`, with the submission's exercises, learns an environment within a budget of steps.

    Args:
        environment: id for `npfl139.envs.make`.
        config: what the submission's agent is configured with, except for the seed. Asking for more than its `steps` is a violation.
        episodes: evaluated greedily by the grader on fresh seeds; their mean return is the score.
        relabel: whether the observations and actions are relabelled, differently for each seed.
        wrap: a further wrapper, put on before relabelling.
        unreached: exercises in branches of the given code that are not for this environment.
    """

    def made(seed: int, purpose: str, rows: int) -> gymnasium.vector.VectorEnv:
        environments = envs.make(environment, rows, derived_seed(seed, purpose) % 2**31)
        environments = wrap(environments) if wrap else environments
        return relabelled(environments, numpy_stream(seed, "relabelling")) if relabel else environments

    def attempt(student: Student, seed: int) -> Attempt:
        served = serve(made(seed, "training", config.env_count), config.steps)
        overrides = dataclasses.asdict(config) | {"seed": derived_seed(seed, "student") % 2**31, "device": "cpu"}
        agent, scalars = student.train(served.description, **overrides)
        evaluated = made(seed, "evaluation", min(episodes, 100))
        returns = evaluate(checked_policy(agent, evaluated), evaluated, episodes)
        return Attempt(float(returns.mean()), served.steps, smoothed(served.episodes, config.steps), scalars)

    return Training(name, claim, points, attempt, environment, seconds, unreached)


def checked_policy(agent: RemoteObject, environments: gymnasium.vector.VectorEnv) -> Policy:
    """Return the policy of an agent on the other side; its answers are checked before an environment sees them."""
    space, count = environments.single_action_space, environments.num_envs
    return lambda observation, reward, first: checked_actions(agent.act(observation, reward, first), space, count)


def smoothed(episodes: list[tuple[int, float]], steps: int) -> tuple[tuple[int, float], ...]:
    """Return the learning curve: the mean return of the episodes that ended in each of equal spans of environment steps."""
    width = max(1, steps // CURVE_POINTS)
    spans: dict[int, list[float]] = {}
    for step, episode_return in episodes:
        spans.setdefault(-(-step // width), []).append(episode_return)
    return tuple((min(span * width, steps), float(np.mean(returns))) for span, returns in sorted(spans.items()))
