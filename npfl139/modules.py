"""Modules made of source that lies on no path of Python's."""

import sys
import types

from npfl139.source import names_without_import

__all__ = ["define"]


def define(name: str, source: str, filename: str) -> types.ModuleType:
    """Run the source of a program or notebook as the module `name`, which is importable from then on; return it.

    Raises:
        BaseException: whatever the source raises.
    """
    module = types.ModuleType(name)
    module.__file__ = filename
    vars(module).update(names_without_import(filename))
    sys.modules[name] = module  # dataclasses look their module up there
    exec(compile(source, filename, "exec"), vars(module))
    return module
