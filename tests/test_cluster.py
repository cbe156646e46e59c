"""A class is graded on a Dask cluster as on one machine; workers that would grade otherwise refuse, and killed ones cost nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError, Future
from types import SimpleNamespace

import msgspec
import pytest
from courses import HERE

distributed, psutil = pytest.importorskip("distributed"), pytest.importorskip("psutil")


from grader.classroom import cluster, engines  # noqa: E402
from grader.classroom.session import grade_class  # noqa: E402
from grader.classroom.store import Store  # noqa: E402
from grader.contract.registry import load  # noqa: E402
from grader.grading.provenance import basis_of  # noqa: E402
from grader.records import Options, Submission  # noqa: E402

SEED = 918_273_645_546
OPTIONS = Options(seed=SEED, training=False, sandbox="process")
SUBMISSION = Submission("ada", "ppo", "", "ppo.py", "0" * 64)
TASK = cluster.Task(SUBMISSION, OPTIONS, basis_of(SUBMISSION, OPTIONS), cluster._cpu_capability())


@pytest.fixture
def folder(tmp_path):
    for student, source in {"ada": load("retrace").solution.read_text(), "blaise": "def retrace(:\n", "carl": "x = 1\n"}.items():
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "retrace.py").write_text(source)
    return tmp_path / "class"


@pytest.fixture(scope="module")
def address():
    """The address of a cluster of two processes that talk over the loopback."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", protocol="tcp://", dashboard_address=None, silence_logs=50
    ) as local:
        yield local.scheduler_address


def on(address):
    return lambda *task: cluster.graded(address, *task)


def marks(results):
    return [msgspec.structs.replace(each, provenance=msgspec.structs.replace(each.provenance, seconds=0.0)) for each in results]


def test_the_marks_are_those_of_one_machine_though_a_worker_is_killed(folder, tmp_path, address):
    alone = grade_class([folder], tmp_path / "alone", engines.graded, jobs=1, options=OPTIONS)
    killed = []

    def engine(submissions, jobs, options, started):
        def begun(submission):
            started(submission)
            if not killed:
                killed.append(victim(address))

        return cluster.graded(address, submissions, jobs, options, begun)

    spread = grade_class([folder], tmp_path / "spread", engine, options=OPTIONS)
    assert killed and marks(spread) == marks(alone) and alone[0].score > 0


def victim(address):
    """Kill a worker with kill -9; return its process."""
    with distributed.Client(address, set_as_default=False) as client:
        process = next(iter(client.run(os.getpid).values()))
    os.kill(process, signal.SIGKILL)
    return process


@pytest.fixture
def machines(tmp_path, request):
    """A scheduler and a worker, each a process that may be killed, the worker with these options: (address, scheduler, worker)."""
    told, started = tmp_path / "scheduler.json", []

    def start(*arguments):
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        started.append(subprocess.Popen(command, env=HERE, cwd=tmp_path, stderr=subprocess.DEVNULL))
        return started[-1]

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", told)
    eventually(lambda: (told.exists() and told.read_text()) or scheduler.poll())
    address = json.loads(told.read_text())["address"]
    yield address, scheduler, start("worker", address, *getattr(request, "param", ("--nthreads", "1", "--no-nanny")))
    for process in started:
        process.kill()
        process.wait()


def eventually(true):
    """Wait until something is true, and return it; a machine may be busy."""
    for _ in range(1200):
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not become true within two minutes")


def processes_of(process):
    """Return the process, those that it started, and so on."""
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


NANNY = cluster.WORKER.split()[1:]


@pytest.mark.parametrize("machines", [NANNY], indirect=True)
def test_a_worker_that_is_told_to_end_does_though_a_submission_does_not(machines):
    address, _, worker = machines
    endless = Submission("ada", "retrace", None, "retrace.py", "0" * 64, unread=(("retrace.py", b"while True:\n    pass\n"),))
    task = cluster.Task(endless, OPTIONS, basis_of(endless, OPTIONS), cluster._cpu_capability())
    with distributed.Client(address, set_as_default=False) as client:
        client.get_executor(pure=False).submit(cluster._work, cluster.Sealed(msgspec.json.encode(task)))
        sandboxed = eventually(lambda: len(found := processes_of(worker)) > 4 and found)  # nanny, tracker, worker, zygote, the endless one
        worker.terminate()
        assert psutil.wait_procs(sandboxed, timeout=120)[1] == []


@pytest.mark.parametrize("machines", [[*NANNY[:-1], "15"]], indirect=True)  # a nanny gives up, too, if its worker needs longer to begin
def test_a_worker_that_its_nanny_started_again_does_not_wait_for_ever_for_a_scheduler_that_is_gone(machines):
    address, scheduler, worker = machines
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(1)
        # The scheduler knows the worker before the nanny does; killed in between, it would count as one that cannot begin.
        eventually(lambda: list(client.run(lambda dask_worker: dask_worker.status.name, nanny=True).values()) == ["running"])
        first = processes_of(worker)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        eventually(lambda: set(processes_of(worker)) - set(first))
        scheduler.kill()
    again = processes_of(worker)
    worker.terminate()
    assert psutil.wait_procs(again, timeout=120)[1] == []


