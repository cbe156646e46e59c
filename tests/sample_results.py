"""A class of made-up results, for the tests of the reports and for looking at them."""

import hashlib
import math

from msgspec.structs import replace

from grader.records import Basis, CheckResult, Previous, Provenance, Result, SeedResult, TrainingResult, Verdict

CLAIMS = {
    "lambda_advantage": (
        "A terminated episode is not bootstrapped.",
        "A truncated episode bootstraps from its true last observation.",
        "λ = 0 gives δ.",
    ),
    "lambda_return": ("The return is the advantage plus the value.",),
    "clipped_surrogate": (
        "For a positive advantage the objective stops growing once the ratio exceeds 1 + ε.",
        "Its gradient is zero where it is clipped for the better.",
    ),
    "entropy": ("The uniform distribution has the largest entropy.",),
    "minibatches": ("Every index appears exactly once in an epoch.",),
}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def basis(submission="submission", engine="engine", topic="ppo", seed="seed", training=True, sandbox="bwrap"):
    """Return a basis whose hashes are those of the given words."""
    return Basis(sha(submission), sha(engine), sha(topic), sha(seed), training, sandbox)


def check(exercise="entropy", number=0, verdict="passed", points=1.0, **fields):
    values = {"name": f"check_{exercise}_{number}", "claim": CLAIMS[exercise][number], "exercise": exercise}
    values |= {"score": points * (verdict == "passed"), "max_score": points, "mistake": None, "hint": None, "feedback": None}
    return CheckResult(verdict=Verdict(verdict), **(values | fields))


def training(verdict="passed", final=498.0, **fields):
    curve = tuple((steps, final * (1 - math.exp(-steps / 8000)) + 9 * math.sin(steps / 700)) for steps in range(1024, 30721, 1024))
    seeds = tuple(SeedResult(11 + index, final - 2.5 * index, 30720, 2.31, verdict == "passed") for index in range(2))
    traces = {
        "entropy": tuple((steps, 0.69 * math.exp(-steps / 20000)) for steps in range(1024, 30721, 1024)),
        "value_loss": tuple((steps, 40 / (1 + steps / 3000)) for steps in range(1024, 30721, 1024)),
    }
    values = {"name": "CartPole", "environment": "CartPole-v1", "claim": "PPO balances the pole.", "threshold": 450.0}
    values |= {"score": 3.0 * (verdict == "passed"), "max_score": 3.0, "mistake": None, "hint": None, "feedback": None}
    values |= {"false_fail": 0.0031, "false_fail_bound": 0.021, "seeds": seeds, "curve": curve, "traces": traces}
    return TrainingResult(verdict=Verdict(verdict), **(values | fields))


def untrained(verdict, feedback):
    return training(verdict, seeds=(), curve=(), traces={}, feedback=feedback)


def result_of(student, checks=(), trainings=(), topic="ppo", seconds=9.8, previous=None, problem=None, note=None, **rests_on):
    """Return the result that has these parts; what it rests on is told as to `basis`."""
    versions = {"python": "3.11.7", "torch": "2.13.0+cpu"}
    provenance = Provenance(basis(**({"topic": topic} | rests_on)), versions, 1, "AVX512", seconds)
    result = Result.of(student, topic, checks, trainings, provenance, problem=problem, note=note)
    return replace(result, previous=previous)


def graded(student, changes=None, trained=None, **fields):
    """Return a result in which every check passed but those in `changes`, {(exercise, number): {"verdict": ...}}."""
    changes = changes or {}
    checks = [
        check(exercise, number, **changes.get((exercise, number), {}))
        for exercise, claims in CLAIMS.items()
        for number in range(len(claims))
    ]
    return result_of(student, checks, [trained or training()], **fields)


def everything(verdict, feedback, trained=None, problem=None):
    return {
        "changes": {
            (exercise, number): {"verdict": verdict, "feedback": feedback.format(exercise)}
            for exercise, claims in CLAIMS.items()
            for number in range(len(claims))
        },
        "trained": trained or untrained("blocked", "it is blocked by entropy, which is not implemented yet"),
        "problem": problem,
    }


def sample_class():
    """Return a class in which everything that can happen happens once."""
    bootstraps = {
        "verdict": "wrong",
        "feedback": "the advantage had the right shape, but not the right values",
        "mistake": "bootstraps through a terminal state",
        "hint": "When an episode terminated there is no next state: what is its value?",
    }
    maximum = {
        "verdict": "wrong",
        "feedback": "the objective had the right shape, but not the right values",
        "mistake": "takes the maximum of the two terms",
        "hint": "The bound is pessimistic: which of the two terms is the lower one?",
    }
    stopped = "the file cannot be loaded: SyntaxError in line 31: '(' was never closed"
    return [
        graded("ada"),
        graded(
            "blaise",
            {("lambda_advantage", 0): bootstraps},
            training("wrong", 121.0, feedback="it reached 121, 118.5; 450 is needed"),
            previous=Previous(4.0, 11.0, sha("earlier"), sha("engine"), sha("ppo")),
        ),
        graded(
            "carl",
            {("clipped_surrogate", 0): maximum, ("clipped_surrogate", 1): maximum},
            training("wrong", 31.0, feedback="it reached 31, 28.5; 450 is needed"),
        ),
        graded(
            "dora",
            {
                ("lambda_advantage", 0): bootstraps,
                ("entropy", 0): {"verdict": "crashed", "feedback": "RuntimeError in line 92: The size of tensor a (8) must match"},
            },
        ),
        graded("emmy", **everything("missing", "{} is not implemented yet")),
        graded("felix", **everything("crashed", stopped, untrained("crashed", stopped), stopped)),
        graded(
            "gauss",
            {("minibatches", 0): {"verdict": "timeout", "feedback": "it did not return within 10 s"}},
            untrained("timeout", "it used more than 120 s"),
        ),
        graded("hedy", {("entropy", 0): {"verdict": "violation", "feedback": "it tried to open a network connection"}}),
        graded(
            "ivan",
            {
                ("lambda_return", 0): {"verdict": "blocked", "feedback": "it is blocked by lambda_advantage, which is not implemented yet"},
                **{
                    ("lambda_advantage", number): {"verdict": "missing", "feedback": "lambda_advantage is not implemented yet"}
                    for number in range(3)
                },
            },
            untrained("blocked", "it is blocked by lambda_advantage, which is not implemented yet"),
        ),
        graded("jane", {("entropy", 0): {"verdict": "grader_fault", "feedback": "the check check_entropy_0 failed by itself: KeyError"}}),
    ]


def band(topic, name):
    return [[steps, *(value * (1 - math.exp(-steps / 6000)) for value in (430, 490, 500))] for steps in range(1024, 30721, 1024)]
