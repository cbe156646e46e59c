"""Grades what a gradebook holds. Several programs may do so at once; whichever dies, nothing is lost and nothing is kept twice."""

import contextlib
import datetime
import hashlib
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec.structs import replace
from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session, selectinload

from grader.classroom import parts
from grader.classroom.capacity import jobs_for
from grader.classroom.session import Engine
from grader.classroom.store import SEED
from grader.course import checkcode, models
from grader.course.course import Course
from grader.course.gradebook import GradebookError
from grader.course.marking import Accounts
from grader.course.models import Grading, Job, Member, Run, now
from grader.course.people import told_apart
from grader.course.rules import is_too_late, lateness
from grader.course.settings import CourseError
from grader.grading.provenance import basis_of
from grader.records import Basis, CheckResult, Options, Part, Result
from grader.records import Submission as Graded
from grader.show.display import Display
from npfl139.terminal import say

__all__ = ["Outcome", "Regrade", "grade_course"]

Regrade = Literal["changed", "all", "faults"]
LEASE = datetime.timedelta(minutes=2)  # so long after its last sign of life a grader is taken for dead
SIGN_OF_LIFE = 20.0  # seconds


@dataclass
class Outcome:
    """What one run did."""

    run: int
    results: list[Result] = field(default_factory=list)  # with the names of people
    discarded: int = 0  # results of jobs that another grader had taken over
    elsewhere: int = 0  # jobs that other graders are at work on
    changed: int = 0  # gradings that rest on another topic, engine or seed than there is now, and that were left as they are


def grade_course(
    course: Course,
    engine: Engine,
    *,
    by: str,
    assignments: Sequence[str] | None = None,
    person_called: Callable[[Session], models.Person] | None = None,
    regrade: Regrade | None = None,
    jobs: int | None = None,
    anonymous: bool = False,
    part: parts.Part | None = None,
    display: Callable[[int, int], Display] = Display,
) -> Outcome:
    """Grade what was not graded yet, and what the grader failed at; what was begun and interrupted is gone on with.

    Args:
        engine: grades; where nothing is left to grade, it is not called.
        by: who asked for it.
        assignments: only these.
        person_called: only what this person handed in.
        regrade: "changed": also what rests on something that is another now; "all": everything; "faults": only what the grader failed at.
        jobs: submissions graded at a time, see `jobs_for`.
        anonymous: whether pseudonyms stand for people in what is shown.
        part: only these of all submissions, in a copy of the course that `grader.course.parts.merge` takes over.

    Raises:
        CourseError: there is no such assignment, or the secret seed is lost, or a part would draw one of its own.
        GradebookError: a result cannot be written; those written before are intact.
        SandboxUnavailable: this machine cannot have the sandbox.
    """
    names = list(assignments or course.settings.assignments)
    if part is not None and not course.has_seed:
        raise CourseError(f"all parts need the same seed: name one file for all with --seed-file, or copy the {SEED} of the course too")
    with course.gradebook.writing() as session:
        options = {name: course.options(name) for name in names}  # one at a time, so that only one secret seed is drawn
        _expect_same_seed(course, session, options[names[0]], regrade)
        run = Run(what=_described(assignments, regrade), by=by, at=now())
        session.add(run)
        session.flush()
        outcome = Outcome(run.id)
        person = person_called(session) if person_called else None
        accounts = Accounts(course, session)
        called = told_apart(accounts.persons)
        labels = {each.id: each.pseudonym if anonymous else called[each.id] for each in accounts.persons}
        if anonymous:
            labels[0] = "somebody"  # whom nobody is known to be
        scope = {name: _enqueued(course, accounts, labels, name, options[name], person, regrade, part, outcome) for name in names}
    work = _Work(course, outcome, scope)
    jobs = jobs_for(work.total, jobs, say)
    shown = display(work.total, jobs)
    with shown, course.gradebook.kept_open(), work.alive():
        for name in names:
            waiting = work.waiting(name)
            first = next(waiting, None)
            if first is not None:
                for result in engine(_again(first, waiting), jobs, options[name], shown.started):
                    shown.finished(result)
                    work.store(result)
    outcome.elsewhere = work.elsewhere()
    return outcome


