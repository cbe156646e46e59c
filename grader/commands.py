"""The instructor's commands of `npfl139`, which finds them by their entry point. They are in no student bundle."""

import itertools
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from npfl139.catalogue import topics_from
from npfl139.terminal import UserError, console, missing, say, suggested

if TYPE_CHECKING:  # commands answer at once
    from grader.classroom.session import Engine
    from grader.contract.spec import Topic
    from grader.records import Result

__all__ = ["app", "engine"]

COURSE, SEVERAL = "In a course", "On several machines"  # headings in the help of grade
GUESSED = 2**40  # what is less can be found by trying

app = typer.Typer()
Results = Annotated[Path, typer.Option(help="Folder of the results.")]


@app.command(rich_help_panel="For instructors")
def grade(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Files, folders, archives; in a course, none: what was taken in.")
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="Grade this topic only; needed where the files' names tell none.", autocompletion=topics_from)
    ] = None,
    out: Results = Path("results"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Submissions graded at the same time.", show_default="one per processor and 3 GiB")
    ] = None,
    training: Annotated[bool, typer.Option("--training/--no-training", help="Run the training checks too.")] = True,
    sandbox: Annotated[str, typer.Option(help="bwrap; or process, which is weaker: for submissions that you trust.")] = "bwrap",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of everything hidden; students find a small one by trying.", show_default="drawn once, kept in the folder of results"
        ),
    ] = None,
    limit: Annotated[
        float | None, typer.Option(min=1, help="Seconds of its own that one submission may use in all.", show_default="as its checks need")
    ] = None,
    assignment: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.", rich_help_panel=COURSE)] = None,
    student: Annotated[str | None, typer.Option(help="Only what this one handed in.", rich_help_panel=COURSE)] = None,
    regrade: Annotated[
        str | None, typer.Option(metavar="changed|all|faults", help="Also what rests on other checks now, or all.", rich_help_panel=COURSE)
    ] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Pseudonyms in place of names.", rich_help_panel=COURSE)] = False,
    part: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only this of N disjoint parts; `npfl139 merge` joins them.", rich_help_panel=SEVERAL)
    ] = None,
    seed_file: Annotated[
        Path | None,
        typer.Option(help="File of the secret seed that all parts share; drawn into it where it is missing.", rich_help_panel=SEVERAL),
    ] = None,
    on: Annotated[
        str, typer.Option("--engine", metavar="local|dask", help="On this machine, or on a Dask cluster.", rich_help_panel=SEVERAL)
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the cluster's scheduler, such as tcp://10.0.0.1:8786.", rich_help_panel=SEVERAL)
    ] = None,
) -> None:
    """Grade submissions. What was graded before is not graded again.

    The status is 0 when all were graded, whatever the marks, and 3 where the grader itself failed on some.
    """
    grading, jobs = _engine(on, address, jobs)
    if not paths:
        _expect_course()
        if topic or not training or sandbox != "bwrap" or seed is not None or limit is not None:
            raise UserError("in a course, course.toml says how it is graded: set training, sandbox, seed and limit there")
        raise typer.Exit(0 if _graded_in_course(part, grading, assignment, student, regrade, jobs, anonymous, seed_file) else 3)
    if assignment or student or regrade or anonymous:
        raise UserError(
            "--assignment, --student, --regrade and --anonymous are for what a course took in: leave the paths out, or take them in first"
        )
    for path in paths:
        if not path.exists():
            raise UserError(missing(path, "file or folder", path.absolute().parent.glob("*")))
    from grader.classroom.parts import Part
    from grader.classroom.session import grade_class
    from grader.classroom.store import Store, StoreError
    from grader.contract.registry import available
    from grader.grading.sandbox import SandboxUnavailable
    from grader.records import SANDBOXES, Options

    if topic is not None and topic not in available():
        raise UserError(f"there is no topic {topic!r}; {suggested(topic, available())}")
    kind = next((kind for kind in SANDBOXES if kind == sandbox), None)
    if kind is None:
        raise UserError(f"there is no sandbox {sandbox!r}; {suggested(sandbox, SANDBOXES)}")
    _expect_a_seed(seed, seed_file, part)
    try:
        wanted = Part.of(part) if part else None
        if seed_file:
            Store(out).share_seed(seed_file)
        results = grade_class(paths, out, grading, topic, jobs, Options(seed=seed, training=training, sandbox=kind, limit=limit), wanted)
    except (ValueError, SandboxUnavailable, StoreError) as error:
        raise UserError(str(error)) from error
    if any(result.is_fault for result in results):
        raise typer.Exit(3)


