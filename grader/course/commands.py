"""The commands of a course, which `npfl139` finds by their entry point."""

import datetime
import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from grader.show.answers import AsJson, answer
from npfl139.terminal import UserError, complaints, say, suggested

if TYPE_CHECKING:  # commands answer at once
    from sqlalchemy.orm import Session

    from grader.classroom.parts import Part
    from grader.classroom.reports import Written
    from grader.classroom.session import Engine
    from grader.course import models
    from grader.course.course import Course
    from grader.course.gradebook import Gradebook
    from grader.course.screens import Screen
    from grader.intake.deliveries import Delivery
    from grader.similarity.compare import Entry

__all__ = ["app", "compared_here", "grade_here", "merge_into", "report_here"]

PANEL = "For a course"
NEGATIVE = {"ignore_unknown_options": True}  # -1.5 is points
UNKNOWN = 3  # the status where a human must say something
FIRST_DUE = datetime.timedelta(weeks=2)

ROWS = 15  # of an answer, where nobody asks for another number

app = typer.Typer()
of_course = typer.Typer(no_args_is_help=True, help="Set up a course, look at it, say who is who.")
app.add_typer(of_course, name="course", rich_help_panel=PANEL)

Folder = Annotated[
    Path | None, typer.Option("--course", metavar="DIR", help="Folder of the course.", show_default="this one, or one above")
]
Anonymous = Annotated[bool, typer.Option("--anonymous", help="Pseudonyms in place of names.")]
Student = Annotated[str, typer.Argument(metavar="STUDENT", help="E-mail address, number, pseudonym, name, or a part of the name.")]
Named = Annotated[str, typer.Argument(metavar="ASSIGNMENT", help="As course.toml calls it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; the student may read it.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides it.", show_default="your name on this machine")]


@contextmanager
def _told() -> Iterator[None]:
    """Tell what cannot be done in one sentence."""
    from grader.course.gradebook import GradebookError

    try:
        yield
    except (ValueError, GradebookError) as error:  # CourseError and NoSubmission are ValueErrors
        raise UserError(str(error)) from error


@contextmanager
def _opened(folder: Path | None) -> Iterator["Course"]:
    from grader.course.course import open_course

    with _told():
        yield open_course(folder)


def _screen(course: "Course") -> "Screen":
    from grader.course.screens import Screen

    return Screen(course.settings.zone)


def _author(by: str | None) -> str:
    return by or getpass.getuser()


@of_course.command("init")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the course, made if need be.")] = Path("."),
    title: Annotated[str, typer.Option(help="Of the course.")] = "Deep reinforcement learning",
    term: Annotated[str | None, typer.Option(help="Such as 2026/27 winter.", show_default="this year")] = None,
    roster: Annotated[Path | None, typer.Option(help="CSV of who takes part: name, email, sid, group, keys by platform.")] = None,
) -> None:
    """Begin a course: write a commented course.toml in which all topics are due, one a week, and take over a roster."""
    from grader.contract.registry import available
    from grader.course import roster as rosters
    from grader.course import settings
    from grader.course.course import open_course
    from npfl139.files import write_atomically
    from npfl139.terminal import say

    path, today = folder / settings.FILE, datetime.date.today()
    if path.exists():
        raise UserError(f"{path} exists already: edit it, or name another folder")
    with _told():
        entries = rosters.read_roster(roster) if roster else None
        zone = _local_zone()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, settings.template(title, term or str(today.year), zone, available(), today + FIRST_DUE))
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
        if entries is not None:
            rosters.write_roster(folder / rosters.FILE, entries)
        open_course(folder)
    people = f"{len(entries)} people in {folder / rosters.FILE}" if entries is not None else f"nobody yet: write {folder / rosters.FILE}"
    say(f"{path}: {len(available())} assignments, one a week from {today + FIRST_DUE}; set their dates. {people}.")
    say("Take in what was handed in: npfl139 intake PATH --assignment NAME --dry-run")


def _local_zone() -> str:
    """Return the name of this machine's time zone, UTC where it tells none."""
    target = Path("/etc/localtime").resolve().as_posix()
    return target.partition("/zoneinfo/")[2] or "UTC"


