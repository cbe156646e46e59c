"""What runs next to student code: an executor of the grader's requests. It holds no check, no expected value, no secret.

The same executor serves a submission in the sandbox and, for trusted code (references, mistakes), in the grader's process.
"""

import dataclasses
import sys
import traceback
import types
import typing

import torch

from grader.protocol import Callback, Handle, NotAValue, decode, encode

__all__ = ["Executor", "define"]

MAX_MESSAGE = 500


def define(name: str, source: str, filename: str, prerequisites: dict[str, str]) -> types.ModuleType:
    """Return the module `name` made from a submission's source, on top of the solutions of earlier topics."""
    if prerequisites:
        sys.modules["solutions"] = package = types.ModuleType("solutions")
        package.__path__ = []
        for stem, text in prerequisites.items():
            setattr(package, stem, define(f"solutions.{stem}", text, f"solutions/{stem}.py", {}))
    module = types.ModuleType(name)
    module.__file__ = filename
    sys.modules[name] = module
    exec(compile(source, filename, "exec"), module.__dict__)
    return module


class Executor:
    """Executes requests on one module; every answer is a value or a description of a failure."""

    def __init__(self, call_back: typing.Callable[[int, list], object]):
        self.module = None
        self.call_back = call_back
        self.objects = []

    def answer(self, frame: bytes) -> bytes:
        """Return the frame that answers a request frame: {"value": ...} or {"failure": {...}}."""
        try:
            request = decode(frame)
            return encode({"value": getattr(self, f"do_{request.pop('operation')}")(**request)})
        except BaseException as error:  # student code may raise anything at all, SystemExit included
            return encode({"failure": self.described(error)})

    def do_load(self, name: str, source: str, filename: str, prerequisites: dict[str, str]) -> None:
        self.module = define(name, source, filename, prerequisites)

    def do_call(self, function: str, arguments: list, keywords: dict) -> object:
        return self.found(function)(*self.revived(arguments), **self.revived(keywords))

    def do_create(self, function: str, arguments: list, keywords: dict) -> Handle:
        return self.kept(self.found(function)(*self.revived(arguments), **self.revived(keywords)))

    def do_method(self, handle: Handle, method: str, arguments: list, keywords: dict) -> object:
        return getattr(self.revived(handle), method)(*self.revived(arguments), **self.revived(keywords))

    def do_read(self, handle: Handle, attribute: str) -> object:
        return getattr(self.revived(handle), attribute)

    def do_gradient(self, function: str, arguments: list, keywords: dict, wrt: list[int], handle: Handle | None) -> list:
        """Return [value, gradients]: of the sum of the result by each argument; None where it does not depend on it.

        For an argument that is a module the gradient is the list of the gradients by its parameters.
        """
        arguments = self.revived(arguments)
        for position in wrt:
            if isinstance(arguments[position], torch.Tensor):
                arguments[position].requires_grad_()
        owner = self.found(function) if handle is None else getattr(self.revived(handle), function)
        value = owner(*arguments, **self.revived(keywords))
        targets = [list(arguments[position].parameters()) if isinstance(arguments[position], torch.nn.Module) else arguments[position] for position in wrt]
        flat = [tensor for target in targets for tensor in (target if isinstance(target, list) else [target])]
        if isinstance(value, torch.Tensor) and value.requires_grad:
            gradients = iter(torch.autograd.grad(value.sum(), flat, allow_unused=True))
        else:
            gradients = iter([None] * len(flat))
        return [value, [[next(gradients) for _ in target] if isinstance(target, list) else next(gradients) for target in targets]]

    def do_train(self, environments: dict, overrides: dict) -> list:
        """Train the module's agent on environments served by the grader; return [handle of the agent, logged scalars]."""
        from npfl139.runs import MemoryMonitor
        from npfl139.envs.remote import RemoteVectorEnv

        config_type = typing.get_type_hints(self.module.train)["config"]
        monitor = MemoryMonitor()
        agent = self.module.train(RemoteVectorEnv(self.revived(environments)), dataclasses.replace(config_type(), **overrides), monitor)
        return [self.kept(agent), monitor.scalars]

    def found(self, path: str) -> object:
        target = self.module
        for name in path.split("."):
            target = getattr(target, name)
        return target

    def kept(self, thing: object) -> Handle:
        self.objects.append(thing)
        return Handle(len(self.objects) - 1)

    def revived(self, value: object) -> object:
        """Return the value with handles replaced by their objects and callbacks by functions."""
        if isinstance(value, list):
            return [self.revived(item) for item in value]
        if isinstance(value, dict):
            return {key: self.revived(item) for key, item in value.items()}
        if isinstance(value, Handle):
            return self.objects[value.number]
        if isinstance(value, Callback):
            return lambda *arguments: self.call_back(value.number, list(arguments))
        return value

    def described(self, error: BaseException) -> dict:
        """Return what the grader may tell a student of an exception: its type, its message, the line of the submission."""
        filename = getattr(self.module, "__file__", None)
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
        try:
            message = str(error)[:MAX_MESSAGE]
        except BaseException:
            message = ""
        return {"type": type(error).__name__, "message": message, "line": lines[-1] if lines else None, "value": isinstance(error, NotAValue)}
