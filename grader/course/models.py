"""The tables of a gradebook. What was handed in, graded or decided is only ever added; marks follow from all of it.

What an instructor decides about the course as a whole, such as due dates, is in course.toml and not here.
"""

import datetime
from typing import TypeVar

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, MetaData, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

__all__ = [
    "Adjustment",
    "Alias",
    "Appeal",
    "Assignment",
    "Base",
    "Content",
    "Course",
    "Decided",
    "DecidedRow",
    "Excuse",
    "Extension",
    "File",
    "Grading",
    "Job",
    "Member",
    "Moment",
    "Part",
    "Person",
    "Run",
    "Submission",
    "now",
]


class Moment(TypeDecorator[datetime.datetime]):
    """An aware time, kept in UTC, whatever the database makes of zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime.datetime: Moment(), str: Text()}


def now() -> datetime.datetime:
    """Return the time, aware."""
    return datetime.datetime.now(datetime.UTC)


class Course(Base):
    """The one course of a gradebook, so that a gradebook of another year says what it is of."""

    __tablename__ = "course"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    term: Mapped[str]
    roster_sha256: Mapped[str | None]  # of the roster.csv that the persons were last compared with
    seed_sha256: Mapped[str | None]  # as results say it, so that a lost seed.txt is noticed


class Person(Base):
    """Somebody who takes part, or did."""

    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    pseudonym: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]
    sid: Mapped[str | None]
    group: Mapped[str | None]
    enrolled: Mapped[bool] = mapped_column(default=True)  # is in the roster, or there is none
    forgotten: Mapped[bool] = mapped_column(default=False)  # only what was graded is left, for statistics
    aliases: Mapped[list["Alias"]] = relationship(order_by="Alias.id", cascade="all, delete-orphan")


class Alias(Base):
    """What a platform calls a person. The last one of a key counts."""

    __tablename__ = "alias"
    __table_args__ = (Index(None, "system", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    system: Mapped[str]
    key: Mapped[str]
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("assignment.id"))  # None: in all of them
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    by: Mapped[str]  # who decided it; "roster", or "intake" where it followed from a number, an address or a name
    at: Mapped[datetime.datetime] = mapped_column(default=now)


class Assignment(Base):
    """One topic, handed in once, under the name that course.toml gives it."""

    __tablename__ = "assignment"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    topic: Mapped[str]


class Submission(Base):
    """One attempt of one person, or of several who handed in together."""

    __tablename__ = "submission"
    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), index=True)
    team: Mapped[str | None]
    attempt: Mapped[int | None]  # where the platform counts
    submitted_at: Mapped[datetime.datetime | None]
    time_source: Mapped[str]
    late: Mapped[bool | None]  # where the platform says so
    origin: Mapped[str]  # the folder or file in what was exported
    filename: Mapped[str]
    sha256: Mapped[str]
    problem: Mapped[str | None]
    taken_in_at: Mapped[datetime.datetime] = mapped_column(default=now)
    members: Mapped[list["Member"]] = relationship(order_by="Member.id", cascade="all, delete-orphan")
    files: Mapped[list["File"]] = relationship(order_by="File.id", cascade="all, delete-orphan")
    gradings: Mapped[list["Grading"]] = relationship(order_by="Grading.id", cascade="all, delete-orphan")


class Member(Base):
    """Somebody who handed in, as the platform says, and which person that is, once it is known."""

    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), index=True)
    system: Mapped[str]
    key: Mapped[str]
    name: Mapped[str | None]
    email: Mapped[str | None]
    sid: Mapped[str | None]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)


class Content(Base):
    """What is in files, each once."""

    __tablename__ = "content"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class File(Base):
    """A file of a submission."""

    __tablename__ = "file"
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), index=True)
    name: Mapped[str]
    content_sha256: Mapped[str] = mapped_column(ForeignKey("content.sha256"), index=True)


class Run(Base):
    """One `npfl139 grade`. Its number names a state of the marks: what was graded up to its end."""

    __tablename__ = "run"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime.datetime] = mapped_column(default=now)


class Grading(Base):
    """What grading a submission once gave. The fields of the basis and the parts repeat what the result says, to be searched."""

    __tablename__ = "grading"
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), index=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), index=True)
    engine_sha256: Mapped[str]
    topic_sha256: Mapped[str]
    seed_sha256: Mapped[str]
    basis_sha256: Mapped[str]  # of all of the basis
    fault: Mapped[bool]  # the grader itself failed somewhere
    score: Mapped[float]
    max_score: Mapped[float]
    seconds: Mapped[float]
    worker: Mapped[str]
    at: Mapped[datetime.datetime] = mapped_column(default=now)
    result: Mapped[str | None] = mapped_column(deferred=True)  # JSON of records.Result; None once its author is forgotten
    parts: Mapped[list["Part"]] = relationship(order_by="Part.id", cascade="all, delete-orphan")


class Part(Base):
    """What a check or a training check gave."""

    __tablename__ = "part"
    id: Mapped[int] = mapped_column(primary_key=True)
    grading_id: Mapped[int] = mapped_column(ForeignKey("grading.id"), index=True)
    name: Mapped[str]
    exercise: Mapped[str | None]  # None: a training check
    verdict: Mapped[str]
    score: Mapped[float]
    max_score: Mapped[float]
    mistake: Mapped[str | None]


class CheckCode(Base):
    """The code of a check in one version of a topic."""

    __tablename__ = "check_code"
    topic_sha256: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]


class Job(Base):
    """A submission that is to be graded. It goes in the transaction that stores its grading."""

    __tablename__ = "job"
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    lease: Mapped[str | None]  # of the grader at work on it
    worker: Mapped[str | None]
    leased_until: Mapped[datetime.datetime | None]  # a grader that lives renews it


class Decided:
    """What somebody decided for a person and an assignment."""

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"))
    by: Mapped[str]
    at: Mapped[datetime.datetime] = mapped_column(default=now)
    reason: Mapped[str]


class Extension(Decided, Base):
    """Another due date. The last one counts."""

    __tablename__ = "extension"
    __table_args__ = (Index(None, "person_id", "assignment_id"),)
    due: Mapped[datetime.datetime]


class Excuse(Decided, Base):
    """Whether the assignment is left out of the person's total. The last one counts."""

    __tablename__ = "excuse"
    __table_args__ = (Index(None, "person_id", "assignment_id"),)
    excused: Mapped[bool]


class Adjustment(Decided, Base):
    """Points that a human gives or takes. All of them count together."""

    __tablename__ = "adjustment"
    __table_args__ = (Index(None, "person_id", "assignment_id"),)
    points: Mapped[float]


class Appeal(Decided, Base):
    """What a person objects to, or, where `answers` says so, what was answered to that."""

    __tablename__ = "appeal"
    __table_args__ = (Index(None, "person_id", "assignment_id"), UniqueConstraint("answers"))
    answers: Mapped[int | None] = mapped_column(ForeignKey("appeal.id"))


DecidedRow = TypeVar("DecidedRow", Extension, Excuse, Adjustment, Appeal)
