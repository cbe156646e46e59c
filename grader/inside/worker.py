"""What runs next to student code: an executor of the grader's requests. It holds no check, no expected value, no secret.

The same executor serves a submission in the sandbox and, for trusted code (references, mistakes), in the grader's process.
"""

import dataclasses
import errno
import random
import socket
import sys
import threading
import traceback
import types
import typing

import numpy
import torch

from grader.inside.protocol import Callback, Channel, Disconnected, GeneratorState, Handle, NotAValue, decode, encode
from npfl139.source import names_without_import

__all__ = ["CallbackFailed", "Executor", "define", "serve"]

MAX_MESSAGE = 500


class CallbackFailed(RuntimeError):
    """A function of the grader's was called with arguments that it does not take."""


def serve(descriptor: int) -> None:
    """Answer the grader's requests until it closes the channel."""
    channel, lock = Channel(descriptor), threading.Lock()

    def call_back(number: int, arguments: list) -> object:
        with lock:
            channel.send(encode({"call": number, "arguments": arguments}))
            answer = decode(channel.receive())
        if "failure" in answer:
            raise CallbackFailed(answer["failure"])
        return answer["value"]

    executor = Executor(call_back)
    try:
        channel.send(encode({"ready": True}))
        while True:
            channel.send(executor.answer(channel.receive()))
    except Disconnected:
        pass


def define(name: str, source: str, filename: str, prerequisites: dict[str, str]) -> types.ModuleType:
    """Return the module `name` made from a submission's source, on top of the solutions of earlier topics."""
    if prerequisites:
        sys.modules["solutions"] = package = types.ModuleType("solutions")
        package.__path__ = []
        for stem, text in prerequisites.items():
            setattr(package, stem, define(f"solutions.{stem}", text, f"solutions/{stem}.py", {}))
    module = types.ModuleType(name)
    module.__file__ = filename
    vars(module).update(names_without_import(filename))
    sys.modules[name] = module
    exec(compile(source, filename, "exec"), module.__dict__)
    return module


