"""What happens around the sandbox: killed graders, busy machines, missing packages, too little memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_cheats import processes_below
from test_sandbox import gone

import grader
from grader.classroom import capacity
from grader.contract.registry import load
from grader.contract.student import InProcess, StudentError
from grader.grading import remote
from grader.grading import sandbox as sandbox_module
from grader.grading.grade import grade
from grader.grading.remote import Allowance, Sandboxed
from grader.grading.sandbox import SandboxUnavailable, open_sandbox
from grader.inside.limits import Limits
from grader.inside.protocol import Overdue
from grader.records import Options, Submission

TOPIC = load("ppo")
SOLUTION = TOPIC.solution.read_text()
COMMAND = "from deep_rl_unit import main; main()"
PROJECT = Path(grader.__file__).resolve().parents[1]


def submission(source: str) -> Submission:
    return Submission("ada", "ppo", source, "ppo.py", "0" * 64)


def class_of(folder: Path, **sources: str) -> Path:
    for student, source in sources.items():
        (folder / student).mkdir(parents=True)
        (folder / student / "ppo.py").write_text(source)
    return folder


@pytest.mark.parametrize("kind", ["bwrap", "process"])
@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
def test_a_killed_class_leaves_no_process_and_the_next_one_removes_its_folders(kind, sandbox, tmp_path, monkeypatch):
    waiting = "import time\ntime.sleep(1000)\n"
    folder = class_of(tmp_path / "class", ada=waiting, blaise=waiting)
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    arguments = ["grade", str(folder), "--out", str(tmp_path / "out"), "--jobs", "2", "--sandbox", kind]
    with subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and len(left := processes_below(run.pid)) < (9 if kind == "bwrap" else 7):
            time.sleep(0.1)
        run.send_signal(signal.SIGKILL)
    assert len(left) >= 4, "two graders and two sandboxes"
    assert all(gone(process, 20) for process in left)
    abandoned = [*(tmp_path / "tmp").glob(f"{sandbox_module.SCRATCH}*")]
    assert len(abandoned) == 2
    monkeypatch.setattr(sandbox_module.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setattr(sandbox_module, "FRESH_SECONDS", 0.0)
    sandbox_module._remove_abandoned()
    assert not any(path.exists() for path in abandoned)


def test_folders_of_others_who_live_or_are_fresh_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox_module.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sandbox_module.tempfile, "tempdir", str(tmp_path))
    held = sandbox_module._Scratch()
    for name in ("fresh", "abandoned"):
        (tmp_path / f"{sandbox_module.SCRATCH}{name}").mkdir()
    (tmp_path / f"{sandbox_module.SCRATCH}link").symlink_to(tmp_path)
    sandbox_module._remove_abandoned()
    assert len([*tmp_path.iterdir()]) == 4
    monkeypatch.setattr(sandbox_module, "FRESH_SECONDS", -1.0)
    sandbox_module._remove_abandoned()
    assert {path.name for path in tmp_path.iterdir()} == {Path(held.path).name, f"{sandbox_module.SCRATCH}link"}
    held.remove()
    held.remove()
    assert not Path(held.path).exists()


class Machine:
    """A worker on a machine whose clock, and what it tells of waiting, are set by hand."""

    def __init__(self, monkeypatch):
        self.now, self.cpu, self.waited, self.grader_waited = 100.0, 0.0, 0.0, 0.0
        monkeypatch.setattr(remote.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(remote, "waited_of", lambda _: self.grader_waited)

    def used(self):
        return self.cpu, self.waited

    def pass_time(self, seconds, cpu=0.0, waited=0.0, grader_waited=0.0):
        self.now += seconds
        self.cpu += cpu
        self.waited = None if waited is None else self.waited + waited
        self.grader_waited = None if grader_waited is None else self.grader_waited + grader_waited


@pytest.mark.parametrize(
    ("each_second", "seconds"),
    [
        ({"cpu": 1.0}, 20),
        ({"cpu": 0.0}, 20),
        ({"cpu": 0.5, "waited": 0.5}, 39),
        ({"cpu": 0.25, "waited": 0.25, "grader_waited": 0.5}, 77),
        ({"cpu": 0.0, "waited": 1.0}, 200),
        ({"cpu": 4.0, "waited": 1.0}, 20),
        ({"cpu": 0.5, "waited": None, "grader_waited": None}, 39),
        ({"cpu": 0.0, "waited": None, "grader_waited": None}, 200),
    ],
    ids=["computes", "sleeps", "shares", "both share", "never runs", "many threads", "unknown", "unknown and asleep"],
)
def test_a_request_is_limited_by_its_own_seconds(monkeypatch, each_second, seconds):
    machine = Machine(monkeypatch)
    patience = remote._Patience(machine, 20.0)
    with pytest.raises(Overdue):
        while True:
            machine.pass_time(1.0, **each_second)
            if machine.now >= patience.at:
                patience.passed()
    assert abs(machine.now - 100.0 - seconds) <= 2


def test_a_quick_request_is_not_measured(monkeypatch):
    machine = Machine(monkeypatch)
    monkeypatch.setattr(machine, "used", None)
    patience = remote._Patience(machine, 20.0)
    machine.pass_time(0.25)
    assert patience.spent() == 0.25


def test_a_part_of_an_allowance_spends_the_whole():
    whole = Allowance(5.0)
    part = Allowance(3.0, whole)
    part.spend(2.0)
    assert (part.left, whole.left) == (1.0, 3.0)
    whole.spend(2.5)
    assert part.left == 0.5


def test_the_limit_of_a_submission_ends_it_and_says_so(sandbox):
    loops = SOLUTION + "".join(f"\ndef {name}(*_):\n    while True: pass\n" for name in ("normalized", "value_loss", "entropy"))
    result = grade(TOPIC, submission(loops), sandbox, Options(limit=3.0))
    assert result.provenance.basis.limit == 3.0
    assert {check.verdict for check in result.checks} == {"passed", "timeout"}
    assert "the checks before it took the 3 seconds that there are for all of them" in {check.feedback for check in result.checks}
    assert {training.verdict for training in result.training} == {"blocked"}


def test_training_ends_with_the_limit_of_the_submission(sandbox):
    slow = SOLUTION + "\n_losses = value_loss\ndef value_loss(*both):\n    import time; time.sleep(0.4); return _losses(*both)\n"
    result = grade(TOPIC, submission(slow), sandbox, Options(limit=6.0))
    assert {check.verdict for check in result.checks} == {"passed"}
    feedback = [training.feedback for training in result.training]
    assert "all its calls together took too long" in feedback[0]
    assert feedback[1] == "the submission has used up the 6 seconds that there are for all of it"


def test_each_timeout_halves_the_patience_and_costs_no_other_exercise(sandbox, monkeypatch):
    from grader.grading import grade as grading

    limits = grading.Limits
    monkeypatch.setattr(grading, "Limits", lambda **chosen: limits(**{"seconds": 1.6} | chosen))
    loops = SOLUTION + "".join(f"\ndef {name}(*_):\n    while True: pass\n" for name in ("normalized", "value_loss", "entropy"))
    result = grade(TOPIC, submission(loops), sandbox, Options(training=False))
    told = [check.feedback for check in result.checks if check.verdict == "timeout"]
    assert told[:5] == [f"it did not finish within {seconds} seconds" for seconds in ("1.6", "0.8")] + told[2:5]
    assert {"it did not finish within 0.4 seconds", "it did not finish within 0.2 seconds"} <= set(told)
    assert {check.exercise for check in result.checks if check.verdict != "passed"} == {"normalized", "value_loss", "entropy"}


NOT_IMPLEMENTED = """
import torch

