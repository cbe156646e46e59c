"""What runs next to student code: an executor of the grader's requests. It holds no check, no expected value, no secret.

The same executor serves a submission in the sandbox and, for trusted code (references, mistakes), in the grader's process.
"""

import dataclasses
import errno
import inspect
import opcode
import random
import socket
import sys
import threading
import traceback
import types
import typing
from contextlib import contextmanager

import numpy
import torch

from grader.inside.grafting import taken_apart
from grader.inside.protocol import Callback, Channel, Disconnected, GeneratorState, Handle, NotAValue, decode, encode
from npfl139 import modules
from npfl139.source import Unreadable, names_without_import, read_one

__all__ = ["CallbackFailed", "Executor", "define", "serve"]

MAX_MESSAGE = 500
RAISE = opcode.opmap["RAISE_VARARGS"]


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
    return modules.define(name, source, filename)


class Executor:
    """Executes requests on one module; every answer is a value or a description of a failure."""

    def __init__(self, call_back: typing.Callable[[int, list], object]):
        self.module, self.filename = types.ModuleType("nothing"), ""
        self.filenames: set[str] = set()  # of the loaded code: the submission, the given code that it was put into
        self.call_back = call_back
        self.objects: list[object] = []
        self.given: dict | None = None  # the definitions of the given code, once exercises were put into it

    def answer(self, frame: bytes | bytearray) -> bytes:
        """Return the frame that answers a request frame: {"value": ...} or {"failure": {...}}."""
        try:
            request = decode(frame)
            with self.supported(request.pop("support", {})):
                value = getattr(self, f"do_{request.pop('operation')}")(**request)
            self.expect_given_code()
            return encode({"value": value})
        except BaseException as error:  # student code may raise anything at all, SystemExit included
            return encode({"failure": self.described(error)})

    def do_load(self, name: str, source: str, filename: str, prerequisites: dict[str, str]) -> None:
        self.filename, self.filenames, self.given = filename, {filename}, None
        self.module = define(name, source, filename, prerequisites)

    def do_define(self, source: str, filename: str) -> Handle:
        """Keep a module of the grader's: what exercises work on, where it must owe nothing to other exercises of the submission."""
        module = types.ModuleType("lent")
        exec(compile(source, filename, "exec"), vars(module))
        return self.kept(module)

    def do_graft(self, source: str, filename: str, exercises: list[str]) -> None:
        """Put the exercises that the source defines into the loaded module; the source sees the module's names, and changes none."""
        self.filename, given, untouched = filename, vars(self.module), _definitions(self.module)
        self.filenames.add(filename)
        kept = {name: value for name, value in given.items() if name not in exercises}
        namespace = {**given, **names_without_import(filename)}
        exec(compile(source, filename, "exec"), namespace)
        for owner, _, method in (exercise.rpartition(".") for exercise in exercises):
            if owner:
                _graft_method(kept[owner], namespace[owner], method)
            else:
                given[method] = namespace[method]
        namespace.update(kept)
        grafted = _definitions(self.module)
        self.given = untouched | {path: grafted[path] for path in exercises if path in grafted}

    def expect_given_code(self) -> None:
        """Raise `Tampered` when exercises have exchanged a function of the given code for another.

        It runs beside them and is no barrier to one who exchanges it, too; it ends what can be written in a line or two.
        """
        if self.given is None:
            return
        now = _definitions(self.module)
        changed = [path for path in self.given if now.get(path) != self.given[path]]
        changed += [name for thing in self.objects for name in _own_methods(thing)]
        if changed:
            raise Tampered(changed[0])

    @contextmanager
    def supported(self, support: dict[str, Callback]) -> typing.Iterator[None]:
        """Let functions of the grader's stand in for those of the same names in the module, for what calls these."""
        own = {name: getattr(self.module, name) for name in support if hasattr(self.module, name)}
        for name, callback in support.items():
            setattr(self.module, name, _positional(self.revived(callback), own.get(name)))
        try:
            yield
        finally:
            for name in support:
                vars(self.module).pop(name, None)
                if name in own:
                    setattr(self.module, name, own[name])

    def do_parse(self, files: list) -> dict:
        """Return the program that is in all of the files, (name, content) each; where there is none, the sentence for its author."""
        try:
            filename, source = read_one([(name, content.tobytes()) for name, content in files])
        except Unreadable as error:
            return {"problem": str(error)}
        return {"filename": filename, "text": source.text, "cells": [list(cell) for cell in source.cells]}

    def do_take_apart(self, source: str, given: str, exercises: list[str]) -> list:
        """Return [source, names]: see `grader.inside.grafting`."""
        try:
            kept, changed = taken_apart(source, given, tuple(exercises))
        except SyntaxError as error:
            raise SyntaxError(error.msg) from error  # its line is told by no name that the author knows
        return [kept, list(changed)]

    def do_seed(self, seed: int) -> None:
        """Seed the global generators, so that what a check finds does not depend on the checks before it."""
        random.seed(seed)
        numpy.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def do_call(self, function: str, arguments: list, keywords: dict) -> object:
        return called(self.found(function), self.revived(arguments), self.revived(keywords))

    def do_create(self, function: str, arguments: list, keywords: dict) -> Handle:
        return self.kept(called(self.found(function), self.revived(arguments), self.revived(keywords)))

    def do_method(self, handle: Handle, method: str, arguments: list, keywords: dict) -> object:
        owner = self.revived(handle)
        result = called(getattr(owner, method), self.revived(arguments), self.revived(keywords))
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
        value = called(owner, arguments, self.revived(keywords))
        flat = [tensor for target in targets for tensor in (target if isinstance(target, list) else [target])]
        results = [value] if isinstance(value, torch.Tensor) else value if isinstance(value, list | tuple) else []
        sums = [result.sum() for result in results if isinstance(result, torch.Tensor) and result.requires_grad]
        gradients = iter(torch.autograd.grad(sum(sums[1:], sums[0]), flat, allow_unused=True) if sums else [None] * len(flat))
        return [value, [[next(gradients) for _ in target] if isinstance(target, list) else next(gradients) for target in targets]]

    def do_train(self, environments: dict, overrides: dict) -> list:
        """Train the module's agent on environments served by the grader; return [handle of the agent, logged scalars]."""
        from npfl139.envs.remote import RemoteVectorEnv
        from npfl139.runs import MemoryMonitor, config_type_of

        train, monitor = self.found("train"), MemoryMonitor()
        config = dataclasses.replace(config_type_of(train)(), **overrides)
        agent = train(RemoteVectorEnv(**self.revived(environments)), config, monitor)
        return [self.kept(agent), monitor.scalars]

    def found(self, path: str) -> typing.Any:
        target: typing.Any = self.module
        for name in path.split("."):
            if not hasattr(target, name):
                raise Missing(path)
            target = getattr(target, name)
        return target

    def kept(self, thing: object) -> Handle:
        self.objects.append(thing)
        return Handle(len(self.objects) - 1)

    def revived(self, value: object) -> typing.Any:
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
            kind = "stub" if self.is_stub(error) else _kind(error)
            return {"kind": kind, "type": _text(type(error).__name__), "message": _text(error), "line": self.line(error)}
        except BaseException:  # the exception's own methods are student code, too
            return {"kind": "exception", "type": "an exception", "message": "", "line": None}

    def is_stub(self, error: BaseException) -> bool:
        """Return whether a `raise NotImplementedError` of the submission or of the given code raised it, and not what these called."""
        if not isinstance(error, NotImplementedError):
            return False
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is None or trace.tb_frame.f_code.co_filename not in self.filenames:
            return False
        return trace.tb_frame.f_code.co_code[trace.tb_lasti] == RAISE

    def line(self, error: BaseException) -> int | None:
        """Return the line of the submission in which the exception arose, None if that is elsewhere."""
        if isinstance(error, SyntaxError) and error.filename == self.filename:
            return error.lineno
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == self.filename]
        return lines[-1] if lines else None


