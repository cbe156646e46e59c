"""The slides' two comparisons of algorithms, measured again on one core: Table 1 of Duan et al. (2016), and that of PPO's and SAC's papers.

python benchmarks/slides_tables.py run [--algorithms CEM,TRPO] [--seeds 1,2,3,4,5]   lines into benchmarks/measured_slides.jsonl
python benchmarks/slides_tables.py tables                                            what the lines say, as Markdown

Every run makes the same number of environment steps and ends with the greedy policy's mean return of 20 episodes on seeds of their own.
Nothing was tuned for this: ours have their presets, the peers their defaults except for what `peer` says, the rest what its function says.
RWR, REPS and CEM are written here, as no library that we use has them.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
import torch

from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.runs import MemoryMonitor
from npfl139.seeding import numpy_stream
from solutions import trpo

try:
    import cma
    import sb3_contrib
    import stable_baselines3
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.noise import NormalActionNoise
except ImportError:
    sys.exit("this benchmark needs sb3-contrib and cma: pip install -c constraints.txt sb3-contrib cma")

LINES = Path(__file__).with_name("measured_slides.jsonl")
STEPS, EPISODES = 20_000, 20
TASKS = {"InvertedPendulum-v5": 500, "Swimmer-v5": 200}  # the longest episode; Duan et al. stop at 500 steps, too
DUAN = ("REINFORCE", "TNPG", "RWR", "REPS", "TRPO", "CEM", "CMA-ES", "DDPG")  # the columns of the paper
ON_POLICY_PEERS = ("A2C", "PPO", "TRPO (sb3)")
EACH_STEP = " (an update a step)"
PEERS = ("A2C", "CEM", "TRPO (sb3)", "PPO", "SAC", "TD3", f"SAC{EACH_STEP}", f"TD3{EACH_STEP}")
POPULATION = 16


@dataclasses.dataclass
class Result:
    """What a run comes to."""

    returns: Sequence[float]  # of the episodes in training
    act: Callable  # the greedy policy: (observation [B, O], reward [B], first [B]) -> action [B, D]


class Weighted(trpo.Agent):
    """Fits the policy to its own actions, each with a weight: maximizes Σ w log π(a|s) by L-BFGS."""

    def fit(self, batch: trpo.Batch, weight: torch.Tensor) -> None:
        optimizer = torch.optim.LBFGS(self.policy.parameters(), max_iter=20, line_search_fn="strong_wolfe")
        weight = weight / weight.sum()

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = -(weight * self.policy.log_prob(self.policy(batch.observation), batch.action)).sum()
            value.backward()
            return value

        optimizer.step(loss)


class RWR(Weighted):
    """Reward-weighted regression (Peters and Schaal, 2007), with advantages above their least one as rewards, as in rllab."""

    def improve(self, batch: trpo.Batch) -> None:
        self.fit(batch, batch.advantage - batch.advantage.min())


class REPS(Weighted):
    """Relative entropy policy search (Peters, Mülling and Altün, 2010), with a linear value function of observations and their squares."""

    bound = 0.5  # of the relative entropy of two successive distributions over states and actions

    def prepared(self, rollout):
        batch = super().prepared(rollout)
        features = [self.features(observation.flatten(0, 1)) for observation in (rollout.observation, rollout.next_observation)]
        self.change = rollout.discount(self.config.discount).flatten().double()[:, None] * features[1] - features[0]
        self.reward = rollout.reward.flatten().double()
        return batch

    def features(self, observation: torch.Tensor) -> torch.Tensor:
        normalized = self._normalized(observation).clamp(-10, 10).double()
        return torch.cat([normalized, normalized**2, torch.ones(len(normalized), 1)], dim=1)

    def improve(self, batch: trpo.Batch) -> None:
        reward, change = (self.reward / self.reward.std().clamp(min=1e-6)).numpy(), self.change.numpy()

        def dual(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            temperature, value = np.exp(parameters[0]), parameters[1:]
            delta = reward + change @ value
            scaled = delta / temperature
            probability, normalizer = scipy.special.softmax(scaled), scipy.special.logsumexp(scaled) - np.log(len(scaled))
            slope = temperature * (self.bound + normalizer - probability @ scaled)  # by the logarithm of the temperature
            penalty = 1e-3 * value
            return temperature * (self.bound + normalizer) + 0.5e-3 * value @ value, np.append(slope, probability @ change + penalty)

        start = np.zeros(1 + change.shape[1])
        best = scipy.optimize.minimize(dual, start, jac=True, method="L-BFGS-B", bounds=[(-5, 5), *[(None, None)] * change.shape[1]]).x
        self.fit(batch, torch.as_tensor(scipy.special.softmax((reward + change @ best[1:]) / np.exp(best[0])), dtype=torch.float32))


trpo.ALGORITHMS.update(rwr=RWR, reps=REPS)


def gradients(name: str, environment_id: str, seed: int, steps: int) -> Result:
    """Train one of those that share the training loop of solutions/trpo.py."""
    config = dataclasses.replace(trpo.CONFIGS[environment_id], algorithm=name.lower(), seed=seed, steps=steps, device="cpu")
    environments = envs.Tracked(envs.make(environment_id, config.env_count, seed, max_episode_steps=TASKS[environment_id]))
    agent = trpo.train(environments, config, MemoryMonitor())
    return Result([episode.episode_return for episode in environments.episodes], agent.act)


class Population:
    """Small networks, one hidden layer of eight tanh units each, whose weights lie in the rows of a matrix."""

    def __init__(self, environment_id: str, seed: int, hidden: int = 8):
        self.environments = envs.make(environment_id, POPULATION, seed, max_episode_steps=TASKS[environment_id])
        self.space, self.hidden = self.environments.single_action_space, hidden
        self.inputs, self.outputs = self.environments.single_observation_space.shape[0], self.space.shape[0]
        self.size = (self.inputs + 1) * hidden + (hidden + 1) * self.outputs
        self.steps, self.returns = 0, []

    def act(self, weights: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """Return the action [B, D] of row b's network for row b's observation."""
        first, second = np.split(weights, [(self.inputs + 1) * self.hidden], axis=1)
        one = np.ones((len(observation), 1))
        hidden = np.concatenate([observation, one], 1)[:, None] @ first.reshape(-1, self.inputs + 1, self.hidden)
        output = np.concatenate([np.tanh(hidden[:, 0]), one], 1)[:, None] @ second.reshape(-1, self.hidden + 1, self.outputs)
        return self.space.low + (self.space.high - self.space.low) * (np.tanh(output[:, 0]) + 1) / 2

    def play(self, weights: np.ndarray) -> np.ndarray:
        """Return the returns of one episode each; only their own steps count."""
        observation, running, returns = self.environments.reset()[0], np.ones(POPULATION, bool), np.zeros(POPULATION)
        while running.any():
            observation, reward, terminated, truncated, _ = self.environments.step(self.act(weights, observation))
            returns += reward * running
            self.steps += int(running.sum())
            running &= ~(terminated | truncated)
        self.returns += returns.tolist()
        return returns

    def result(self, mean: np.ndarray) -> Result:
        return Result(self.returns, lambda observation, reward, first: self.act(np.tile(mean, (len(observation), 1)), observation))


def cem(name: str, environment_id: str, seed: int, steps: int) -> Result:
    """Run the cross-entropy method: a diagonal Gaussian is fitted to the best quarter of a population, with noise that falls to 0."""
    population, rng = Population(environment_id, seed), numpy_stream(seed, "cem")
    mean, deviation = np.zeros(population.size), np.ones(population.size)
    while population.steps < steps:
        weights = mean + deviation * rng.normal(size=(POPULATION, population.size))
        elite = weights[np.argsort(population.play(weights))[-POPULATION // 4 :]]
        mean, deviation = elite.mean(0), np.sqrt(elite.var(0) + 0.25 * max(0, 1 - population.steps / (steps / 2)))
    return population.result(mean)


def cma_es(name: str, environment_id: str, seed: int, steps: int) -> Result:
    """Run CMA-ES of pycma with its own settings, from a deviation of 1."""
    population = Population(environment_id, seed)
    search = cma.CMAEvolutionStrategy(np.zeros(population.size), 1.0, {"popsize": POPULATION, "seed": seed, "verbose": -9})
    while population.steps < steps:
        weights = np.array(search.ask())
        search.tell(list(weights), (-population.play(weights)).tolist())
    return population.result(search.mean)


def peer(name: str, environment_id: str, seed: int, steps: int) -> Result:
    """Train an agent of Stable-Baselines3 or sb3-contrib, networks of 64 x 64, four environments on policy and one off policy.

    Off policy there is an update of 128 steps for every four steps, since time is short; the default is one of 256 for each, so there are
    rows with as many updates, too.
    """
    algorithm = sb3_contrib.TRPO if name == "TRPO (sb3)" else getattr(stable_baselines3, name.removesuffix(EACH_STEP))
    on_policy = name in ON_POLICY_PEERS
    settings: dict = {"policy_kwargs": {"net_arch": [64, 64]}}
    if name in ("PPO", "TRPO (sb3)"):
        settings["n_steps"] = 512  # 2048 in all, as by default with one environment
    if not on_policy:
        updates = 4 if name.endswith(EACH_STEP) else 1
        settings |= {"train_freq": 4, "gradient_steps": updates, "batch_size": 128, "learning_starts": 1000}
    environments = make_vec_env(
        environment_id, 4 if on_policy else 1, seed=seed, env_kwargs={"max_episode_steps": TASKS[environment_id]}, monitor_dir=None
    )
    if name.startswith(("DDPG", "TD3")):
        size = environments.action_space.shape[0]
        settings["action_noise"] = NormalActionNoise(np.zeros(size), 0.1 * np.ones(size))
    model = algorithm("MlpPolicy", environments, seed=seed, device="cpu", **settings)
    model.learn(steps)
    returns = [value for rows in environments.env_method("get_episode_rewards") for value in rows]
    return Result(returns, lambda observation, reward, first: model.predict(observation, deterministic=True)[0])


def at_random(name: str, environment_id: str, seed: int, steps: int) -> Result:
    """Learn nothing."""
    space = gymnasium.make(environment_id).action_space
    space.seed(seed)
    return Result([], lambda observation, reward, first: np.stack([space.sample() for _ in observation]))


ALGORITHMS: dict[str, Callable[[str, str, int, int], Result]] = {
    "random": at_random,
    **dict.fromkeys(("REINFORCE", "TNPG", "TRPO", "RWR", "REPS"), gradients),
    "CEM": cem,
    "CMA-ES": cma_es,
    **dict.fromkeys((*(name for name in PEERS if name != "CEM"), "DDPG"), peer),
}


def run(algorithms: Sequence[str], seeds: Sequence[int]) -> None:
    """Make the runs that are not known yet, seed by seed, and store each as soon as it ends."""
    known = {(line["algorithm"], line["task"], line["seed"]) for line in lines()}
    for seed in seeds:
        for task in TASKS:
            for name in algorithms:
                if (name, task, seed) in known:
                    continue
                start = time.process_time()
                result = ALGORITHMS[name](name, task, seed, STEPS)
                seconds = time.process_time() - start
                judged = envs.make(task, EPISODES, 1_000_000 + seed, max_episode_steps=TASKS[task])
                end = float(evaluate(result.act, judged, EPISODES).mean())
                line = {"algorithm": name, "task": task, "seed": seed, "steps": STEPS, "seconds": round(seconds, 1)}
                line |= {"training_return": round(float(np.mean(result.returns or [end])), 3), "end": round(end, 3)}
                with LINES.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)


def lines() -> list[dict]:
    return [json.loads(line) for line in LINES.read_text(encoding="utf-8").splitlines()] if LINES.exists() else []


def interquartile_mean(scores: Sequence[np.ndarray]) -> float:
    """Return the mean of the middle half of the scores of all tasks together."""
    return float(scipy.stats.trim_mean(np.concatenate(scores), 0.25))


def interval(scores: Sequence[np.ndarray], resamples: int = 2000) -> tuple[float, float]:
    """Return the 95 % interval of the interquartile mean: seeds are drawn anew within each task.

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, arXiv:2108.13264, Section 4.
    """
    rng = np.random.default_rng(1)
    draws = [interquartile_mean([rng.choice(row, len(row)) for row in scores]) for _ in range(resamples)]
    return tuple(np.percentile(draws, (2.5, 97.5)))


def summary(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean, the least and the largest value, rounded, without -0."""
    return tuple(round(value) + 0.0 for value in (values.mean(), values.min(), values.max()))


