"""Who writes nothing in an exercise but a return of what was given, a constant, or an exception, passes no check of it."""

import ast
import textwrap
import warnings

import pytest

from grader.contract.registry import available, load
from grader.contract.spec import span
from grader.grading.diagnosis import trusted
from grader.grading.grade import verdict_of

EMPTY = ("raise ValueError('n: 0')", "raise RuntimeError('n: 0')", "return 0", "return 1.0", "return torch.tensor(0.0)")


def empties(source, exercise):
    """Yield what could stand in place of an exercise, and the source with it."""
    start, end = span(source, exercise)
    lines = source.splitlines(keepends=True)
    function = ast.parse(textwrap.dedent("".join(lines[start:end]))).body[0]
    names = [argument.arg for argument in function.args.args]
    for body in (*EMPTY, *(f"return {name}" for name in names), *(f"return torch.zeros_like({name})" for name in names if name != "self")):
        function.body = [ast.parse(f"def f():\n    {body}").body[0].body[0]]
        text = textwrap.indent(ast.unparse(function) + "\n", " " * (4 * exercise.count(".")))
        yield body, "".join(lines[:start]) + text + "".join(lines[end:])


@pytest.mark.parametrize("name", available())
def test_an_empty_answer_passes_no_check(name):
    topic, passed = load(name), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what nonsense makes a library warn of
        for exercise in topic.exercises:
            for body, source in empties(topic.solution.read_text(), exercise):
                student = trusted(topic, source, topic.solution.name)
                own = [check for check in topic.checks if check.exercise == exercise]
                passed += [(check.name, body) for check in own if verdict_of(topic, check, student, 3)[0] == "passed"]
    assert passed == []
