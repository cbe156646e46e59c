"""How a check talks to a submission. The same interface whether it runs in the sandbox or, trusted, in this process.

    student.clipped_surrogate(log_prob_new, log_prob_old, advantage, 0.2)     call an exercise by value
    value, (by_new,) = student.gradient("clipped_surrogate", ..., wrt=[0])     and its gradients
    moments = student.create("RunningMoments", 3)                              an object that stays over there
    moments.update(rows); moments.read("mean")                                 is driven through its handle
    student.define(lent).prepare(moments)                                      and by functions of the grader's that run over there
    student.conjugate_gradient(lambda v: matrix @ v, gradient)                 a function is called back over the wire

`InProcess(source, name, filename)` runs trusted code here; `grader.grading.remote.Sandboxed` untrusted code in a worker.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import torch

from grader.inside.limits import Limits
from grader.inside.protocol import Callback, GeneratorState, Handle, decode, encode
from grader.inside.worker import Executor
from npfl139.text import printable

__all__ = ["FORGED", "InProcess", "RemoteObject", "Student", "StudentError", "Supported"]

ENDS_OF_A_CALL = ("wrong", "crashed", "missing")  # the verdicts after which a submission goes on
MAX_FEEDBACK = 300
MAX_CURVES, MAX_POINTS, MAX_NAME = 12, 200, 40  # what a report shows of what a submission logged
# What a callback raises when its arguments, which are the student's, are not what it takes.
WRONG_ARGUMENTS = (TypeError, ValueError, RuntimeError, IndexError)
FORGED = "it wrote to the grader's connection itself, which is not allowed"


class StudentError(Exception):
    """A call to the submission gave no value. Carries the verdict and the sentence that the student reads."""

    def __init__(self, verdict: str, feedback: str, exercise: str | None = None):
        super().__init__(f"{verdict}: {feedback}")
        self.verdict, self.feedback, self.exercise = verdict, feedback, exercise

    @property
    def ends_the_worker(self) -> bool:
        """Whether the submission does not go on after it; a worker may also end with the verdict "crashed"."""
        return self.verdict not in ENDS_OF_A_CALL


class RemoteObject:
    """An object of the submission's, known here only by its handle; its methods are called by name."""

    def __init__(self, student: "Student", handle: Handle):
        self._student, self._handle = student, handle

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *arguments, **keywords: self._student.request(
            "method", handle=self._handle, method=method, arguments=list(arguments), keywords=keywords
        )

    def read(self, attribute: str) -> Any:
        """Return the value of an attribute."""
        return self._student.request("read", handle=self._handle, attribute=attribute)


class Student:
    """A submission as the checks see it. Subclasses say how a request frame becomes a decoded answer."""

    def __init__(self, limits: Limits | None = None):
        self.limits = limits or Limits()
        self._callbacks: list[Callable[..., object]] = []
        self._refusal: Exception | None = None
        self._callbacks_left, self._busy = 0, False

    def exchange(self, frame: bytes) -> Any:
        """Return the decoded answer to a request, serving callbacks meanwhile."""
        raise NotImplementedError

    def request(self, operation: str, **fields: object) -> Any:
        """Return the value that answers the request.

        Raises:
            StudentError: the submission gave no value.
            Wrong: a callback raised it on what the submission passed to it.
        """
        if self._busy:
            raise AssertionError("a callback cannot call the submission")
        self._callbacks, self._callbacks_left, self._refusal, self._busy = [], self.limits.callbacks, None, True
        try:
            answer = self.exchange(encode({"operation": operation, **{name: self._referred(field) for name, field in fields.items()}}))
        finally:
            self._busy = False
        if self._refusal is not None:
            raise self._refusal
        if type(answer) is dict and list(answer) == ["value"]:
            return answer["value"]
        raise failure(answer.get("failure") if type(answer) is dict else None)

    def __getattr__(self, exercise: str) -> Callable[..., Any]:
        if exercise.startswith("_"):
            raise AttributeError(exercise)
        return partial(self.call, exercise)

    def call(self, exercise: str, *arguments: object, **keywords: object) -> Any:
        """Return what the submission's function returns."""
        return self.request("call", function=exercise, arguments=list(arguments), keywords=keywords)

    def create(self, function: str, *arguments: object, **keywords: object) -> RemoteObject:
        """Call a class or function and keep its result over there."""
        return self._object(self.request("create", function=function, arguments=list(arguments), keywords=keywords))

    def define(self, module: ModuleType) -> RemoteObject:
        """Define a module of the grader's over there, whose functions are called as methods; its source is no secret to a submission.

        With it, what an exercise is given owes nothing to the submission's other exercises: a policy gets a divergence that is right.
        """
        return self._object(self.request("define", source=inspect.getsource(module), filename=f"the grader's {module.__name__}"))

    def gradient(
        self, function: str, *arguments: object, wrt: Sequence[int], of: RemoteObject | None = None, **keywords: object
    ) -> list[Any]:
        """Return [value, gradients] of a function (or of a method of the object `of`) by the arguments at the positions `wrt`."""
        handle = None if of is None else of._handle
        pair = self.request("gradient", function=function, arguments=list(arguments), keywords=keywords, wrt=list(wrt), handle=handle)
        if type(pair) is not list or len(pair) != 2 or type(pair[1]) is not list or len(pair[1]) != len(wrt):
            raise _forged()
        return pair

    def train(self, environments: dict[str, Any], **overrides: object) -> tuple[RemoteObject, dict[str, list[list[float]]]]:
        """Train the submission's agent on served environments (`grader.contract.served.serve`).

        Return the agent and the scalars that it logged, name -> [[steps, value], ...]: what the submission claims, for display.
        """
        pair = self.request("train", environments=environments, overrides=overrides)
        if type(pair) is not list or len(pair) != 2 or type(pair[1]) is not dict:
            raise _forged()
        return self._object(pair[0]), _curves(pair[1])

    def called_back(self, number: object, arguments: object) -> dict[str, object]:
        """Return the answer to a callback: {"value": ...}, or {"failure": ...} after which the whole request fails."""
        try:
            if self._refusal is not None:
                raise self._refusal
            if type(number) is not int or not 0 <= number < len(self._callbacks) or type(arguments) is not list:
                raise _forged()
            self._callbacks_left -= 1
            if self._callbacks_left < 0:
                raise StudentError("timeout", f"it called the given functions more than {self.limits.callbacks} times")
            return {"value": self._referred(self._callbacks[number](*arguments))}
        except WRONG_ARGUMENTS as error:
            feedback = f"it called a given function with arguments that the function does not take: {_plain_text(error)}"
            self._refusal = StudentError("wrong", feedback)
        except Exception as error:
            self._refusal = error
        return {"failure": _plain_text(self._refusal)}

    def _object(self, handle: object) -> RemoteObject:
        if type(handle) is not Handle:
            raise _forged()
        return RemoteObject(self, handle)

    def _referred(self, value: object) -> object:
        """Return the value with objects replaced by handles, functions by callbacks, generators by their states."""
        if isinstance(value, list | tuple):
            return [self._referred(item) for item in value]
        if isinstance(value, dict):
            return {key: self._referred(item) for key, item in value.items()}
        if isinstance(value, RemoteObject):
            return value._handle
        if isinstance(value, torch.Generator):
            return GeneratorState(value.get_state().numpy().tobytes())
        if callable(value) and not isinstance(value, type):
            self._callbacks.append(value)
            return Callback(len(self._callbacks) - 1)
        return value


