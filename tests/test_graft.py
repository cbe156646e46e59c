"""What is trained is the given code with the student's exercises in it, whatever else the student wrote."""

import dataclasses
from pathlib import Path

import pytest

from grader import topics
from grader.contract.registry import available, load
from grader.contract.spec import Check, Topic, Training
from grader.contract.student import InProcess, StudentError
from grader.contract.training import learns
from grader.grading.diagnosis import trusted
from grader.grading.graft import graft, needs
from grader.topics.newton_fisher import checks as newton_fisher
from grader.topics.retrace import checks as retrace
from solutions import ppo, r2d2, transformed_rewards, trpo

SOLUTION = '''
import math
from dataclasses import dataclass

SCALE = 10


def scaled(x):
    return SCALE * x


def double(x):
    """Return 2x."""
    return 2 * x


def triple(x):
    """Return 3x."""
    return double(x) + x


class Total:
    """A sum."""

    def __init__(self):
        self.total = 0

    def add(self, x):
        """Add x and return the sum."""
        self.total += x
        return self.total

    def half(self):
        return self.total / 2


@dataclass
class Pair:
    first: int = 1


class Agent:
    def act(self, x):
        return scaled(triple(x))


def train(x):
    total = Total()
    total.add(double(x))
    return [Agent().act(x), total.add(len([1, 2])), total.half()]


def other(x):
    return x
'''


@pytest.fixture
def topic(tmp_path, monkeypatch):
    (tmp_path / "work.py").write_text(SOLUTION)
    monkeypatch.setattr("grader.contract.sources.solution", lambda name: tmp_path / f"{name}.py")
    exercises = ("double", "triple", "Total.add")
    return Topic("work", "Work", exercises, tuple(Check(exercise, 1.0, lambda student, rng: None) for exercise in exercises))


RIGHT = """
def double(x):
    return x + x

def triple(x):
    return x + x + x

class Total:
    def add(self, x):
        self.total = self.total + x
        return self.total
"""


def planted(topic, source, filename="work.py"):
    """Return the graft, in this process."""
    grafted = graft(topic, source)
    student = InProcess(grafted.given, topic.name, "given.py", topic.prerequisite_sources)
    grafted.plant(student, filename)
    return student