def of_torch():
    return torch.nn.Module()(torch.ones(1))

def of_an_operator():
    return torch.ops.aten.hspmm(torch.ones(2, 2), torch.ones(2, 2))

def stub():
    raise NotImplementedError

def through_a_helper():
    return stub()
"""


@pytest.mark.parametrize(
    ("function", "verdict"), [("of_torch", "crashed"), ("of_an_operator", "crashed"), ("stub", "missing"), ("through_a_helper", "missing")]
)
def test_what_torch_has_not_implemented_is_not_a_stub(function, verdict):
    student = InProcess(NOT_IMPLEMENTED, "work", "work.py")
    with pytest.raises(StudentError) as caught:
        student.call(function)
    assert caught.value.verdict == verdict
    assert verdict == "missing" or "NotImplementedError in line" in caught.value.feedback


@pytest.mark.skipif(sys.platform != "linux", reason="memory is watched on Linux only")
def test_shared_memory_counts(weak_sandbox):
    source = (Path(__file__).parent / "attacks" / "memory_shared_maps.py").read_text()
    student = Sandboxed(weak_sandbox, Limits(memory=256 * 2**20))
    with student, pytest.raises(StudentError, match="memory: it needs more memory than it is allowed"):
        student.load(source, "work", "work.py")


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """Return a function that makes this a machine of eight processors with so many GiB left, in a control group with these limits."""
    monkeypatch.setattr(capacity.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(capacity, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(capacity, "CONTROL_GROUPS", tmp_path)

    def of(available, groups):
        if available is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {available * 2**20} kB\n")
        for name in ("memory.max", "memory.current"):
            (tmp_path / name).write_text(str(groups[name] * 2**30) if groups.get(name) else "max\n")

    return of


@pytest.mark.parametrize(
    ("available", "groups", "jobs"),
    [
        (100, {}, 8),
        (7, {}, 2),
        (1, {}, 1),
        (None, {}, 8),
        (100, {"memory.max": 10, "memory.current": 1}, 3),
        (100, {"memory.max": None}, 8),
    ],
)
def test_no_more_jobs_than_memory_allows(memory, available, groups, jobs):
    memory(available, groups)
    warnings = []
    assert capacity.jobs_for(100, None, warnings.append) == jobs
    assert not warnings


@pytest.mark.parametrize(
    ("submissions", "wanted", "jobs", "lasting"), [(100, 4, 4, 2), (100, 2, 2, None), (1, 4, 1, None), (0, 4, 1, None)]
)
def test_more_jobs_than_memory_lasts_for_are_had_with_a_warning(memory, submissions, wanted, jobs, lasting):
    memory(7, {})
    warnings = []
    assert capacity.jobs_for(submissions, wanted, warnings.append) == jobs
    assert [warning.split("; ")[-1] for warning in warnings] == ([f"use --jobs {lasting}"] if lasting else [])
    assert not lasting or warnings[0].startswith("4 submissions at a time may need 12 GiB of memory, and 7.0 GiB are left: ")


@pytest.mark.parametrize("kind", ["bwrap", "process"])
def test_a_package_that_the_sandbox_does_not_see_is_told(kind, sandbox, monkeypatch):
    start = "import grader.inside.zygote as zygote; zygote.preload = lambda: __import__('nowhere_installed'); main("
    monkeypatch.setattr(sandbox_module, "START", sandbox_module.START.replace("main(", start))
    message = "cannot import what submissions need: No module named 'nowhere_installed'.*install what is missing"
    with pytest.raises(SandboxUnavailable, match=message):
        open_sandbox(kind).__enter__()


def test_packages_that_are_imported_from_elsewhere_are_shown_unless_they_lie_among_what_is_hidden(tmp_path, monkeypatch):
    """As with `pip install --target`, a variable, conda, or an editable installation, which need not even be on the path."""
    for folder in ("target", "editable/src", "topic/src", "useless"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "target" / "needed_module.py").touch()
    (tmp_path / "topic" / "src" / "needed_answers.py").touch()
    (tmp_path / "editable" / "src" / "needed_package").mkdir()
    (tmp_path / "editable" / "src" / "needed_package" / "__init__.py").touch()
    places = {"needed_package": tmp_path / "editable" / "src"}
    monkeypatch.setattr(sandbox_module.sys, "path", [str(tmp_path / name) for name in ("target", "topic/src", "useless", "absent")])
    monkeypatch.setattr(sandbox_module, "_required", lambda: ("needed_module", "needed_package", "needed_answers", "not_installed"))
    monkeypatch.setattr(sandbox_module, "_secret_roots", lambda: {tmp_path / "topic"})
    place_of = sandbox_module._place_of
    monkeypatch.setattr(sandbox_module, "_place_of", lambda name: places.get(name) or place_of(name))
    assert sandbox_module._places() == [tmp_path / "target", tmp_path / "editable" / "src"]


def test_what_submissions_need_is_known():
    assert {"torch", "numpy", "gymnasium", "msgpack", "jupytext", "typing_extensions"} <= set(sandbox_module._required())
    assert not {"grader", "npfl139", "solutions"} & set(sandbox_module._required())


@pytest.mark.parametrize("user", [None, 65534], ids=["packages on a path", "an ordinary user"])
def test_a_class_is_graded_with_packages_outside_of_an_environment(sandbox, tmp_path, user):
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    path = os.pathsep.join([str(Path(sys.modules["torch"].__file__).parents[1]), str(PROJECT)])
    options = {"cwd": tmp_path, "env": {"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": str(tmp_path)}}
    class_of(tmp_path / "class", ada=SOLUTION)
    if user is not None:
        if os.getuid() != 0:
            pytest.skip("only root can become somebody else")
        for folder in (tmp_path, *tmp_path.parents[:3]):
            if folder.stat().st_uid == 0 and folder != Path("/tmp"):
                folder.chmod(0o755)
        os.chown(tmp_path, user, user)
        options |= {"user": user, "group": user, "extra_groups": []}
        try:
            subprocess.run([interpreter, "-c", "import torch, grader"], check=True, **options)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("another user may not run this Python")
    done = subprocess.run(
        [interpreter, "-c", COMMAND, "grade", "class", "--no-training"], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0 and "everything passed" in done.stdout, done.stdout + done.stderr


def test_a_sandbox_that_cannot_be_had_is_told_with_a_status(tmp_path):
    folder = class_of(tmp_path / "class", ada="x = 1\n")
    environment = os.environ | {"PATH": str(tmp_path)}
    for jobs in ("1", "2"):
        arguments = ["grade", str(folder), "--out", str(tmp_path / jobs), "--jobs", jobs]
        done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "there is no program bwrap" in done.stderr
