"""Every cell of every lecture runs, in a fresh interpreter and from the top, as a reader would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

from grader.contract.registry import available, load

LECTURES = Path(__file__).resolve().parent.parent / "lectures"

each_topic = pytest.mark.parametrize("topic", available())


@each_topic
def test_every_cell_runs(topic, tmp_path):
    notebook = jupytext.read(LECTURES / f"{topic}.md")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert code, "a lecture without a cell"
    program = tmp_path / "lecture.py"
    end_of_cell = "\n\nimport matplotlib.pyplot\nmatplotlib.pyplot.close('all')\n\n"  # every cell of a notebook has a figure of its own
    program.write_text("import torch\ntorch.set_num_threads(1)\n" + end_of_cell.join(code))
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]


@each_topic
def test_every_equation_that_an_exercise_cites_is_in_the_lecture(topic):
    cited = set(re.findall(rf"\[({topic}:[\w-]+)\]", load(topic).solution.read_text()))
    labels = set(re.findall(r"^:label: (\S+)$", (LECTURES / f"{topic}.md").read_text(), re.MULTILINE))
    assert cited
    assert cited <= labels
