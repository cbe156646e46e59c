"""The examples in the docstrings of the students' library, all of which are true."""

import doctest
import importlib
import pkgutil

import pytest

import npfl139

MODULES = [module.name for module in pkgutil.walk_packages(npfl139.__path__, "npfl139.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
