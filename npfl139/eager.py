"""Optimizers of torch that do not load its compiler.

The first step of a torch optimizer imports `torch._dynamo`, 800 modules and more than a second, only to tell a compiler that is not
there to keep away: `torch._disable_dynamo` wraps four methods of every optimizer, and `_use_grad_for_differentiable` wraps `step`.
While `torch._dynamo` is not imported nothing can be compiled, so the methods within the wrappers do exactly the same.
"""

import functools
import sys
import types
from collections.abc import Callable

import torch

__all__ = ["skip_compiler"]


def skip_compiler() -> None:
    """Make the optimizers of `torch.optim` step without importing `torch._dynamo`, unless a program imports it for a use of its own.

    Methods are recognized by the code of torch's wrappers. Where another version of torch wraps otherwise, all stays as it is: right, and
    slow to start. To call it again changes nothing.
    """
    disabling, stepping = _code_of("_compile", "_disable_dynamo"), _code_of("optim.optimizer", "_use_grad_for_differentiable")
    for optimizer in vars(torch.optim).values():
        if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
            for name, method in list(vars(optimizer).items()):
                code = getattr(method, "__code__", None)
                if code is not None and code in (disabling, stepping):
                    setattr(optimizer, name, _replaced(method, code is stepping))


def _code_of(module: str, wrapper: str) -> types.CodeType | None:
    """Return the code of what a wrapper of torch's makes of a function: the same code, whatever the function."""
    wrap = getattr(sys.modules.get(f"torch.{module}"), wrapper, None)
    return getattr(wrap(lambda: None), "__code__", None) if wrap else None


def _replaced(wrapped: Callable, is_step: bool) -> Callable:
    eager = vars(wrapped)["__wrapped__"]

    @functools.wraps(eager)
    def method(self: torch.optim.Optimizer, *arguments: object, **options: object) -> object:
        if "torch._dynamo" in sys.modules:
            return wrapped(self, *arguments, **options)
        with torch.set_grad_enabled(self.defaults["differentiable"] if is_step else torch.is_grad_enabled()):
            return eager(self, *arguments, **options)

    return method