class Tampered(Exception):
    """The given code is not what it was. The message names what was changed."""


def _definitions(module: types.ModuleType) -> dict[str, tuple[int, int]]:
    """Return the functions and classes of a module and the members of its classes, by name, with their code."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    found = {name: value for name, value in vars(module).items() if callable(value)}
    found |= {
        f"{one.__name__}.{name}": value for one in classes for name, value in vars(one).items() if callable(value) or _is_method(value)
    }
    return {path: (id(value), id(getattr(value, "__code__", None))) for path, value in found.items()}


def _own_methods(thing: object) -> list[str]:
    """Return the names of methods of a class that an object replaces for itself; fields that are functions are none."""
    fields = getattr(type(thing), "__annotations__", {})
    return [name for name in getattr(thing, "__dict__", ()) if callable(getattr(type(thing), name, None)) and name not in fields]


def _is_method(value: object) -> bool:
    return isinstance(value, property | staticmethod | classmethod)


def _graft_method(given: type, own: type, method: str) -> None:
    """Give the class the method of a student's class of the same name, and whatever else that class, cut down to it, still has."""
    if own is given:
        return
    for name, value in vars(own).items():
        if name == method or name not in vars(given):
            setattr(given, name, value)
            if isinstance(value, types.FunctionType) and value.__closure__ and "__class__" in value.__code__.co_freevars:
                value.__closure__[value.__code__.co_freevars.index("__class__")].cell_contents = given  # what `super()` refers to