class Executor:
    """Executes requests on one module; every answer is a value or a description of a failure."""

    def __init__(self, call_back: typing.Callable[[int, list], object]):
        self.module, self.filename = None, None
        self.call_back = call_back
        self.objects = []

    def answer(self, frame: bytes | bytearray) -> bytes:
        """Return the frame that answers a request frame: {"value": ...} or {"failure": {...}}."""
        try:
            request = decode(frame)
            return encode({"value": getattr(self, f"do_{request.pop('operation')}")(**request)})
        except BaseException as error:  # student code may raise anything at all, SystemExit included
            return encode({"failure": self.described(error)})

    def do_load(self, name: str, source: str, filename: str, prerequisites: dict[str, str]) -> None:
        self.filename = filename
        self.module = define(name, source, filename, prerequisites)

    def do_seed(self, seed: int) -> None:
        """Seed the global generators, so that what a check finds does not depend on the checks before it."""
        random.seed(seed)
        numpy.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def do_call(self, function: str, arguments: list, keywords: dict) -> object:
        return self.found(function)(*self.revived(arguments), **self.revived(keywords))

    def do_create(self, function: str, arguments: list, keywords: dict) -> Handle:
        return self.kept(self.found(function)(*self.revived(arguments), **self.revived(keywords)))

    def do_method(self, handle: Handle, method: str, arguments: list, keywords: dict) -> object:
        owner = self.revived(handle)
        result = getattr(owner, method)(*self.revived(arguments), **self.revived(keywords))
        return handle if result is owner else result  # a method that is called for its effect may return its object

    def do_read(self, handle: Handle, attribute: str) -> object:
        return getattr(self.revived(handle), attribute)

    def do_gradient(self, function: str, arguments: list, keywords: dict, wrt: list[int], handle: Handle | None) -> list:
        """Return [value, gradients]: of the sum of the result by each argument; None where it does not depend on it.

        The sum of a tuple is that of all its tensors.
        For an argument that is a module the gradient is the list of those by its parameters, for a list of tensors of those by each.
        """
        arguments = self.revived(arguments)
        targets = [_leaves(arguments[position]) for position in wrt]
        for position in wrt:
            arguments[position] = _tracked(arguments[position])
        owner = self.found(function) if handle is None else getattr(self.revived(handle), function)
        value = owner(*arguments, **self.revived(keywords))
        flat = [tensor for target in targets for tensor in (target if isinstance(target, list) else [target])]
        results = [value] if isinstance(value, torch.Tensor) else value if isinstance(value, list | tuple) else []
        sums = [result.sum() for result in results if isinstance(result, torch.Tensor) and result.requires_grad]
        gradients = iter(torch.autograd.grad(sum(sums), flat, allow_unused=True) if sums else [None] * len(flat))
        return [value, [[next(gradients) for _ in target] if isinstance(target, list) else next(gradients) for target in targets]]

    def do_train(self, environments: dict, overrides: dict) -> list:
        """Train the module's agent on environments served by the grader; return [handle of the agent, logged scalars]."""
        from npfl139.envs.remote import RemoteVectorEnv
        from npfl139.runs import MemoryMonitor, config_type_of

        train, monitor = self.found("train"), MemoryMonitor()
        config = dataclasses.replace(config_type_of(train)(), **overrides)
        agent = train(RemoteVectorEnv(**self.revived(environments)), config, monitor)
        return [self.kept(agent), monitor.scalars]

    def found(self, path: str) -> object:
        target = self.module
        for name in path.split("."):
            if not hasattr(target, name):
                raise Missing(path)
            target = getattr(target, name)
        return target

    def kept(self, thing: object) -> Handle:
        self.objects.append(thing)
        return Handle(len(self.objects) - 1)

    def revived(self, value: object) -> object:
        """Return the value with handles replaced by their objects, callbacks by functions, states by generators."""
        if isinstance(value, list):
            return [self.revived(item) for item in value]
        if isinstance(value, dict):
            return {key: self.revived(item) for key, item in value.items()}
        if isinstance(value, Handle):
            return self.objects[value.number]
        if isinstance(value, Callback):
            return lambda *arguments: self.call_back(value.number, list(arguments))
        if isinstance(value, GeneratorState):
            generator = torch.Generator()
            generator.set_state(torch.frombuffer(bytearray(value.state), dtype=torch.uint8))
            return generator
        return value

    def described(self, error: BaseException) -> dict:
        """Return what the grader may tell a student of an exception: its kind, type, message and line of the submission."""
        try:
            return {"kind": _kind(error), "type": _text(type(error).__name__), "message": _text(error), "line": self.line(error)}
        except BaseException:  # the exception's own methods are student code, too
            return {"kind": "exception", "type": "an exception", "message": "", "line": None}

    def line(self, error: BaseException) -> int | None:
        """Return the line of the submission in which the exception arose, None if that is elsewhere."""
        if isinstance(error, SyntaxError) and error.filename == self.filename:
            return error.lineno
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == self.filename]
        return lines[-1] if lines else None


class Missing(AttributeError):
    """The submission has no function or class of that name."""


def _leaves(argument: object) -> object:
    return list(argument.parameters()) if isinstance(argument, torch.nn.Module) else argument


def _tracked(argument: object) -> object:
    """Return the argument, its tensors no leaves, which could not be changed in place, but copies of them."""
    if isinstance(argument, list):
        return [_tracked(item) for item in argument]
    return argument.requires_grad_().clone() if isinstance(argument, torch.Tensor) else argument


def _text(value: object) -> str:
    return str(value)[:MAX_MESSAGE].encode(errors="replace").decode()


def _kind(error: BaseException) -> str:
    """Return what the grader makes of the exception: "value", "stub", "absent", "memory", "forbidden" or just "exception"."""
    if isinstance(error, NotAValue):
        return "value"
    if isinstance(error, Missing):
        return "absent"
    if isinstance(error, NotImplementedError):
        return "stub"
    full = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if full or isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return "memory"
    causes = [error, error.__cause__, error.__context__]
    if any((isinstance(cause, OSError) and cause.errno == errno.EPERM) or isinstance(cause, socket.gaierror) for cause in causes):
        return "forbidden"
    return "exception"
