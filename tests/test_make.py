"""What `make` says where it cannot set the environment up."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize("version", [None, "3.10"])
def test_a_python_that_is_missing_or_too_old_is_one_sentence(tmp_path, version):
    python = tmp_path / "python"
    if version:
        python.write_text("#!/bin/sh\nexit 1\n")  # what the question for its version ends with
        python.chmod(0o755)
    command = ["make", "--no-print-directory", "install", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and not (tmp_path / "venv").exists()
    assert (
        done.stdout == "There is no Python 3.11 or newer with venv here: install one, or say where it is, make PYTHON=/path/to/python3.\n"
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_a_python_that_fits_is_found_without_being_told():
    planned = subprocess.run(["make", "--dry-run", "install", "VENV=no_such_folder"], cwd=ROOT, capture_output=True, text=True).stdout
    assert "python3" in planned and "[1/3] no_such_folder, with /" in planned