@of_course.command("show")
def show_course(
    people: Annotated[bool, typer.Option("--people", help="List who takes part, with totals.")] = False,
    anonymous: Anonymous = False,
    as_json: AsJson = False,
    folder: Folder = None,
) -> None:
    """Show how far the course is: what was handed in, graded, is late, open; or who takes part."""
    from grader.course import overview
    from grader.course.marking import marks_of, totals
    from grader.course.models import now
    from grader.course.standing import state

    with _opened(folder) as course:
        screen = _screen(course)
        if people:
            found = totals(marks_of(course, anonymous=anonymous), now())
            answer(found, as_json, lambda found: overview.people(course, found, screen))
        else:
            answer(state(course, anonymous), as_json, lambda found: overview.assignments(found, screen))


@of_course.command("alias")
def alias(
    system: Annotated[str, typer.Argument(help="The platform, such as moodle.")],
    key: Annotated[str, typer.Argument(help="What the platform calls the person.")],
    student: Student,
    assignment: Annotated[str | None, typer.Option(help="Only in this one.")] = None,
    by: By = None,
    folder: Folder = None,
) -> None:
    """Say who somebody is whom nobody is known to be; it is kept, and what was handed in under that name is the person's at once."""
    from grader.course.people import decide, person_called
    from grader.course.roster import SYSTEMS

    if system not in SYSTEMS:
        raise UserError(f"there is no platform {system!r}; {suggested(system, SYSTEMS)}")
    with _opened(folder) as course, course.gradebook.writing() as session:
        person = person_called(session, student)
        row = course.row(session, assignment) if assignment else None
        count = decide(session, system, key, person, row, _author(by))
        told = f"{count} submission{'s' * (count != 1)} of {key} {'are' if count != 1 else 'is'} now {person.name}'s." if count else ""
        _screen(course).say(f"{system} {key} is {person.name}. {told}")


