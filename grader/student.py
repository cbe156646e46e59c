"""How a check talks to a submission. The same interface whether it runs in the sandbox or, trusted, in this process.

    student.clipped_surrogate(log_prob_new, log_prob_old, advantage, 0.2)     call an exercise by value
    value, (by_new,) = student.gradient("clipped_surrogate", ..., wrt=[0])     and its gradients
    moments = student.create("RunningMoments", 3)                              an object that stays over there
    moments.update(rows); moments.read("mean")                                 is driven through its handle
    student.conjugate_gradient(lambda v: matrix @ v, gradient)                 a function is called back over the wire
"""

from collections.abc import Callable, Sequence
from functools import partial

from grader.protocol import Callback, Handle, decode, encode
from grader.worker import Executor

__all__ = ["InProcess", "RemoteObject", "Student", "StudentError"]


class StudentError(Exception):
    """A call to the submission gave no value. Carries the verdict and the sentence that the student reads."""

    def __init__(self, verdict: str, feedback: str, exercise: str | None = None):
        super().__init__(f"{verdict}: {feedback}")
        self.verdict, self.feedback, self.exercise = verdict, feedback, exercise


class RemoteObject:
    """An object of the submission's, known here only by its handle; its methods are called by name."""

    def __init__(self, student: "Student", handle: Handle):
        self._student, self._handle = student, handle

    def __getattr__(self, method: str) -> Callable:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *arguments, **keywords: self._student.request(
            "method", handle=self._handle, method=method, arguments=list(arguments), keywords=keywords
        )

    def read(self, attribute: str) -> object:
        """Return the value of an attribute."""
        return self._student.request("read", handle=self._handle, attribute=attribute)


class Student:
    """A submission as the checks see it. Subclasses say how a request frame becomes an answer frame."""

    def __init__(self):
        self._callbacks = []

    def exchange(self, frame: bytes) -> bytes:
        raise NotImplementedError

    def request(self, operation: str, **fields: object) -> object:
        """Return the value that answers the request.

        Raises:
            StudentError: the submission gave no value.
        """
        answer = decode(self.exchange(encode({"operation": operation, **self._referred(fields)})))
        if "failure" in answer:
            raise failure(answer["failure"])
        return answer["value"]

    def __getattr__(self, exercise: str) -> Callable:
        if exercise.startswith("_"):
            raise AttributeError(exercise)
        return partial(self.call, exercise)

    def call(self, exercise: str, *arguments: object, **keywords: object) -> object:
        """Return what the submission's function returns."""
        return self.request("call", function=exercise, arguments=list(arguments), keywords=keywords)

    def create(self, function: str, *arguments: object, **keywords: object) -> RemoteObject:
        """Call a class or function and keep its result over there."""
        handle = self.request("create", function=function, arguments=list(arguments), keywords=keywords)
        return RemoteObject(self, handle)

    def gradient(self, function: str, *arguments: object, wrt: Sequence[int], of: RemoteObject | None = None, **keywords: object) -> list:
        """Return [value, gradients] of a function (or of a method of the object `of`) by the arguments at the positions `wrt`."""
        handle = None if of is None else of._handle
        return self.request("gradient", function=function, arguments=list(arguments), keywords=keywords, wrt=list(wrt), handle=handle)

    def train(self, environments: dict, **overrides: object) -> tuple[RemoteObject, dict]:
        """Train the submission's agent on served environments; return the agent and the scalars that it logged."""
        handle, scalars = self.request("train", environments=environments, overrides=overrides)
        return RemoteObject(self, handle), scalars

    def called_back(self, number: int, arguments: list) -> object:
        return self._callbacks[number](*arguments)

    def _referred(self, value: object) -> object:
        """Return the value with objects replaced by handles and functions by callbacks."""
        if isinstance(value, list | tuple):
            return [self._referred(item) for item in value]
        if isinstance(value, dict):
            return {key: self._referred(item) for key, item in value.items()}
        if isinstance(value, RemoteObject):
            return value._handle
        if callable(value) and not isinstance(value, type):
            self._callbacks.append(value)
            return Callback(len(self._callbacks) - 1)
        return value


class InProcess(Student):
    """Trusted code (a reference, a mistake, a variant) in this process, under the same rules as in the sandbox."""

    def __init__(self, source: str, name: str, filename: str, prerequisites: dict[str, str] | None = None):
        super().__init__()
        self._executor = Executor(lambda number, arguments: decode(encode(self.called_back(number, decode(encode(arguments))))))
        self.request("load", name=name, source=source, filename=filename, prerequisites=prerequisites or {})

    def exchange(self, frame: bytes) -> bytes:
        return self._executor.answer(frame)


def failure(description: dict) -> StudentError:
    """Return the verdict that a described exception amounts to."""
    kind, message, line = description["type"], description["message"], description["line"]
    if kind == "NotImplementedError":
        return StudentError("missing", f"{message} is not implemented yet", exercise=message)
    if kind == "MemoryError":
        return StudentError("memory", "it needs more memory than it is allowed")
    if description["value"]:
        return StudentError("wrong", f"it returned {message}")
    where = f" in line {line}" if line else ""
    return StudentError("crashed", f"{kind}{where}: {message}" if message else f"{kind}{where}")