def _expect_same_seed(course: Course, session: Session, options: Options, regrade: Regrade | None) -> None:
    """Refuse to grade with another secret seed than before, which would judge some by other inputs than the rest."""
    row = session.get_one(models.Course, 1)
    if course.settings.seed == "secret":
        if row.seed_sha256 not in (None, options.seed_sha256) and regrade not in ("changed", "all"):
            seed = course.folder / SEED
            raise CourseError(f"{seed} is not the seed that this course was graded with: restore it, or grade all again (--regrade all)")
        row.seed_sha256 = options.seed_sha256


def _described(assignments: Sequence[str] | None, regrade: Regrade | None) -> str:
    return " ".join(filter(None, (regrade and f"regrade {regrade}", *(assignments or ())))) or "what was new"


def _again(first: Graded, rest: Iterator[Graded]) -> Iterator[Graded]:
    yield first
    yield from rest


def _enqueued(
    course: Course,
    accounts: Accounts,
    labels: dict[int, str],
    name: str,
    options: Options,
    person: models.Person | None,
    regrade: Regrade | None,
    part: parts.Part | None,
    outcome: Outcome,
) -> dict[int, str]:
    """Put into the queue what is to be graded; return all that is in it and may be graded now, with what to call whose it is."""
    session, found = accounts.session, dict[int, str]()
    queued = set(session.scalars(select(Job.submission_id)))
    topic = course.setting(name).topic
    for submission, label in _worth_grading(course, accounts, labels, name):
        if person is not None and person.id not in {member.person_id for member in submission.members}:
            continue
        if part is not None and not part.holds(str(submission.id), topic):
            continue
        last = accounts.last_grading(submission)
        failed = last is not None and last.fault
        basis = basis_of(_Named(topic, submission.sha256), options)
        changed = last is not None and last.basis_sha256 != _sha256(basis)
        wanted = {"changed": last is None or failed or changed, "all": True, "faults": failed, None: last is None or failed}[regrade]
        if wanted and submission.id not in queued:
            session.add(Job(submission_id=submission.id))
        if wanted or submission.id in queued:
            found[submission.id] = label
        elif changed:
            outcome.changed += 1
    if found:
        checkcode.kept(session, topic, basis_of(_Named(topic, ""), options).topic_sha256)
    return found


@dataclass(frozen=True)
class _Named:
    """A submission, as far as its basis needs it."""

    topic: str
    sha256: str


def _worth_grading(course: Course, accounts: Accounts, labels: dict[int, str], name: str) -> Iterator[tuple[models.Submission, str]]:
    """Yield what may count for somebody, and whose it is."""
    setting, row = course.setting(name), accounts.rows[name]
    forgotten = {person.id for person in accounts.persons if person.forgotten}
    own: dict[tuple[object, ...], list[models.Submission]] = {}
    for submission in accounts.submissions:
        known = [member for member in submission.members if member.person_id is not None]
        if submission.assignment_id != row.id or any(member.person_id in forgotten for member in known):
            continue
        dues = [accounts.due(member.person_id, name) for member in known if member.person_id is not None]
        late = lateness(submission, max(dues, default=setting.due), setting.late)
        if not is_too_late(late, setting.late):
            people = tuple(sorted(map(_identity, submission.members), key=str))
            own.setdefault(people, []).append(submission)
    taken: set[str] = set()
    for attempts in own.values():
        for number, submission in enumerate(attempts, start=1):
            if setting.attempts == "best" or submission is attempts[-1]:
                who = " + ".join(labels.get(member.person_id or 0) or member.name or member.key for member in submission.members)
                label = who if number == len(attempts) else f"{who}, attempt {number}"
                label = f"{label} ({submission.id})" if label in taken else label
                taken.add(label)
                yield submission, label


def _identity(member: Member) -> object:
    return member.person_id or (member.system, member.key)