@app.command(rich_help_panel=PANEL)
def intake(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="What the platform packed: folders, archives.")],
    assignment: Annotated[str | None, typer.Option(help="What it was handed in for.", show_default="what the files' names tell")] = None,
    system: Annotated[str, typer.Option("--from", help="auto, moodle, canvas, gradescope, github, nbgrader, folders.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be taken in.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="List everything, however much it is.")] = False,
    anonymous: Anonymous = False,
    as_json: AsJson = False,
    folder: Folder = None,
) -> None:
    """Take in what was handed in: who, when, which attempt. Nothing is taken in twice.

    The status is 3 where a human must say who somebody is, or for which assignment something is.
    """
    from grader.contract.registry import available
    from grader.course import arrivals, overview
    from grader.intake.adapters import deliveries

    if everything and as_json:
        raise UserError("--all is for the table: --json lists everything")
    with _opened(folder) as course:
        topic, screen = course.setting(assignment).topic if assignment else None, _screen(course)
        notice = partial(say, to=complaints) if as_json else partial(screen.say, style="yellow")

        def read(path: Path, deadlines: list[datetime.datetime]) -> "list[Delivery]":
            return deliveries(path, system, topics=available(), assignment=topic, deadlines=deadlines, notice=notice)

        taken = arrivals.take_in(course, arrivals.collected(course, assignment, paths, read), assignment, dry_run)
        taken = arrivals.without_names(taken) if anonymous else taken
        answer(taken, as_json, lambda taken: overview.arrivals(course, taken, screen, dry_run, everything))
    if arrivals.asks(taken):
        raise typer.Exit(UNKNOWN)


def grade_here(
    part: "Part | None",
    engine: "Engine",
    assignment: list[str] | None,
    student: str | None,
    regrade: str | None,
    jobs: int | None,
    anonymous: bool,
    seed_file: Path | None,
) -> bool:
    """Grade what the gradebook of the course around the current folder holds; return whether the grader failed nowhere."""
    from grader.classroom.store import Store
    from grader.course import overview
    from grader.course.grading import Regrade, grade_course
    from grader.course.people import person_called

    with _opened(None) as course:
        mode = next((mode for mode in get_args(Regrade) if mode == regrade), None)
        if mode != regrade:
            raise UserError(f"--regrade is changed, all or faults, not {regrade!r}")
        if seed_file is not None:
            if isinstance(course.settings.seed, int):
                raise UserError("course.toml tells the seed: leave out --seed-file")
            Store(course.folder).share_seed(seed_file)
        outcome = grade_course(
            course,
            engine,
            by=_author(None),
            assignments=assignment,
            person_called=(lambda session: person_called(session, student)) if student else None,
            regrade=mode,
            jobs=jobs,
            anonymous=anonymous,
            part=part,
        )
        overview.graded(course, outcome, _screen(course))
        return not any(result.is_fault for result in outcome.results)


def merge_into(folder: Path, copies: list[Path]) -> None:
    """Take over what was graded in copies of the course in a folder, and say so."""
    from grader.course import parts

    with _opened(folder) as course:
        for copy in copies:
            count = parts.merge(course, copy, _author(None))
            _screen(course).say(f"{copy}: {count} gradings taken over." if count else f"{copy}: nothing that is not in the gradebook.")


def report_here(anonymous: bool) -> "Written":
    """Write the reports of the course around the current folder; return what became of them."""
    from grader.classroom.store import StoreError
    from grader.course.reports import FOLDER, write_course

    with _opened(None) as course:
        note = "The page of the class shows marks; those of students show what grading gave."
        _screen(course).say(note, "dim")
        try:
            return write_course(course, course.folder / (f"{FOLDER}-anonymous" if anonymous else FOLDER), anonymous)
        except StoreError as error:
            raise UserError(str(error)) from error


def compared_here(assignments: list[str] | None, attach: list[str] | None, anonymous: bool) -> "list[Entry]":
    """Return what is compared with each other in the course around the current folder, and with older gradebooks."""
    from grader.course.alike import entries

    with _opened(None) as course:
        return entries(course, assignments, [_attached(where) for where in attach or ()], anonymous)


@app.command(rich_help_panel=PANEL)
def show(student: Student, anonymous: Anonymous = False, as_json: AsJson = False, folder: Folder = None) -> None:
    """Show how each mark of a student came about: attempts, gradings, lateness, what humans decided."""
    from grader.course import overview
    from grader.course.people import person_called
    from grader.course.standing import person_standings

    with _opened(folder) as course, course.gradebook.reading() as session:
        found = person_standings(course, session, person_called(session, student), anonymous)
        answer(found, as_json, lambda found: overview.person(found, _screen(course)))


@app.command(rich_help_panel=PANEL)
def ask(
    question: Annotated[str, typer.Argument(metavar="hardest|mistakes|improved|slowest|missing", help="What to ask.")],
    attach: Annotated[list[str] | None, typer.Option(metavar="GRADEBOOK", help="Compare with an older gradebook; may be repeated.")] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="Rows to show.", show_default=str(ROWS))] = None,
    anonymous: Anonymous = False,
    as_json: AsJson = False,
    folder: Folder = None,
) -> None:
    """Ask which checks are hardest, which mistakes are made, who improved, what is slow to grade, what is missing."""
    from grader.course import overview, questions

    asked = next((each for each in questions.QUESTIONS if each == question), None)
    if asked is None:
        raise UserError(f"{question!r} is no question that is answered; ask {', '.join(questions.QUESTIONS)}")
    if attach and asked not in questions.COMPARED:
        raise UserError(f"--attach is for ask {' and ask '.join(questions.COMPARED)}: nothing else is compared with older gradebooks")
    if as_json and count is not None:
        raise UserError("--count is for the table: --json lists everything")
    with _opened(folder) as course:
        older, rows = [_attached(where) for where in attach or ()], count or ROWS
        found = questions.asked(course, asked, older, None if as_json else rows, anonymous)
        answer(found, as_json, lambda found: overview.answered(asked, found, questions.terms(course, older), rows, _screen(course)))


def _attached(where: str) -> "Gradebook":
    from grader.course.gradebook import Gradebook

    if "://" not in where and not Path(where).is_file():
        raise UserError(f"there is no gradebook {where} to compare with")
    return Gradebook(where if "://" in where else Path(where))


@app.command(rich_help_panel=PANEL)
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A run of grade (its number), or a time.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Another, or now.")] = "now",
    anonymous: Anonymous = False,
    as_json: AsJson = False,
    folder: Folder = None,
) -> None:
    """Show who gained or lost between two states of the marks, by which check, and why."""
    from grader.course import overview, questions

    with _opened(folder) as course:
        answer(questions.changes(course, before, after, anonymous), as_json, lambda found: overview.changes(found, _screen(course)))