def _expect_course() -> None:
    from grader.course.settings import find_course

    if find_course(Path.cwd()) is None:
        raise UserError("name what to grade, such as npfl139 grade submissions/; without it a course is graded, and here is no course.toml")


def _graded_in_course(part: str | None, grading: "Engine", *chosen: Any) -> bool:
    """Grade what the course around the current directory took in; return whether the grader did not fail on any of it."""
    from grader.classroom.parts import Part
    from grader.classroom.store import StoreError
    from grader.course.commands import grade_here
    from grader.grading.sandbox import SandboxUnavailable

    try:
        return grade_here(Part.of(part) if part else None, grading, *chosen)
    except (ValueError, SandboxUnavailable, StoreError) as error:
        raise UserError(str(error)) from error


def engine(*task: Any) -> "Iterator[Result]":
    """Grade as `grader.classroom.engines.graded`, which imports torch: where nothing is left to grade, that is never needed."""
    from grader.classroom.engines import graded

    return graded(*task)


def _expect_a_seed(seed: int | None, seed_file: Path | None, part: str | None) -> None:
    if seed is not None and seed_file:
        raise UserError("--seed and --seed-file exclude each other")
    if part and seed is None and seed_file is None:
        raise UserError("all parts need the same seed: name one file for all with --seed-file, on a disk that all can read")
    if seed is not None and abs(seed) < GUESSED:
        say(f"--seed {seed} can be found by trying: leave it out where students must not know what is hidden", "yellow")


def _engine(name: str, address: str | None, jobs: int | None) -> "tuple[Engine, int | None]":
    """Return the engine of this name, and how many submissions this machine grades at a time.

    Raises:
        UserError: there is none, it lacks its address, this machine has no say in how many, or Dask is not installed.
    """
    if name == "local" and address is None:
        return engine, jobs
    if name != "dask" or address is None:
        raise UserError("--engine is local, or dask with the --address of its scheduler, such as tcp://10.0.0.1:8786")
    if jobs is not None:
        raise UserError("--jobs is for this machine: of a cluster each worker grades one submission at a time; start as many workers")
    if find_spec("distributed") is None:
        raise UserError("Dask is not installed: pip install 'deep-rl-unit[dask]'")

    def on_cluster(*task: Any) -> "Iterator[Result]":
        from grader.classroom.cluster import ClusterError, graded

        try:
            yield from graded(address, *task)
        except ClusterError as error:
            raise UserError(str(error)) from error

    return on_cluster, 1


@app.command(rich_help_panel="For instructors")
def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of the results of parts, or copies of a course.")],
    out: Annotated[Path, typer.Option(help="Folder to put all of them into; or the course.")],
) -> None:
    """Put the results of `grade --part` together, unless they were graded with different seeds, graders or topics."""
    from grader.classroom import parts
    from grader.classroom.store import StoreError
    from grader.course.settings import FILE

    if (out / FILE).is_file():
        from grader.course.commands import merge_into

        merge_into(out, folders)
        return

    try:
        merged = parts.merge(folders, out)
    except StoreError as error:
        raise UserError(str(error)) from error
    for sentence in merged.doubles:
        say(sentence)
    if merged.written.failed:
        raise UserError("; ".join(merged.written.failed))
    say(f"{merged.results} results; report: {merged.written.path}")


@app.command(rich_help_panel="For instructors")
def report(
    results: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder of the results; in a course, none.", show_default="results")
    ] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="In a course: pseudonyms in place of names.")] = False,
) -> None:
    """Write the reports of a folder of results once more, or those of the course around this folder from its gradebook."""
    from grader.classroom.reports import write_reports
    from grader.classroom.store import Store
    from grader.course.settings import find_course

    if results is None and find_course(Path.cwd()):
        from grader.course.commands import report_here

        written = report_here(anonymous)
    else:
        folder = results or Path("results")
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}")
        written = write_reports(Store(folder))
    if written.failed:
        raise UserError("; ".join(written.failed))
    say(f"written: {written.path}")


