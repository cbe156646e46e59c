"""The notebooks in a running Jupyter kernel, as a student meets them, and outside of one, as the grader does."""

import json
import os
import re
import sys

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

import npfl139
from grader.release.skeleton import make_notebook
from tests.test_cli import AGENT, COMPLETE, SKELETON, written

NAMES = ["doubled", "quadrupled", "Counter.add"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq")


class Kernel(AsyncKernelManager):
    """A kernel of the Python that runs the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self):
        spec = super().kernel_spec
        spec.argv[0] = sys.executable
        return spec


@pytest.fixture
def run_all(tmp_path):
    """Run all cells of a notebook, in a folder with the assignment `toy`; return what its cells show, and the error that ended it."""
    folder = tmp_path / "assignments"
    folder.mkdir()
    points = {"doubled": 1, "quadrupled": 2.5, "Counter.add": 1}
    (folder / "toy.json").write_text(json.dumps({"title": "A toy", "points": points, "training_points": 0, "prerequisites": []}))
    (folder / "toy.py").write_text(SKELETON)

    def run(source: str, exercises: list[str] = NAMES) -> tuple[list[dict], str]:
        notebook = nbformat.reads(make_notebook(source, exercises), as_version=4)
        client = NotebookClient(
            notebook, kernel_manager_class=Kernel, timeout=120, allow_errors=True, resources={"metadata": {"path": tmp_path}}
        )
        client.execute(env={"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_PLATFORM_DIRS": "1", **os.environ})
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        failed = [output.ename for output in outputs if output.output_type == "error"]
        return outputs, failed[0] if failed else ""

    return run


def shown(outputs: list[dict], kind: str) -> str:
    return "\n".join(output["data"].get(kind, "") for output in outputs if "data" in output)


def said(outputs: list[dict]) -> str:
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def test_checks_are_tables_with_a_text_for_whoever_cannot_show_them(run_all):
    outputs, failed = run_all(written(doubled="return 3 * x", quadrupled="print('x is', x); return [][x]"))
    page, text = shown(outputs, "text/html"), shown(outputs, "text/plain")
    assert not failed
    assert page.count("<table>") == 3 and "<code>doubled</code>" in page and "&gt;&gt;&gt; doubled(2)" in page
    assert re.search("doubled +failed +example 1 of 2: not as expected", text) and "expected\n    4\ngot\n    6" in text
    assert "raised IndexError: list index out of range, in cell [" in text and "it printed:\n    x is 1" in text
    assert "Counter.add  missing  not implemented yet" in text


def test_what_needs_a_missing_exercise_ends_in_a_sentence(run_all):
    outputs, _ = run_all(SKELETON + "\n\n# %%\nprint(doubled(2))\n")
    assert said(outputs) == "doubled is not implemented yet: write it in its cell, run that cell, then this one again.\n"
    assert not [output for output in outputs if output["output_type"] == "error" and output["traceback"]]


def test_other_errors_keep_their_traceback(run_all):
    outputs, failed = run_all(COMPLETE + "\n\n# %%\nraise NotImplementedError('not for sparse tensors')\n")
    assert failed == "NotImplementedError" and "not for sparse tensors" in json.dumps(outputs)


def test_training_draws_its_curve_in_the_notebook(run_all):
    program = (
        AGENT.replace("steps=64", "steps=2000")
        + "\n\n# %%\nif __name__ == '__main__':\n    import npfl139.runs\n    npfl139.runs.main(train)\n"
    )
    outputs, failed = run_all(SKELETON + "\n\n# %%\n" + program)
    assert not failed and shown(outputs, "image/png") and "CartPole-v1: mean return" in said(outputs)
    assert "the reference's: !npfl139 plot runs/" in said(outputs), "a cell needs the ! before a command"
    assert "%tensorboard --logdir runs" in said(outputs)


def test_training_that_needs_a_missing_exercise_says_so_in_a_sentence(run_all):
    program = AGENT.replace("    monitor.watch(agent)\n", "    doubled(1)\n") + "\n\n# %%\nimport npfl139.runs\nnpfl139.runs.main(train)\n"
    outputs, failed = run_all(SKELETON + "\n\n# %%\n" + program)
    assert not failed and said(outputs) == "npfl139.runs.main: doubled is not implemented yet, and training needs it\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [("npfl139.check('doubeld')", "did you mean 'doubled'?"), ("del doubled, quadrupled, Counter; npfl139.check()", "defines no exercise")],
)
def test_a_check_of_nothing_says_why(run_all, call, message):
    outputs, failed = run_all(f"{SKELETON}\n\n# %%\n{call}\n")
    assert failed == "ValueError" and message in json.dumps(outputs)


def test_outside_of_a_notebook_nothing_is_checked():
    assert not npfl139.in_notebook() and npfl139.check("doubled") is None