@app.command(rich_help_panel=PANEL, context_settings=NEGATIVE)
def adjust(
    student: Student,
    assignment: Named,
    points: Annotated[float, typer.Argument(metavar="±POINTS", help="Given, +1.5, or taken, -1.5.")],
    reason: Reason,
    by: By = None,
    folder: Folder = None,
) -> None:
    """Give a student points, or take some. Adjustments add up; none is ever removed."""
    from grader.course.decisions import adjust as decided

    with _decision(folder, student, assignment) as (session, person, row):
        decided(session, person, row, points, reason, _author(by))


@app.command(rich_help_panel=PANEL)
def extend(
    student: Student,
    assignment: Named,
    due: Annotated[str, typer.Argument(metavar="DATE", help="2026-11-09, which lasts to its end, or 2026-11-09T12:00.")],
    reason: Reason = "",
    by: By = None,
    folder: Folder = None,
) -> None:
    """Give a student another due date."""
    from grader.course.decisions import extend as decided
    from grader.course.settings import due_of

    with _opened(folder) as course:
        time = due_of(due, course.settings.zone)
    with _decision(folder, student, assignment) as (session, person, row):
        decided(session, person, row, time, reason, _author(by))


@app.command(rich_help_panel=PANEL)
def excuse(
    student: Student,
    assignment: Named,
    reason: Reason = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="Let it count again.")] = False,
    by: By = None,
    folder: Folder = None,
) -> None:
    """Leave an assignment out of a student's total."""
    from grader.course.decisions import excuse as decided

    with _decision(folder, student, assignment) as (session, person, row):
        decided(session, person, row, not revoke, reason, _author(by))


@app.command(rich_help_panel=PANEL)
def appeal(
    student: Student,
    assignment: Named,
    reason: Annotated[str | None, typer.Option(help="What the student objects to.")] = None,
    answer: Annotated[str | None, typer.Option(help="What is answered, which closes the appeal.")] = None,
    by: By = None,
    folder: Folder = None,
) -> None:
    """Keep what a student objects to, or the answer to it; `npfl139 course show` lists what is open."""
    from grader.course import decisions

    if (reason is None) == (answer is None):
        raise UserError("say either --reason, what the student objects to, or --answer")
    with _decision(folder, student, assignment) as (session, person, row):
        if reason is not None:
            decisions.appeal(session, person, row, reason, _author(by))
        else:
            decisions.answer(session, person, row, answer or "", _author(by))


@contextmanager
def _decision(folder: Path | None, student: str, assignment: str) -> Iterator[tuple["Session", "models.Person", "models.Assignment"]]:
    """Let something be decided on a student's assignment, then print what the mark is now."""
    from grader.course import overview
    from grader.course.people import person_called
    from grader.course.standing import standing

    with _opened(folder) as course:
        with course.gradebook.writing() as session:
            person = person_called(session, student)
            yield session, person, course.row(session, assignment)
        with course.gradebook.reading() as session:
            found, screen = standing(course, session, session.get_one(type(person), person.id), assignment), _screen(course)
            screen.say(f"{found.mark.person.name}:")
            overview.standing(found, screen)


@app.command(rich_help_panel=PANEL)
def forget(
    student: Student,
    keep_statistics: Annotated[bool, typer.Option("--keep-statistics", help="Keep verdicts and scores, of nobody any more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: Folder = None,
) -> None:
    """Remove a student, and everything that only this student handed in, from gradebook and roster. It cannot be undone."""
    from grader.course import decisions
    from grader.course.people import described, person_called

    with _opened(folder) as course:
        with course.gradebook.reading() as session:
            person = person_called(session, student)
            name = described(person)
        if not (yes or _agreed(f"Remove {name} for good?")):
            raise typer.Exit(1)
        decisions.forget(course, lambda session: session.get_one(type(person), person.id), keep_statistics)
        left = "; verdicts and scores are kept, of nobody" if keep_statistics else ""
        kept = "".join(f" ({path.name})" for path in course.gradebook.copies)
        _screen(course).say(
            f"{name} is forgotten{left}. Copies of the gradebook{kept}, reports, and the folders that were taken in, are yours to delete."
        )


def _agreed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:  # there is nobody to answer
        return False
