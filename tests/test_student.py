"""A submission behind the wire: values, gradients, handles, callbacks, training; and a verdict for whatever else it does."""

import textwrap

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import npfl139.envs
from grader.contract.expect import Wrong, elementwise, expect_error
from grader.contract.served import checked_actions, serve
from grader.contract.student import InProcess, Student, StudentError, failure
from grader.grading.remote import Sandboxed, reason_of
from grader.grading.sandbox import Exit
from grader.inside.limits import Limits
from npfl139.envs.remote import RemoteVectorEnv, described_space, space_of

LIMITS = Limits(seconds=10, cpu_seconds=20, memory=512 * 2**20, scratch=2**20)

WORKING = """
    from dataclasses import dataclass
    import random
    import numpy as np
    import torch

    def double(x):
        return 2 * x

    def power(x, exponent=2):
        return x**exponent

    def constant(x):
        return 3.0

    def twice(function, x):
        return function(function(x))

    def drawn(generator):
        return torch.rand(3, generator=generator)

    def pair():
        return torch.ones(2), {"count": 1}

    class Sum:
        def __init__(self, start):
            self.total = start
            self.linear = torch.nn.Linear(2, 1, bias=False)

        def add(self, x):
            self.total = self.total + x
            return self.total

        def weighted(self, x):
            return self.linear(x)

    def absorb(total, x):
        return total.add(x)

    def loss(linear_owner, module, x):
        return module(x).square().sum()

    def linear():
        return torch.nn.Linear(2, 1, bias=False)

    @dataclass(frozen=True)
    class Config:
        seed: int = 0
        steps: int = 0

    class Agent:
        def act(self, observation, reward, first):
            return np.zeros(len(observation), np.int64)

    def train(environments, config: Config, monitor):
        rng = np.random.default_rng(config.seed)
        environments.reset()
        for step in range(config.steps // environments.num_envs):
            environments.step(rng.integers(2, size=environments.num_envs))
            monitor.log(step, loss=0.5)
        return Agent()
"""


def source_of(text):
    return textwrap.dedent(text)


@pytest.fixture(params=["in process", "sandboxed"])
def student_of(request):
    """A function that loads a submission from its source, on either side of the wire."""
    opened = []

    def load(text, limits=LIMITS, **prerequisites):
        if request.param == "in process":
            return InProcess(source_of(text), "work", "work.py", prerequisites)
        student = Sandboxed(request.getfixturevalue("sandbox"), limits)
        opened.append(student)
        student.load(source_of(text), "work", "work.py", prerequisites)
        return student

    yield load
    for student in opened:
        student.close()


@pytest.fixture
def student(student_of):
    return student_of(WORKING)


def test_values_go_and_come(student):
    assert student.double(21) == 42
    assert torch.equal(student.double(torch.arange(3)), torch.tensor([0, 2, 4]))
    assert (student.power(np.array([2.0, 3.0]), exponent=3) == [8, 27]).all()
    ones, counted = student.pair()
    assert torch.equal(ones, torch.ones(2)) and counted == {"count": 1}


@pytest.mark.parametrize("change", ["x.zero_()", "x.numpy()[0] = 5", "x.data = x.data[:1]"])
def test_a_change_of_an_argument_is_noticed_and_does_not_reach_the_grader(student_of, change):
    mine = torch.ones(2)
    student = student_of(f"def spoil(x):\n    {change}\n    return 1.0\n\n\ndef leave(x, y):\n    return (x + 1).sum()")
    for call, which in ((lambda: student.spoil(mine), "argument number 1"), (lambda: student.spoil(x=mine), "x")):
        with pytest.raises(StudentError, match=f"wrong: it changed {which} in place"):
            call()
    assert torch.equal(mine, torch.ones(2))
    assert student.leave(mine, y=[np.ones(1), float("nan")]) == 4


def test_a_change_of_an_argument_is_noticed_where_gradients_are_taken(student_of):
    student = student_of("def doubled(x, y):\n    y.mul_(2)\n    return x * y")
    with pytest.raises(StudentError, match="wrong: it changed argument number 2 in place"):
        student.gradient("doubled", torch.ones(2), torch.ones(2), wrt=[0])


def test_gradients(student):
    x = torch.tensor([1.0, 2.0])
    value, (by_x,) = student.gradient("power", x, wrt=[0])
    assert torch.equal(value, x**2) and torch.equal(by_x, 2 * x)
    assert student.gradient("constant", x, wrt=[0]) == [3.0, [None]]
    value, (by_x,) = student.gradient("power", x, 3, wrt=[0])
    assert torch.equal(by_x, 3 * x**2)


