"""Virtual environments to install wheels into. They see the packages of the environment that runs the tests, so nothing is downloaded."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("npfl139", "solutions", "assignments", "lectures", "grader", "deep_rl_unit.py", "pyproject.toml", "README.md", "LICENSE")
COMMAND = "from deep_rl_unit import main; main()"


class Venv:
    """An environment of its own; what is installed into it comes before what it sees."""

    def __init__(self, folder: Path, with_ours: bool):
        """Args: with_ours: whether it sees this checkout too, as the environment of the tests does."""
        venv.create(folder, symlinks=True)
        self.python = folder / "bin" / "python"
        self.site = next((folder / "lib").glob("python*/site-packages"))
        outer = sysconfig.get_paths()["purelib"]
        line = f"import site; site.addsitedir({outer!r})" if with_ours else outer  # only the former reads its .pth files
        (self.site / "outer.pth").write_text(line + "\n")

    def install(self, project: Path) -> None:
        """Build the wheel of a project and unpack it, which for a wheel of pure Python is all that installing does."""
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        subprocess.run([*command, "--disable-pip-version-check", "--wheel-dir", project / "wheels", project], check=True)
        for wheel in (project / "wheels").glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(self.site)

    def run(self, *arguments: object, cwd: Path) -> subprocess.CompletedProcess:
        """Run Python with the arguments."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment |= {"COLUMNS": "120", "XDG_CACHE_HOME": str(ROOT / "build" / "cache")}  # of lectures that were run
        return subprocess.run([self.python, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True)

    def npfl139(self, *arguments: object, cwd: Path) -> str:
        """Run the command, which must succeed; return what it printed."""
        done = self.run("-c", COMMAND, *arguments, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def copy_of_this_project(folder: Path) -> Path:
    """Copy what a wheel is made of, so that building leaves nothing behind and nothing left behind gets into it."""
    folder.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    return folder