def called(function: typing.Callable, arguments: list, keywords: dict) -> object:
    """Return what a function returns, which must leave the values that it is called with as they are.

    Raises:
        ArgumentChanged: it did not.
    """
    given = [*arguments, *keywords.values()]
    names = [*(f"argument number {number}" for number in range(1, len(arguments) + 1)), *keywords]
    before = [[_content(argument)] for argument in given]  # in lists, for which a NaN equals itself
    result = function(*arguments, **keywords)
    for name, argument, content in zip(names, given, before, strict=True):
        if [_content(argument)] != content:
            raise ArgumentChanged(name)
    return result


def _positional(function: typing.Callable, named: typing.Any) -> typing.Callable:
    """Return a function that passes on what it gets by name in the places that `named` has for it."""
    return lambda *arguments, **keywords: function(*(inspect.signature(named).bind(*arguments, **keywords).args if keywords else arguments))


class ArgumentChanged(RuntimeError):
    """The submission changed an argument in place, which is the caller's."""


class Missing(AttributeError):
    """The submission has no function or class of that name."""


def _content(argument: object) -> object:
    """Return what an array, or a list of them, holds; None for anything else, such as an object that is there to be changed."""
    if isinstance(argument, torch.Tensor):
        return argument.detach().cpu().numpy().tobytes(), argument.shape
    if isinstance(argument, numpy.ndarray):
        return argument.tobytes(), argument.shape
    if isinstance(argument, list):
        return [_content(item) for item in argument], len(argument)
    return argument if isinstance(argument, int | float | str) else None


def _leaves(argument: typing.Any) -> typing.Any:
    return list(argument.parameters()) if isinstance(argument, torch.nn.Module) else argument


def _tracked(argument: object) -> object:
    """Return the argument, its tensors no leaves, which could not be changed in place, but copies of them."""
    if isinstance(argument, list):
        return [_tracked(item) for item in argument]
    return argument.requires_grad_().clone() if isinstance(argument, torch.Tensor) else argument


def _text(value: object) -> str:
    return str(value)[:MAX_MESSAGE].encode(errors="replace").decode()


def _kind(error: BaseException) -> str:
    """Return what the grader makes of the exception: "value", "absent", "changed", "memory", "forbidden" or just "exception"."""
    if isinstance(error, NotAValue):
        return "value"
    if isinstance(error, Missing):
        return "absent"
    if isinstance(error, ArgumentChanged):
        return "changed"
    if isinstance(error, Tampered):
        return "tampered"
    full = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if full or isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return "memory"
    causes = [error, error.__cause__, error.__context__]
    if any((isinstance(cause, OSError) and cause.errno == errno.EPERM) or isinstance(cause, socket.gaierror) for cause in causes):
        return "forbidden"
    return "exception"