def test_gradients_of_methods_and_of_modules(student):
    total, linear, x = student.create("Sum", 0.0), student.create("linear"), torch.tensor([1.0, 2.0])
    value, (by_x,) = student.gradient("weighted", x, wrt=[0], of=total)
    assert value.shape == (1,) and by_x.shape == (2,) and torch.allclose(value, by_x @ x)
    value, (by_weights, by_x) = student.gradient("loss", total, linear, x, wrt=[1, 2])
    assert [gradient.shape for gradient in by_weights] == [(1, 2)] and by_x.shape == (2,)


def test_objects_stay_on_the_other_side(student):
    first, second = student.create("Sum", 1), student.create("Sum", 10)
    first.add(2)
    assert student.absorb(second, 5) == 15
    assert (first.read("total"), second.read("total")) == (3, 15)
    with pytest.raises(AttributeError):
        first._total  # noqa: B018


def test_functions_are_called_back(student):
    matrix = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    assert torch.equal(student.twice(lambda v: matrix @ v, torch.ones(2)), matrix @ matrix @ torch.ones(2))


def test_a_generator_crosses_with_its_state(student):
    assert torch.equal(student.drawn(torch.Generator().manual_seed(5)), torch.rand(3, generator=torch.Generator().manual_seed(5)))


def test_prerequisites_can_be_imported(student_of):
    text = "from solutions.earlier import answer\nimport solutions.earlier as module\ndef value():\n    return answer() + module.answer()"
    assert student_of(text, earlier="def answer():\n    return 21").value() == 42


def test_trusted_code_leaves_the_solutions_of_this_process_alone():
    import solutions

    InProcess("import solutions.earlier", "work", "work.py", {"earlier": ""})
    import solutions as again

    assert again is solutions