# ruff: noqa: E501  one style is one line
STYLES = {
    "as asked": RIGHT,
    "the last definition counts": "def double(x):\n    return 0\n" + RIGHT,
    "a helper, and its helper": RIGHT + "def twice(x):\n    return TWO * x\nTWO = int('2')\ndef double(x):\n    return twice(x)\n",
    "a name bound to a helper": RIGHT + "def my_double(x):\n    return 2 * x\ndouble = my_double\n",
    "a lambda": RIGHT + "times = lambda n: lambda x: n * x\ndouble = times(2)\ntriple: object = times(3)\n",
    "a decorator": RIGHT + "import functools\ndef kept(f):\n    return functools.wraps(f)(lambda x: f(x) // 2)\n@kept\ndef double(x):\n    return 4 * x\n",
    "a decorator of its own value": RIGHT + "def double(x):\n    return 4 * x\n_double = double\ndef double(x):\n    return _double(x) // 2\n",
    "a name rebound to what wraps it": RIGHT + "def halved(f):\n    return lambda x: f(x) // 2\ndef double(x):\n    return 4 * x\ndouble = halved(double)\n",
    "imports with other names": RIGHT + "from operator import mul as times\nimport operator as o, json\ndef double(x):\n    return times(o.add(1, 1), x)\n",
    "a star import": "from math import *\nfrom operator import *\n" + RIGHT + "def double(x):\n    return mul(2, x) + int(floor(0.5))\n",
    "an import within": RIGHT + "def double(x):\n    import operator\n    return operator.mul(2, x)\n",
    "a condition": RIGHT + "import sys\nif sys.version_info > (3,):\n    def double(x):\n        return 2 * x\nelse:\n    double = None\n",
    "an attempt": RIGHT + "try:\n    import nobody_has_this\n    TWO = 3\nexcept ImportError:\n    TWO = 2\nfinally:\n    print()\ndef double(x):\n    return TWO * x\n",
    "a table filled in a loop": RIGHT + "table = {}\nfor n in range(100):\n    if n == 90:\n        break\n    table[n] = 2 * n\ndef double(x):\n    return table[x]\n",
    "a list appended to": RIGHT + "numbers = []\nnumbers.append(2)\nnumbers.extend([3])\ndef double(x):\n    return numbers[0] * x\n",
    "global state": RIGHT + "TWO = 0\ndef prepare():\n    global TWO\n    TWO = 2\nprepare()\ndef double(x):\n    return TWO * x\n",
    "a counter": RIGHT + "calls = 0\ndef double(x):\n    global calls\n    calls += 1\n    return 2 * x\n",
    "a helper class": RIGHT + "class Base:\n    two = 2\nclass Times(Base):\n    def __call__(self, x):\n        return self.two * x\ndef double(x):\n    return Times()(x)\n",
    "a data class": RIGHT + "from dataclasses import dataclass\n@dataclass\nclass Two:\n    value: 'int' = 2\ndef double(x):\n    return Two().value * x\n",
    "a given data class": RIGHT + "def double(x):\n    return (Pair().first + 1) * x\n",
    "a default": RIGHT + "TWO = 2\ndef double(x, two=TWO, seen=[]):\n    seen.append(x)\n    return two * x\n",
    "calls of other exercises and of given code": RIGHT + "def triple(x):\n    return double(x) + scaled(x) // SCALE\n",
    "a method assigned": RIGHT + "def add(self, x):\n    self.total += x\n    return self.total\nTotal.add = add\n",
    "a method assigned to the given class": RIGHT.split("class")[0] + "def add(self, x):\n    self.total += x\n    return self.total\nTotal.add = add\n",
    "a method set": RIGHT.split("class")[0] + "def add(self, x):\n    self.total += x\n    return self.total\nsetattr(Total, 'add', add)\n",
    "methods of its own": RIGHT.split("class")[0] + "class Total:\n    step = 1\n    def add(self, x):\n        self._more(x)\n        return self.total\n"
    "    def _more(self, x):\n        self.total += self.step * self.same(x)\n    @staticmethod\n    def same(x):\n        return x\n    unused = 1\n",
    "super": RIGHT.split("class")[0] + "class Total:\n    def add(self, x):\n        super().__setattr__('total', self.total + x)\n        return self.total\n",
    "a subclass": RIGHT.split("class")[0] + "class Total(Total):\n    def add(self, x):\n        self.total += x\n        return self.total\n",
    "a subclass of another name": RIGHT.split("class")[0] + "class MyTotal(Total):\n    def add(self, x):\n        self.total += x\n        return self.total\nTotal = MyTotal\n",
    "private names": RIGHT.split("class")[0] + "class Total:\n    def add(self, x):\n        self.__more(x)\n        return self.total\n    def __more(self, x):\n        self.total += x\n",
    "annotations as strings": '"""Work."""\nfrom __future__ import annotations\n' + RIGHT + "def double(x: NotDefined) -> Neither:\n    return 2 * x\n",
    "several statements in a line": RIGHT + "a = 2; print('no'); b = (\n  3,\n); print('é'); c = 1; train = None\ndef double(x): y = a; return c * y * x\ndef triple(x): return b[0] * x\n",
    "lines of windows": RIGHT.replace("\n", "\r\n"),
    "a match": RIGHT + "match 2:\n    case 1:\n        two = 1\n    case n:\n        two = n\ndef double(x):\n    return two * x\n",
    "with": RIGHT + "import contextlib\nwith contextlib.nullcontext(2) as two:\n    print('no')\ndef double(x):\n    return two * x\n",
    "a walrus": RIGHT + "(two := 2)\ndef double(x):\n    return two * x\n",
    "a comprehension": RIGHT + "table = [2 * n for n in range(100)]\ndef double(x):\n    return table[x]\n",
    "a helper deleted": RIGHT + "def make():\n    return lambda x: 2 * x\ndouble = make()\ndel make\n",
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_right_exercises_work_in_every_style(topic, style, capsys):
    student = planted(topic, STYLES[style])
    assert student.call("train", 7) == [210, 16, 8]
    assert capsys.readouterr().out.strip() == ""


# What is appended to right exercises, and what is told to be left out.
CHANGES = {
    "train": ("def train(x):\n    return [0, 0, 0]\n", ["train"]),
    "the agent": ("class Agent:\n    def act(self, x):\n        return 0\n", ["Agent"]),
    "a method of the agent": ("Agent.act = lambda self, x: 0\n", ["Agent"]),
    "a method of an exercise's class": ("Total.half = lambda self: 0\n", []),
    "a given helper": ("def scaled(x):\n    return 0\n", ["scaled"]),
    "a constant": ("SCALE = 0\n", ["SCALE"]),
    "a given helper in a condition": ("if True:\n    def scaled(x):\n        return 0\n", ["scaled"]),
    "a builtin, used by an exercise": ("def len(x):\n    return 0\ndef double(x):\n    return 2 * x + len([1])\n", []),
    "a given helper, used by an exercise": ("def scaled(x):\n    return 0\ndef triple(x):\n    return 3 * x + 0 * scaled(x)\n", ["scaled"]),
    "code that runs": ("print(1 / 0)\ntrain(3)\nassert False\nraise SystemExit\n", []),
    "what runs in blocks": (
        "for i in range(3):\n    print(train(i))\nwhile False:\n    break\nwith open('/nothing') as f:\n    f.read()\n",
        [],
    ),
    "main": ("if __name__ == '__main__':\n    train(3)\n", []),
    "a star import": ("from math import *\n", []),
    "a local name like that of a result": ("result = 1 / 0\ndef double(x):\n    result = 2 * x\n    return result\n", []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_else_of_a_submission_is_trained(topic, change):
    text, left_out = CHANGES[change]
    grafted = graft(topic, RIGHT + text)
    assert list(grafted.left_out) == left_out
    assert (grafted.note is None) == (not left_out) and all(f"`{name}`" in grafted.note for name in left_out)
    assert planted(topic, RIGHT + text).call("train", 7) == [210, 16, 8]


def test_the_given_class_keeps_its_other_methods(topic):
    own = "class Total:\n    def __init__(self):\n        self.total = 100\n    def add(self, x):\n        self.total += x\n        return self.total\n"
    source = RIGHT.split("class")[0] + own
    assert planted(topic, source).call("train", 7) == [210, 16, 8]
    assert graft(topic, source).left_out == ("Total.__init__",)


def test_the_solution_leaves_nothing_out_and_a_long_list_is_cut(topic):
    assert graft(topic, SOLUTION).left_out == ()
    assert graft(topic, SOLUTION.replace('    """A sum."""\n', "").replace("total / 2", "total  /  2  # half")).note is None
    everything = "SCALE = scaled = Agent = train = other = Pair = None\n"
    assert graft(topic, everything).note.startswith(
        "your own version of `SCALE`, `scaled`, `Pair`, `Agent`, `train` and 1 more was left out"
    )


def test_an_exercise_that_is_not_there_is_a_stub(topic):
    student = planted(topic, RIGHT.replace("def triple", "def treble"))
    with pytest.raises(StudentError, match=r"triple is not implemented yet") as caught:
        student.call("train", 7)
    assert (caught.value.verdict, caught.value.exercise) == ("missing", "triple")


def test_errors_are_told_with_the_students_own_lines(topic):
    source = (
        "SCALE = (\n  1)\nprint('é'); import math; print('no')\n@print\ndef unused():\n    return 1\n\n"
        + RIGHT
        + "def helper(x):\n    return 1 / 0\n\ndef double(x):\n    return helper(x)\n"
    )
    line = source.split("\n").index("    return 1 / 0") + 1
    with pytest.raises(StudentError, match=f"ZeroDivisionError in line {line}"):
        planted(topic, source).call("train", 7)
    assert source.count("\n") == graft(topic, source).source.count("\n")


def test_an_error_in_given_code_has_no_line_of_the_students(topic):
    with pytest.raises(StudentError, match=r"^crashed: TypeError: "):
        planted(topic, RIGHT + "def triple(x):\n    return None\n").call("train", 7)


def test_a_constant_that_cannot_be_made_says_where(topic):
    with pytest.raises(StudentError, match="ZeroDivisionError in line 12"):
        planted(topic, RIGHT + "\nTWO = 1 / 0\ndef double(x):\n    return TWO * x\n".lstrip("\n"))


def test_display_is_there_in_a_notebook(topic):
    assert planted(topic, RIGHT + "def double(x):\n    display(x)\n    return 2 * x\n", "work.ipynb").call("train", 7) == [210, 16, 8]


@pytest.mark.parametrize("source", ["return 1", "x = 1\nnonlocal x", "class C:\n    return 2", "await x"])
def test_what_the_compiler_refuses_is_said(topic, source):
    with pytest.raises(StudentError, match="cannot be prepared for training: SyntaxError"):
        graft(topic, source)


def test_a_source_is_not_run_to_be_read(topic):
    graft(topic, "raise SystemExit\nimport os\nos._exit(1)\n" + RIGHT)


TOPICS = [load(name) for name in available()]


def test_needs_follow_the_calls_of_the_given_code(topic):
    def attempt(student, seed):
        return helper(student)

    def training(attempt):
        return Training("t", "claim", 1.0, attempt, "nothing")

    assert needs(topic, training(attempt)) == ("double",)
    assert needs(topic, training(lambda student, seed: student.train(1))) == ("double", "triple", "Total.add")
    assert needs(topic, training(lambda student, seed: student.create("Total"))) == ("Total.add",)
    assert needs(topic, training(lambda student, seed: student.other(1))) == ()
    assert needs(topic, dataclasses.replace(training(attempt), unreached=("double",))) == ()


def helper(student):
    return student.call("double", 1)


COLLECT, ROOMS, CHAIN = "npfl139/CollectContinuous-v0", "npfl139/TwoRooms-v0", "npfl139/TreasureChain-v0"
SHORT = {
    "trpo": ("CartPole-v1", dataclasses.replace(trpo.TRPOConfig(), steps=1_024, rollout_length=32, horizon=16, value_epochs=1)),
    "ppo": (COLLECT, dataclasses.replace(ppo.CONFIGS[COLLECT], steps=2_048, epochs=1)),
    "transformed_rewards": (CHAIN, transformed_rewards.DQNConfig(steps=1_120)),
    "r2d2": (ROOMS, dataclasses.replace(r2d2.CONFIGS[ROOMS], steps=1_600, learning_starts=1_280)),
}
# Plain loops are right, and slow.
VARIANTS = [
    pytest.param(topic, path, id=f"{topic.name}-{path.stem}")
    for topic in TOPICS
    for path in sorted((Path(topics.__file__).parent / topic.name / "variants").glob("*.py"))
    if path.stem != "loops" and (topic.name, path.stem) != ("newton_fisher", "distributions")
]


TOLERANT = ("trpo", "ppo", "transformed_rewards")  # topics whose given code takes all that their unit checks accept


def shortened(topic: Topic, training: Training, monkeypatch) -> Training:
    """Return the training check with a few steps."""
    monkeypatch.setattr(newton_fisher, "STEPS", 1)
    monkeypatch.setattr(retrace, "ITERATIONS", 3)
    if topic.name not in SHORT:
        return training
    environment, config = SHORT[topic.name] if training.name != "CartPole" else ("CartPole-v1", SHORT["ppo"][1])
    return learns("short", environment, config, "It learns.", 1.0, episodes=2, relabel=False, unreached=training.unreached)


@pytest.mark.parametrize(
    ("topic", "training"),
    [pytest.param(topic, training, id=f"{topic.name}-{training.name}") for topic in TOPICS for training in topic.trainings],
)
def test_the_given_code_calls_the_exercises_that_a_training_check_needs_and_no_other(topic, training, monkeypatch):
    student, called = planted(topic, topic.solution.read_text()), set()
    executor = student._executor
    executor.given = None  # it would notice what follows
    for exercise in topic.exercises:
        *owner, name = exercise.split(".")
        place = executor.found(".".join(owner)) if owner else executor.module

        def counted(*arguments, exercise=exercise, function=getattr(place, name), **keywords):
            called.add(exercise)
            return function(*arguments, **keywords)

        setattr(place, name, counted)
    shortened(topic, training, monkeypatch).attempt(student, 0)
    assert called == set(needs(topic, training))


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # of torch, where a tensor meets the variants' arrays
@pytest.mark.parametrize(("topic", "path"), VARIANTS)
def test_a_correct_variant_trains_as_its_own_file_does(topic, path, monkeypatch):
    training = shortened(topic, topic.trainings[-1], monkeypatch)
    source = topic.solution.read_text().split("if __name__ ==")[0] + "\n\n" + path.read_text()

    def outcome(student):
        try:
            return training.attempt(student, 0).score
        except StudentError as error:  # given code may not take what the unit checks accept, such as arrays for tensors
            return str(error)

    grafted = outcome(planted(topic, source))
    assert grafted == outcome(trusted(topic, source, "work.py"))
    assert isinstance(grafted, float) or topic.name not in TOLERANT