@app.command(rich_help_panel="For instructors")
def release(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="The topics of a student bundle.", autocompletion=topics_from)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default="assignments; for a bundle, bundle")] = None,
) -> None:
    """Regenerate the assignments of this checkout from its solutions; or, for TOPICs, build the bundle that their students download."""
    from grader.release.bundle import bundle, regenerate

    try:
        if topics:
            bundle(topics, out or Path("bundle"))
            say(f"{out or 'bundle'}: {', '.join(topics)}; its README.md tells the students what to do.")
        else:
            changed = regenerate(out)
            say("\n".join(f"written: {path}" for path in changed) or "Everything is as the solutions make it.")
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error


@app.command(rich_help_panel="For instructors")
def calibrate(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="The topics.", show_default="all", autocompletion=topics_from)
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of the reference, for each instruction set.")] = 34,
    mistake_seeds: Annotated[int, typer.Option(min=0, help="Seeds of each mistake, fewer where one of these passes.")] = 5,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at the same time, of all topics together.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write.", show_default="calibrated.json beside the checks, in a checkout")
    ] = None,
    also: Annotated[list[Path] | None, typer.Option(metavar="FOLDER", help="Take over the runs written there; may be given again.")] = None,
) -> None:
    """Measure the reference and the mistakes over many seeds; store the thresholds of the training checks and their error rates.

    Runs that are stored already are kept while solution, checks, library and versions are as they were; only missing seeds are added.
    """
    from grader.contract import figures, registry, sources
    from grader.grading import calibrate as calibration
    from grader.grading.thresholds import summary
    from npfl139.progress import bar

    declared = [_known(topic) for topic in topics or registry.available()]
    for topic in declared:
        if not topic.trainings:
            raise UserError(f"{topic.name} has no training check to calibrate")
        if out is None and sources.checkout(topic.files) is None:
            raise UserError(
                f"{topic.name} is installed in {topic.files}, where nothing is written: name a folder with --out, or use its checkout"
            )
    with bar(console, declared[0].name if len(declared) == 1 else f"{len(declared)} topics") as tell:
        counted = itertools.count(1)

        def finished(label: str, total: int) -> None:
            tell(label, next(counted), total)

        try:
            paths = calibration.calibrate(declared, seeds, mistake_seeds, jobs, finished, out, also or ())
        except KeyboardInterrupt:
            say("Interrupted: the runs that ended are kept, and the same command goes on from there.")
            raise typer.Exit(130) from None
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from error
    for path in paths:
        for name, measured in figures.stored(path).items():
            say(f"{name}\n{summary(measured)}")
        say(f"written: {path}")


@app.command(rich_help_panel="For instructors")
def new_topic(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The topic's name: small letters, digits and _.")],
    out: Annotated[Path, typer.Option(help="Folder to write, which must be empty or new.")],
) -> None:
    """Write a small complete topic of your own as a package to install: it grades at once, and you turn it into yours."""
    from grader.release.newtopic import TopicError, new_topic

    try:
        new_topic(name, out)
    except TopicError as error:
        raise UserError(str(error)) from error
    say(f"{out}: a complete topic; its README.md says what to do next, which begins with\npip install -e {out}")


@app.command(rich_help_panel="For instructors")
def audit(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="The topics.", show_default="all", autocompletion=topics_from)
    ] = None,
    exercise: Annotated[list[str] | None, typer.Option(help="Only this exercise; may be given again.")] = None,
    since: Annotated[str | None, typer.Option(metavar="REVISION", help="Only topics that differ from this revision.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one per processor")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the hidden inputs.")] = 0,
    html: Annotated[Path | None, typer.Option(help="File to write a page for instructors to.")] = None,
) -> None:
    """Make every small change of the solutions: a check of the exercise must notice, and no other's. The status is 1 where it is not so."""
    from grader.audit.audits import AuditError, audited

    try:
        passed = audited(topics, exercise, since, jobs, seed, html)
    except AuditError as error:
        raise UserError(str(error)) from error
    raise typer.Exit(0 if passed else 1)


def _known(topic: str) -> "Topic":
    from grader.contract.registry import load

    try:
        return load(topic)
    except ValueError as error:
        raise UserError(str(error)) from error