# What a submission does, the verdict, and words of the sentence about it.
FAILURES = {
    "stub": ("def f(): raise NotImplementedError('f')", "missing", "f is not implemented yet"),
    "nameless stub": ("def f(): raise NotImplementedError", "missing", "a function is not implemented yet"),
    "absent": ("def g(): pass", "missing", "it defines no f"),
    "generator": ("def f(): return (number for number in range(3))", "wrong", "it returned a generator"),
    "object": ("def f(): return object()", "wrong", "it returned an object, which is not"),
    "object array": ("import numpy\ndef f(): return numpy.array([None])", "wrong", "dtype object"),
    "list in itself": ("def f():\n    x = []\n    x.append(x)\n    return x", "wrong", "nested too deeply"),
    "too large": ("import numpy\ndef f(): return numpy.zeros(2**25)", "wrong", "too large"),
    "exception": ("def f():\n    return 1 / 0", "crashed", "ZeroDivisionError in line 2: division by zero"),
    "exception elsewhere": ("import json\ndef f():\n    return json.loads('{')", "crashed", "JSONDecodeError in line 3"),
    "exit": ("import sys\ndef f(): sys.exit(0)", "crashed", "it called exit in line 2"),
    "interrupt": ("def f(): raise KeyboardInterrupt", "crashed", "KeyboardInterrupt in line 1"),
    "base exception": ("class Odd(BaseException): pass\ndef f(): raise Odd('x')", "crashed", "Odd in line 2: x"),
    "recursion": ("def f(): return f()", "crashed", "RecursionError in line 1"),
    "unprintable": ("class E(Exception):\n    def __str__(self): raise SystemExit\ndef f(): raise E", "crashed", "an exception"),
    "nameless": (
        "class M(type):\n    __name__ = property(lambda self: 1 / 0)\nclass E(Exception, metaclass=M): pass\ndef f(): raise E",
        "crashed", "an exception",
    ),
    "half a character": ("def f(): raise ValueError('\\ud800')", "crashed", "ValueError in line 1"),
    "control characters": ("def f(): raise ValueError('a\\x1b[31m\\nb' + 9999 * 'c')", "crashed", "a [31m bccc"),
    "wrong arguments": ("def f(x): return x", "crashed", "missing 1 required positional argument"),
    "no memory": ("def f(): raise MemoryError", "memory", "more memory"),
    "no memory for torch": ("def f(): raise RuntimeError(\"DefaultCPUAllocator: can't allocate memory\")", "memory", "more memory"),
    "unequal to itself": (
        "class Odd:\n    __class__ = property(lambda self: float)\n    def __eq__(self, other): return True\n"
        "    def __float__(self): return 1.0\ndef f(): return Odd()",
        "wrong", "it returned an Odd",
    ),
    "dishonest subclass": (
        "import numpy\nclass A(numpy.ndarray): pass\ndef f(): return numpy.zeros(2).view(A)", "wrong", "it returned an A",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_has_a_verdict_and_the_submission_goes_on(student_of, name):
    text, verdict, words = FAILURES[name]
    student = student_of(text + "\ndef well(): return 1")
    with pytest.raises(StudentError) as caught:
        student.f()
    assert caught.value.verdict == verdict and words in caught.value.feedback
    assert caught.value.feedback.isprintable() and len(caught.value.feedback) < 400
    assert student.well() == 1


@pytest.mark.parametrize(
    "text, words",
    [
        ("x = = 1", "SyntaxError in line 1"),
        ("import nonexistent", "No module named 'nonexistent'"),
        ("\n1 / 0", "ZeroDivisionError in line 2"),
        ("raise SystemExit", "it called exit in line 1"),
    ],
)
def test_a_file_that_does_not_run_says_why(student_of, text, words):
    with pytest.raises(StudentError) as caught:
        student_of(text)
    assert caught.value.verdict == "crashed" and words in caught.value.feedback


def test_display_needs_no_import_in_a_notebook_only():
    source = "display('a table', clear=True)\ndef f(): return display()"
    assert InProcess(source, "work", "work.ipynb").f() is None
    with pytest.raises(StudentError, match="name 'display' is not defined"):
        InProcess(source, "work", "work.py")


CALLBACKS = {
    "wrong shape": ("def f(g): return g([1.0, 2.0, 3.0])", StudentError, "arguments that the function does not take"),
    "swallowed": ("def f(g):\n    try: g([1.0])\n    except BaseException: return 1.0", StudentError, "that the function does not take"),
    "no value": ("def f(g): return g(object())", StudentError, "it returned an object"),
    "wrong": ("def f(g): return g('wrong')", Wrong, "not that"),
    "a bug of the grader's": ("def f(g): return g('bug')", ZeroDivisionError, "division"),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_whose_fault_a_failing_callback_is(student_of, name):
    def given(argument):
        if argument == "wrong":
            raise Wrong("not that")
        if argument == "bug":
            return 1 / 0
        return torch.eye(2) @ torch.tensor(argument)

    text, kind, words = CALLBACKS[name]
    student = student_of(text + "\ndef well(): return 1")
    with pytest.raises(kind, match=words):
        student.f(given)
    assert student.well() == 1


def test_an_expected_exception_is_told_from_every_other_end(student_of):
    student = student_of(
        "def refuse(): raise ValueError('too small')\ndef accept(): return 0\ndef stub(): raise NotImplementedError('stub')"
    )
    assert "too small" in expect_error(student.refuse, "ValueError", "a small x")
    with pytest.raises(Wrong, match="a small x must raise a TypeError, but it ended with ValueError in line 1"):
        expect_error(student.refuse, "TypeError", "a small x")
    with pytest.raises(Wrong, match="a small x must raise a ValueError, but a value was returned"):
        expect_error(student.accept, "ValueError", "a small x")
    with pytest.raises(StudentError) as caught:
        expect_error(student.stub, "NotImplementedError", "a small x")
    assert caught.value.verdict == "missing"


def test_functions_of_numbers_take_tensors_arrays_and_numbers():
    exponential = elementwise(lambda x: np.exp(x.numpy()))
    for argument, dtype in ((torch.zeros(2), torch.float32), (np.zeros((2, 1)), torch.float64), (0.0, torch.float64), (0, torch.float64)):
        result = exponential(argument)
        assert result.dtype == dtype and torch.equal(result, torch.ones(np.shape(argument), dtype=dtype))
    assert exponential(1e4) == float("inf")
    with pytest.raises(Wrong, match="called with list"):
        exponential([0.0])


def test_a_callback_works_only_during_its_request(student_of):
    student = student_of("kept = []\ndef keep(f): kept.append(f)\ndef late(): return kept[0](1)\ndef well(): return 1")
    student.keep(lambda x: x)
    with pytest.raises(StudentError) as caught:
        student.late()
    assert caught.value.verdict == "violation" and student.well() == 1


def test_callbacks_are_counted(student_of):
    student = student_of("def f(g):\n    while True: g(0)")
    student.limits = Limits(callbacks=100)
    with pytest.raises(StudentError, match="more than 100 times"):
        student.f(lambda x: x)


def test_a_callback_cannot_call_the_submission(student):
    with pytest.raises(AssertionError, match="a callback cannot call"):
        student.twice(lambda x: student.double(x), 1)


def test_a_value_of_the_checks_that_cannot_cross_is_the_checks_fault(student):
    with pytest.raises(TypeError):
        student.double(1j)
    assert student.double(1) == 2


@pytest.mark.parametrize(
    "description", [None, [], {}, {"kind": 1, "type": [], "message": {}, "line": "x"}, {"kind": "grader_fault", "line": True}]
)
def test_a_forged_description_of_a_failure_is_the_submissions_fault(description):
    assert failure(description).verdict in ("violation", "crashed")


class Forger(Student):
    """A submission that answers whatever it likes."""

    def __init__(self, forged):
        super().__init__()
        self.forged = forged

    def exchange(self, frame):
        return self.forged


@pytest.mark.parametrize(
    "forged", [None, 1, [], {}, {"verdict": "passed"}, {"value": 1, "verdict": "passed"}, {"value": 1}, {"value": [1]}, {"value": [1, 2]}]
)
def test_forged_answers_are_violations(forged):
    student = Forger(forged)
    for request in (lambda: student.create("C"), lambda: student.gradient("f", 1, wrt=[0]), lambda: student.train({})):
        with pytest.raises(StudentError) as caught:
            request()
        assert caught.value.verdict == "violation"


@pytest.mark.parametrize(
    "code, cpu, verdict",
    [
        (0, 1, "crashed"),
        (3, 1, "crashed"),
        (-11, 1, "crashed"),
        (-6, 1, "crashed"),
        (-40, 1, "crashed"),
        (-9, 19.5, "timeout"),
        (-24, 20, "timeout"),
        (-9, 1, "memory"),
        (-31, 1, "violation"),
    ],
)
def test_how_a_worker_ended_decides_the_verdict(code, cpu, verdict):
    assert reason_of(Exit(code, cpu), LIMITS)[0] == verdict


def counting(count, environment_id="CartPole-v1"):
    return npfl139.envs.make(environment_id, count, 1)


def test_training_is_measured_by_the_grader(student):
    served = serve(counting(4), 400)
    agent, scalars = student.train(served.description, seed=7, steps=400)
    assert served.steps == 400 and scalars["loss"][0] == [0, 0.5]

    own, rng, returns, running = counting(4), np.random.default_rng(7), [], np.zeros(4)
    own.reset()
    for step in range(1, 101):
        _, reward, terminated, truncated, _ = own.step(rng.integers(2, size=4))
        running += reward
        for row in np.flatnonzero(terminated | truncated):
            returns.append((4 * step, running[row]))
            running[row] = 0
    assert served.episodes == returns
    assert (agent.act(np.zeros((3, 4)), np.zeros(3), np.ones(3, bool)) == np.zeros(3)).all()


def test_of_logged_scalars_only_what_can_be_shown_is_kept(student_of):
    text = TRAIN.format(
        "monitor.scalars = {'loss': [[1, 0.5], [2, float('nan')], [3, 10**30], 'x', [4], [5, -1.0], [6, True]], 'odd': 7, 'none': [],"
        " 'huge': [[10**400, 1.0]], 'long': [[step, 0.0] for step in range(5000)], 'n\\n' * 99: [[0, 1]]}"
        " | {str(i): [[0, 0]] for i in range(99)}"
    )
    _, scalars = student_of(text).train(serve(counting(2), 40).description, seed=1)
    assert scalars["loss"] == [[1, 0.5], [5, -1.0]] and not scalars.keys() & {"odd", "none", "huge"}
    assert len(scalars["long"]) == 200 and scalars["long"][-1][0] > 4900
    assert len(scalars) == 12 and scalars["n " * 20] == [[0, 1.0]]


# What train does with the environments, its verdict and words of the sentence about it.
TRAININGS = {
    "one step too many": ("e.reset()\n    for _ in range(11): e.step(a)", "violation", "more than the 40 environment steps"),
    "budget error swallowed": (
        "e.reset()\n    for _ in range(30):\n        try: e.step(a)\n        except BaseException: pass",
        "violation", "more than the 40 environment steps",
    ),
    "second reset": ("e.reset(); e.reset(seed=1)", "wrong", "reset the environments a second time"),
    "no reset": ("e.step(a)", "wrong", "before it reset them"),
    "wrong shape": ("e.reset(); e.step(a[:2])", "wrong", "actions must have shape [4], got [2]"),
    "wrong kind": ("e.reset(); e.step(a * 0.5)", "wrong", "actions must be integers, got float64"),
    "out of range": ("e.reset(); e.step(a + 5)", "wrong", "actions must lie in 0 ... 1, got 5 ... 5"),
    "objects": ("e.reset(); e.step([None] * 4)", "wrong", "dtype object"),
}  # fmt: skip
TRAIN = """
import numpy as np
from dataclasses import dataclass
@dataclass(frozen=True)
class Config:
    seed: int = 0
def train(e, config: Config, monitor):
    a = np.zeros(4, np.int64)
    {}
"""


@pytest.mark.parametrize("name", TRAININGS)
def test_what_a_submission_may_not_do_with_the_environments(student_of, name):
    body, verdict, words = TRAININGS[name]
    served = serve(counting(4), 40)
    with pytest.raises(StudentError) as caught:
        student_of(TRAIN.format(body)).train(served.description, seed=1)
    assert caught.value.verdict == verdict and words in caught.value.feedback
    assert served.steps <= 40


@pytest.mark.parametrize(
    "text, verdict, words",
    [
        ("", "missing", "it defines no train"),
        ("def train(environments, config, monitor): pass", "crashed", "must annotate its argument config"),
        (TRAIN.format("pass").replace("seed: int", "speed: int"), "crashed", "seed"),
        (TRAIN.format("raise NotImplementedError('surrogate')"), "missing", "surrogate"),
    ],
)
def test_a_train_that_cannot_be_called_says_why(student_of, text, verdict, words):
    with pytest.raises(StudentError) as caught:
        student_of(text).train(serve(counting(2), 40).description, seed=1)
    assert caught.value.verdict == verdict and words in caught.value.feedback


def stepped(environments, actions):
    environments.reset()
    return [environments.step(action) for action in actions]


@pytest.mark.parametrize("environment_id", ["CartPole-v1", "MountainCarContinuous-v0", "Acrobot-v1"])
def test_remote_environments_behave_like_those_they_stand_for(environment_id):
    served, local = serve(counting(2, environment_id), 10**6), counting(2, environment_id)
    remote = RemoteVectorEnv(**served.description)
    assert (remote.observation_space, remote.action_space) == (local.observation_space, local.action_space)
    local.action_space.seed(3)
    actions = [local.action_space.sample() for _ in range(1100)]
    ended = 0
    for here, there in zip(stepped(local, actions), stepped(remote, actions), strict=True):
        for first, second in zip(here[:4], there[:4], strict=True):
            assert np.array_equal(first, second) and first.dtype == second.dtype
        assert ("final_obs" in here[4]) == ("final_obs" in there[4])
        if "final_obs" in here[4]:
            rows = here[4]["_final_obs"]
            assert np.array_equal(rows, there[4]["_final_obs"])
            assert np.array_equal(np.stack(here[4]["final_obs"][rows]), there[4]["final_obs"][rows])
            ended += rows.sum()
    assert ended > 0


def test_box_actions_must_be_finite_numbers():
    box = Box(-1.0, 1.0, (2,), np.float32)
    assert checked_actions(np.full((3, 2), 5.0), box, 3).dtype == np.float32
    for actions in (np.full((3, 2), np.nan), np.zeros((3, 2), bool), [[0.0, 0.0]] * 3):
        with pytest.raises(StudentError):
            checked_actions(actions, box, 3)


UNBOUNDED = Box(np.array([0.0, -np.inf]), np.array([1.0, np.inf]), dtype=np.float64)


@pytest.mark.parametrize("space", [Discrete(3), Discrete(4, start=2), Box(-1, 2, (3, 2), np.float32), UNBOUNDED])
def test_spaces_cross_as_values(space):
    assert space_of(described_space(space)) == space


def test_what_cannot_be_served_is_refused():
    with pytest.raises(ValueError, match="only Box and Discrete"):
        described_space(MultiDiscrete([2, 2]))
    next_step = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")], autoreset_mode=AutoresetMode.NEXT_STEP)
    with pytest.raises(ValueError, match="SAME_STEP"):
        serve(next_step, 10)