class Supported(Student):
    """A submission some of whose functions are replaced by the grader's: what stands on them is judged as if they were right.

    Only values cross, so no gradient flows through them, and `torch.func` cannot map them.
    """

    def __init__(self, student: Student, functions: dict[str, Callable[..., Any]]):
        super().__init__(student.limits)
        self._student, self._functions = student, functions

    def request(self, operation: str, **fields: object) -> object:
        return self._student.request(operation, **fields, support=self._functions)


class InProcess(Student):
    """Trusted code (a reference, a mistake, a variant) in this process, under the same rules as in the sandbox."""

    def __init__(self, source: str, name: str, filename: str, prerequisites: dict[str, str] | None = None):
        super().__init__()
        self._executor = Executor(self._call_back)
        with _own_solutions():
            self.request("load", name=name, source=source, filename=filename, prerequisites=prerequisites or {})

    def exchange(self, frame: bytes) -> Any:
        return decode(self._executor.answer(frame))

    def _call_back(self, number: int, arguments: list[Any]) -> object:
        answer = decode(encode(self.called_back(number, decode(encode(arguments)))))
        if "failure" in answer:
            raise RuntimeError(answer["failure"])
        return answer["value"]


def failure(description: object) -> StudentError:
    """Return the verdict that an exception amounts to, as the worker described it. Nothing in the description is trusted."""
    if type(description) is not dict:
        return _forged()
    kind, name, message = (_plain_text(description.get(key)) for key in ("kind", "type", "message"))
    line = description.get("line")
    where = f" in line {line}" if type(line) is int else ""
    if kind == "stub":
        return StudentError("missing", f"{message or 'a function'} is not implemented yet", exercise=message or None)
    if kind == "absent":
        return StudentError("missing", f"it defines no {message}", exercise=message)
    if kind == "memory":
        return StudentError("memory", "it needs more memory than it is allowed")
    if kind == "value":
        return StudentError("wrong", f"it returned {message}")
    if kind == "tampered":
        return StudentError("violation", f"an exercise changed the given {message}, which must stay as it is while training")
    if kind == "changed":
        return StudentError("wrong", f"it changed {message} in place: what a function is called with belongs to its caller, work on a copy")
    if kind == "forbidden":
        what = f"it tried{where} to start a process, use the network or reach outside"
        return StudentError("violation", f"{what}, which is not allowed while grading")
    if name == "SystemExit":
        return StudentError("crashed", f"it called exit{where}")
    return StudentError("crashed", f"{name}{where}: {message}" if message else f"{name}{where}")


def _forged() -> StudentError:
    return StudentError("violation", FORGED)


def _curves(claimed: dict[str, Any]) -> dict[str, list[list[float]]]:
    """Return of the logged scalars that which can be shown: a few series of a few pairs of numbers, evenly thinned."""

    def is_point(point: object) -> bool:
        return type(point) is list and len(point) == 2 and all(type(x) in (int, float) and abs(x) < 1e15 for x in point)

    curves: dict[str, list[list[float]]] = {}
    for name, points in claimed.items():
        numbers = [point for point in points if is_point(point)] if type(points) is list else []
        if numbers and len(curves) < MAX_CURVES:
            stride = -(-len(numbers) // MAX_POINTS)
            curves[_plain_text(name)[:MAX_NAME]] = [[int(step), float(value)] for step, value in numbers[::stride]]
    return curves


def _plain_text(value: object) -> str:
    """Return the text in one printable line of bounded length."""
    text = value if type(value) is str else str(value) if isinstance(value, Exception) else ""
    return " ".join(printable(text[: 4 * MAX_FEEDBACK], " ").split())[:MAX_FEEDBACK]


@contextmanager
def _own_solutions() -> Iterator[None]:
    """Keep the package `solutions` of this process as it is, although a trusted submission brings its own."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "solutions"}
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "solutions"]:
            del sys.modules[name]
        sys.modules.update(kept)