def table(algorithms: Sequence[str]) -> str:
    """Return the ends by task, and the interquartile means of the scores of all tasks: 0 is random, 1 the best end of any run.

    Left out are algorithms that lack a task.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for line in lines():
        for field in ("end", "training_return"):
            found.setdefault((line["algorithm"], line["task"], field), []).append(line[field])
    worst = {task: np.mean(found["random", task, "end"]) for task in TASKS}
    best = {task: max(value for key, values in found.items() if key[1:] == (task, "end") for value in values) for task in TASKS}
    rows = [["algorithm", "seeds", *TASKS, "score in the end", "score in training"]]
    rows.append(["---"] * len(rows[0]))
    for name in ("random", *algorithms):
        if not all((name, task, "end") in found for task in TASKS):
            continue
        ends = [np.array(found[name, task, "end"]) for task in TASKS]
        aggregated = []
        for field in ("end", "training_return"):
            scores = [(np.array(found[name, task, field]) - worst[task]) / (best[task] - worst[task]) for task in TASKS]
            low, high = interval(scores)
            aggregated.append(f"{interquartile_mean(scores):.2f} ({low:.2f} to {high:.2f})")
        seeds = str(min(map(len, ends)))
        rows.append([name, seeds, *(f"{mean:.0f} ({low:.0f} to {high:.0f})" for mean, low, high in map(summary, ends)), *aggregated])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "tables"))
    parser.add_argument("--algorithms", type=partial(str.split, sep=","), default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    if unknown := set(options.algorithms) - set(ALGORITHMS):
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(ALGORITHMS)}")
    torch.set_num_threads(1)
    if options.what == "run":
        run(options.algorithms, options.seeds)
    else:
        print(table(DUAN), table(PEERS), sep="\n\n")


if __name__ == "__main__":
    main()