@pytest.mark.parametrize(
    ("victim", "sentence"),
    [(1, "the scheduler at tcp://.* was lost: start it and grade again"), (2, "has no workers any more: start some")],
)
def test_what_was_graded_before_the_cluster_was_lost_is_kept(folder, tmp_path, monkeypatch, machines, victim, sentence):
    monkeypatch.setattr(cluster, "PATIENCE", 20)  # the first worker has to come in this time
    graded = []

    def engine(*task):
        for result in cluster.graded(machines[0], *task):
            yield result
            graded.append(result.student)
            monkeypatch.setattr(cluster, "PATIENCE", 1)
            machines[victim].kill()

    with pytest.raises(cluster.ClusterError, match=sentence):
        grade_class([folder], tmp_path / "out", engine, options=OPTIONS)
    kept = [result.student for result in Store(tmp_path / "out").results()[0]]
    assert kept == graded and 1 <= len(kept) < 3

    def others(submissions, *more):
        left = list(submissions)
        assert {each.student for each in left} == {"ada", "blaise", "carl"} - set(kept)
        return engines.graded(left, *more)

    assert len(grade_class([folder], tmp_path / "out", others, jobs=1, options=OPTIONS)) == 3


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (AttributeError("no _work"), cluster.ClusterError, "a worker failed with AttributeError: no _work; make it alike, and grade again"),
        (CancelledError(), cluster.ClusterError, "it was lost"),
        (distributed.KilledWorker("task", SimpleNamespace(address="tcp://a"), 3), distributed.KilledWorker, "tcp://a"),
    ],
)
def test_what_a_task_fails_with_is_told_in_a_sentence(error, kind, sentence):
    task = Future()
    told = cluster._answered(task, "it was lost")
    task.set_exception(error)
    with pytest.raises(kind, match=sentence):
        told.result(timeout=1)


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("closed"), CancelledError()])
def test_a_scheduler_that_does_not_take_a_task_is_told_in_a_sentence(error):
    with pytest.raises(cluster.ClusterError, match="it was lost"), cluster._told("it was lost"):
        raise error


def test_the_seed_is_in_no_representation_of_a_task():
    assert str(SEED) not in repr(cluster.Sealed(msgspec.json.encode(TASK)))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("engine_sha256", "grader, library, or version of torch"), ("topic_sha256", "version of the topic ppo"), ("cpu", "instruction set")],
)
def test_a_worker_refuses_what_it_would_grade_otherwise(name, sentence):
    if name == "cpu":
        task = msgspec.structs.replace(TASK, cpu_capability="ABACUS")
    else:
        task = msgspec.structs.replace(TASK, basis=msgspec.structs.replace(TASK.basis, **{name: "0" * 64}))
    answer = cluster._answer(task, "tcp://worker:1")
    assert sentence in answer.refused and "tcp://worker:1" in answer.refused
    with pytest.raises(cluster.ClusterError, match="another"):
        cluster._result(SUBMISSION, msgspec.json.encode(answer), OPTIONS)


def test_a_worker_without_a_sandbox_says_so(monkeypatch):
    def refuse(kind):
        raise cluster.SandboxUnavailable("install bubblewrap")

    monkeypatch.setattr(cluster, "_sandbox", refuse)
    assert cluster._answer(TASK, "tcp://worker:1").refused == "the worker tcp://worker:1 cannot have the sandbox: install bubblewrap"


def test_a_submission_on_which_every_worker_dies_is_a_fault_of_the_grader():
    assert cluster._result(SUBMISSION, None, OPTIONS).is_fault


def test_what_a_worker_says_is_checked():
    with pytest.raises(msgspec.ValidationError):
        cluster._result(SUBMISSION, b'{"result": {"score": 1}}', OPTIONS)


class Client:
    """Of a cluster that is not as it should be."""

    def __init__(self, capabilities, threads=1, error=None):
        self.capabilities, self.threads, self.error = capabilities, threads, error

    def wait_for_workers(self, count, timeout):
        if not self.capabilities:
            raise TimeoutError

    def run(self, function):
        if self.error:
            raise self.error
        return self.capabilities

    def nthreads(self):
        return dict.fromkeys(self.capabilities, self.threads)


@pytest.mark.parametrize(
    ("client", "sentence"),
    [
        (Client({}), "has no workers"),
        (Client({"tcp://a": "AVX2"}, threads=8), "tcp://a has 8 threads"),
        (Client({"tcp://a": "AVX2", "tcp://b": "AVX512"}), "tcp://b has another instruction set"),
        (Client({"tcp://a": ""}, error=ModuleNotFoundError("No module named 'grader'")), "cannot grade: ModuleNotFoundError"),
    ],
)
def test_a_cluster_that_cannot_grade_is_refused(client, sentence):
    with pytest.raises(cluster.ClusterError, match=sentence):
        cluster._expect_alike(client, "tcp://scheduler")


def test_where_no_scheduler_answers(monkeypatch):
    def refuse(*_, **__):
        raise OSError("refused")

    monkeypatch.setattr(cluster, "Client", refuse)
    with pytest.raises(cluster.ClusterError, match="no Dask scheduler answers at tcp://nowhere:1"):
        list(cluster.graded("tcp://nowhere:1", [], 1, OPTIONS, print))
