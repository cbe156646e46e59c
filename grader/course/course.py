"""A course as a whole: its folder, its settings, its gradebook, brought into agreement."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.classroom.store import SEED, Store, StoreError
from grader.contract.registry import available
from grader.course import models, people, roster
from grader.course.gradebook import Gradebook
from grader.course.settings import FILE, Assignment, CourseError, Settings, find_course, read_settings
from grader.records import Options
from npfl139.catalogue import CatalogueError, assignments
from npfl139.terminal import suggested

__all__ = ["Course", "open_course"]


@dataclass(frozen=True)
class Course:
    """A course that is open."""

    folder: Path
    settings: Settings
    gradebook: Gradebook

    @property
    def roster(self) -> Path:
        return self.folder / roster.FILE

    def setting(self, name: str) -> Assignment:
        """Return what course.toml says of an assignment.

        Raises:
            CourseError: it says nothing.
        """
        if name not in self.settings.assignments:
            raise CourseError(f"there is no assignment {name!r}; {suggested(name, self.settings.assignments)}")
        return self.settings.assignments[name]

    def row(self, session: Session, name: str) -> models.Assignment:
        """Return the gradebook's entry for an assignment.

        Raises:
            CourseError: course.toml has no such assignment.
        """
        self.setting(name)
        return session.scalars(select(models.Assignment).where(models.Assignment.name == name)).one()

    def options(self, name: str) -> Options:
        """Return how an assignment is graded. The secret seed is drawn when it is first asked for.

        Raises:
            CourseError: the seed cannot be read.
        """
        setting, seed = self.setting(name), self.settings.seed
        try:
            number = Store(self.folder).seed() if isinstance(seed, str) else seed
        except StoreError as error:
            raise CourseError(str(error)) from error
        return Options(seed=number, training=setting.training, sandbox=self.settings.sandbox, limit=setting.limit)

    @property
    def has_seed(self) -> bool:
        """Whether the secret seed was drawn, or course.toml tells it."""
        return not isinstance(self.settings.seed, str) or (self.folder / SEED).exists()

    def title(self, name: str) -> str:
        """Return what an assignment is about."""
        topic = self.setting(name).topic
        return self._described.get(topic, (topic, None))[0]

    def max_points(self, name: str) -> float | None:
        """Return the points that there are for an assignment, None where its topic does not say."""
        return self._described.get(self.setting(name).topic, ("", None))[1]

    @functools.cached_property
    def _described(self) -> dict[str, tuple[str, float | None]]:
        """The titles and maxima of topics."""
        try:
            return {name: (item.title, item.max_score) for name, item in assignments().items()}
        except CatalogueError:
            return {}


def open_course(where: Path | None = None) -> Course:
    """Open the course in a folder, or in the one that the current folder lies in.

    Raises:
        CourseError: there is none, or its settings or roster are wrong.
        GradebookError: its gradebook cannot be opened.
    """
    folder = find_course(where or Path.cwd()) if where is None or (where / FILE).is_file() else None
    if folder is None:
        raise CourseError(f"there is no {FILE} in {where or 'this folder or above it'}: npfl139 course init writes one")
    settings = read_settings(folder, available())
    place = settings.gradebook if "://" in settings.gradebook else folder / settings.gradebook
    course = Course(folder, settings, Gradebook(place))
    _bring_up_to_date(course)
    return course


def _bring_up_to_date(course: Course) -> None:
    """Write into the gradebook what course.toml and roster.csv say that it needs to know; nothing where it knows it."""
    wanted = course.settings.title, course.settings.term, _roster_sha256(course)
    topics = {name: setting.topic for name, setting in course.settings.assignments.items()}
    with course.gradebook.reading() as session:
        row = session.get(models.Course, 1)
        known = {assignment.name: assignment.topic for assignment in session.scalars(select(models.Assignment))}
        if row and (row.title, row.term, row.roster_sha256) == wanted and topics.items() <= known.items():
            return
    with course.gradebook.writing() as session:
        _write(course, session, topics)


def _write(course: Course, session: Session, topics: dict[str, str]) -> None:
    row = session.get(models.Course, 1) or models.Course(id=1)
    known = {assignment.name: assignment for assignment in session.scalars(select(models.Assignment))}
    for name, topic in topics.items():
        assignment = known.setdefault(name, models.Assignment(name=name, topic=topic))
        if assignment.topic != topic:
            raise CourseError(
                f"{course.folder / FILE}: the assignment {name} was taken in as one of {assignment.topic}: give one of {topic} another name"
            )
        session.add(assignment)
    row.title, row.term = course.settings.title, course.settings.term
    sha256 = _roster_sha256(course)
    if sha256 is not None and sha256 != row.roster_sha256:
        people.by_roster(session, roster.read_roster(course.roster))
        session.flush()
        people.rematch(session)
    row.roster_sha256 = sha256
    session.add(row)


def _roster_sha256(course: Course) -> str | None:
    try:
        return hashlib.sha256(course.roster.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CourseError(f"{course.roster} cannot be read: {error.strerror}") from error