class _Work:
    """The jobs of one run: which it leases, and what becomes of them."""

    def __init__(self, course: Course, outcome: Outcome, scope: dict[str, dict[int, str]]):
        self.course, self.gradebook, self.outcome, self.scope = course, course.gradebook, outcome, scope
        self.lease = secrets.token_hex(8)
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self.leased: dict[tuple[str, str], int] = {}  # submissions, by (student, topic) of what is graded
        self.total = sum(map(len, scope.values())) - self.elsewhere()

    def elsewhere(self) -> int:
        """Return how many jobs others are at work on."""
        with self.gradebook.reading() as session:
            jobs = session.scalars(select(Job).where(Job.submission_id.in_(self._all()))).all()
        return sum(not self._is_free(job) for job in jobs if job.lease != self.lease)

    def _all(self) -> list[int]:
        return [number for labels in self.scope.values() for number in labels]

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Give signs of life while the block lasts; then give back what is leased."""
        ended = threading.Event()
        thread = threading.Thread(target=self._stay_alive, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with contextlib.suppress(GradebookError), self.gradebook.writing() as session:
                given_back = {"lease": None, "worker": None, "leased_until": None}
                session.execute(update(Job).where(Job.lease == self.lease).values(given_back))

    def _stay_alive(self, ended: threading.Event) -> None:
        while not ended.wait(SIGN_OF_LIFE):
            with contextlib.suppress(GradebookError), self.gradebook.writing() as session:  # the next one may succeed
                session.execute(update(Job).where(Job.lease == self.lease).values(leased_until=now() + LEASE))

    def waiting(self, name: str) -> Iterator[Graded]:
        """Yield what is to be graded of an assignment, leasing one after the other, until nothing is free."""
        labels = self.scope[name]
        while (leased := self._lease_one(name, labels)) is not None:
            yield leased

    def _lease_one(self, name: str, labels: dict[int, str]) -> Graded | None:
        with self.gradebook.writing() as session:
            query = select(Job).where(Job.submission_id.in_(labels)).order_by(Job.submission_id)
            free = or_(Job.lease.is_(None), and_(Job.leased_until < now(), Job.lease != self.lease))
            job = session.scalars(query.where(free).limit(1)).first()
            if job is None:
                others = session.scalars(query.where(Job.lease != self.lease))
                job = next(filter(self._is_free, others), None)
            if job is None:
                return None
            job.lease, job.worker, job.leased_until = self.lease, self.worker, now() + LEASE
            submission = session.get_one(models.Submission, job.submission_id, options=[selectinload(models.Submission.files)])
            files = [(file.name, session.get_one(models.Content, file.content_sha256).content) for file in submission.files]
            graded = Graded(
                student=labels[submission.id],
                topic=self.course.setting(name).topic,
                source=None,
                filename=submission.filename,
                sha256=submission.sha256,
                problem=submission.problem,
                unread=tuple(files),
            )
        self.leased[graded.student, graded.topic] = submission.id
        return graded

    def _is_free(self, job: Job) -> bool:
        if job.lease is None or job.leased_until is None or job.leased_until < now():
            return True
        host, _, process = (job.worker or "").rpartition(":")
        return host == socket.gethostname() and not _lives(int(process))

    def store(self, result: Result) -> None:
        """Keep a result and end its job, in one transaction; where another grader took the job over, that one's result counts."""
        submission_id = self.leased.pop((result.student, result.topic))
        stored = _grading(replace(result, student=str(submission_id)), submission_id, self.outcome.run, self.worker)
        with self.gradebook.writing() as session:
            job = session.get(Job, submission_id)
            if job is None or job.lease != self.lease:
                self.outcome.discarded += 1
                return
            session.delete(job)
            session.add(stored)
        self.outcome.results.append(result)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sha256(basis: Basis) -> str:
    return hashlib.sha256(msgspec.json.encode(basis)).hexdigest()


def _grading(result: Result, submission_id: int, run_id: int, worker: str) -> Grading:
    basis = result.provenance.basis
    return Grading(
        submission_id=submission_id,
        run_id=run_id,
        engine_sha256=basis.engine_sha256,
        topic_sha256=basis.topic_sha256,
        seed_sha256=basis.seed_sha256,
        basis_sha256=_sha256(basis),
        fault=result.is_fault,
        score=result.score,
        max_score=result.max_score,
        seconds=result.provenance.seconds,
        worker=worker,
        result=json.dumps(msgspec.to_builtins(result), allow_nan=False),
        parts=[_part(part) for part in result.parts],
        at=now(),
    )


def _part(part: Part) -> models.Part:
    return models.Part(
        name=part.name,
        exercise=part.exercise if isinstance(part, CheckResult) else None,
        verdict=part.verdict.value,
        score=part.score,
        max_score=part.max_score,
        mistake=part.mistake,
    )
