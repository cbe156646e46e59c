"""What platforms delivered becomes submissions of persons. Whatever is not understood is kept, and told."""

import datetime
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from msgspec.structs import asdict, replace
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from grader.course import models, roster
from grader.course.course import Course
from grader.course.decisions import due_date
from grader.course.marking import shown_person
from grader.course.marks import Person
from grader.course.models import Submission
from grader.course.people import INTAKE, Match, Namesake, People, described, namesake, namesakes, new_person
from grader.course.rules import in_order, is_too_late, lateness
from grader.course.settings import Assignment
from grader.intake.deliveries import Claim, Delivery
from grader.intake.github import NOTHING
from grader.records import Record
from grader.show.groups import grouped
from npfl139.text import printable

__all__ = ["Arrival", "Stranger", "asks", "collected", "take_in", "without_names"]

Read = Callable[[Path, list[datetime.datetime]], list[Delivery]]  # with the deadlines, which matter where a platform keeps every version


class Stranger(Record, frozen=True):
    """Somebody whom nobody in the course is known to be."""

    claim: Claim
    reason: str
    likely: tuple[str, ...]  # persons, as they are told apart


class Arrival(Record, frozen=True):
    """What became of one delivery."""

    assignment: str | None
    people: tuple[Person, ...]  # of those who handed in, who are known
    strangers: tuple[Stranger, ...]
    origin: str
    filename: str
    status: Literal["new", "known", "unassigned"]
    submitted_at: datetime.datetime | None
    time_source: str
    late: datetime.timedelta | None
    too_late: bool
    attempt: int  # counted from 1, of all that the same people handed in
    team: str | None = None
    problem: str | None = None
    added: bool = False  # persons, since there is no roster


def asks(arrivals: Iterable[Arrival]) -> bool:
    """Return whether a human must say who somebody is, or for which assignment something is."""
    return any(each.strangers or each.status == "unassigned" for each in arrivals)


def without_names(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Return the arrivals without what would tell who somebody is, but for the keys by which `course alias` is told it."""
    return [
        replace(
            each,
            people=tuple(Person(person.pseudonym, person.pseudonym) for person in each.people),
            strangers=tuple(Stranger(Claim(one.claim.system, one.claim.key), "", ()) for one in each.strangers),
            origin="",
            filename="",
            team=None,
        )
        for each in arrivals
    ]


def collected(course: Course, assignment: str | None, paths: Sequence[Path], read: Read) -> list[Delivery]:
    """Return what lies at the paths. Where a platform keeps every version, that is the last one before each date that matters.

    Args:
        read: an adapter of the platform.
    """
    names = [assignment] if assignment else list(course.settings.assignments)
    own = {name: sorted(_deadlines(course, name)) for name in names}
    everything = sorted(set().union(*own.values()))
    found: dict[tuple[object, ...], Delivery] = {}
    for path in paths:
        of_origin = grouped(read(path, everything), lambda delivery: (delivery.origin, delivery.topic))
        for (origin, topic), versions in of_origin.items():
            deadlines = own.get(assignment or _assignment_of(course, versions[0]) or "", everything)
            for delivery in _counting(versions, deadlines):
                found.setdefault((path, origin, topic, _sha256(delivery), delivery.submitted_at), delivery)
    return list(found.values())


def _counting(versions: Sequence[Delivery], deadlines: Sequence[datetime.datetime]) -> list[Delivery]:
    """Return what counts of one origin: of a history the last version before each deadline, of those that can be graded."""
    commits = [(each.submitted_at, each) for each in versions if each.time_source == "commit" and each.submitted_at]
    last = [max((entry for entry in commits if entry[0] <= end), key=lambda entry: entry[0], default=None) for end in deadlines]
    counting = [each for entry in commits if entry in last for each in entry[1:]]
    others = [each for each in versions if each.time_source != "commit" and not (each.problem or "").startswith(NOTHING)]  # no attempt
    return others + ([each for each in counting if each.problem is None] or counting)


def _deadlines(course: Course, name: str) -> set[datetime.datetime]:
    setting = course.setting(name)
    with course.gradebook.reading() as session:
        extended = session.scalars(select(models.Extension.due).join(models.Assignment).where(models.Assignment.name == name)).all()
    dues = {setting.due, *(due.astimezone(course.settings.zone) for due in extended)}
    grace, days = datetime.timedelta(minutes=setting.late.grace_minutes), datetime.timedelta(days=setting.late.days)
    return {due + grace for due in dues} | {due + grace + days for due in dues}


def take_in(course: Course, deliveries: Sequence[Delivery], assignment: str | None, dry_run: bool = False) -> list[Arrival]:
    """Write deliveries into the gradebook. What is in it already is not taken in twice.

    Args:
        assignment: what they are for; None: what their topics say.
        dry_run: only tell what would become of them.

    Raises:
        CourseError: there is no such assignment.
        GradebookError: the gradebook cannot be written, and holds none of them.
    """
    with course.gradebook.writing() as session:
        everything = session.begin_nested()
        claims = [(assignment or _assignment_of(course, delivery), claim) for delivery in deliveries for claim in delivery.members]
        taking = _Taking(course, session, People(session), namesakes(claims))
        arrivals = [taking.take(delivery, assignment) for delivery in _in_order(deliveries)]
        if dry_run:
            everything.rollback()
    return arrivals


def _in_order(deliveries: Iterable[Delivery]) -> list[Delivery]:
    never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return sorted(deliveries, key=lambda delivery: (delivery.submitted_at or never, delivery.attempt or 0))


class _Taking:
    """Takes in one delivery after another, in one transaction."""

    def __init__(self, course: Course, session: Session, people: People, namesakes: set[Namesake]):
        self.course, self.session, self.people, self.namesakes = course, session, people, namesakes
        self.has_roster = course.roster.exists()

    def take(self, delivery: Delivery, assignment: str | None) -> Arrival:
        name = assignment or _assignment_of(self.course, delivery)
        row = self.course.row(self.session, name) if name else None
        matches = [
            (claim, self.people.match(claim, row.id if row else None, namesake(name, claim) in self.namesakes))
            for claim in delivery.members
        ]
        added = False
        if not self.has_roster and row:
            matches, added = self._with_new_persons(matches)
        if row is None or name is None:
            return self._arrival(delivery, None, matches, "unassigned", None, 1)
        self.session.flush()
        earlier = self._earlier(row.id, matches)
        sha256 = _sha256(delivery)
        known = _known(earlier, sha256, delivery)
        if known is None:
            self._add(delivery, row.id, matches, sha256)
        elif delivery.submitted_at and known.submitted_at is None:
            known.submitted_at, known.time_source = delivery.submitted_at, delivery.time_source
        attempt = len(earlier) + 1 if known is None else earlier.index(known) + 1
        arrival = self._arrival(delivery, name, matches, "new" if known is None else "known", self._due(row, matches), attempt)
        return replace(arrival, added=True) if added else arrival

    def _with_new_persons(self, matches: list[tuple[Claim, Match]]) -> tuple[list[tuple[Claim, Match]], bool]:
        """Return the matches with a new person for everybody who is nobody yet: where there is no roster, a platform's word is enough."""
        made = []
        for claim, match in matches:
            if match.is_new:
                entry = roster.Entry(claim.name or claim.key, claim.email, claim.sid)
                person = new_person(self.session, entry)
                self.people.add(person)
                match = Match(person, "new")
            made.append((claim, match))
        return made, any(match.how == "new" for _, match in made)

    def _earlier(self, assignment_id: int, matches: Sequence[tuple[Claim, Match]]) -> list[Submission]:
        """Return what the same people handed in for the assignment before, in the order of their attempts."""
        claim, match = matches[0]
        query = select(Submission).join(models.Member).where(Submission.assignment_id == assignment_id)
        if match.person is not None:
            query = query.where(models.Member.person_id == match.person.id)
        else:
            query = query.where(models.Member.person_id.is_(None), models.Member.system == claim.system, models.Member.key == claim.key)
        found = self.session.scalars(query.options(selectinload(Submission.members))).unique().all()
        everybody = {_identity(claim, match) for claim, match in matches}
        same = [each for each in found if {member.person_id or (member.system, member.key) for member in each.members} == everybody]
        return sorted(same, key=in_order)

    def _add(self, delivery: Delivery, assignment_id: int, matches: Sequence[tuple[Claim, Match]], sha256: str) -> None:
        submission = Submission(
            assignment_id=assignment_id,
            team=delivery.team,
            attempt=delivery.attempt,
            submitted_at=delivery.submitted_at,
            time_source=delivery.time_source,
            late=delivery.late,
            origin=printable(delivery.origin, "_"),
            filename=printable(delivery.files[0][0] if delivery.files else delivery.origin, "_"),
            sha256=sha256,
            problem=delivery.problem and printable(delivery.problem, "_"),
        )
        for claim, match in matches:
            fields = {name: printable(value, "_") if value else value for name, value in asdict(claim).items()}
            submission.members.append(models.Member(person_id=match.person.id if match.person else None, **fields))
            if match.person is not None and match.how != "alias":
                alias = models.Alias(
                    system=claim.system, key=claim.key, assignment_id=assignment_id, person_id=match.person.id, by=INTAKE, at=models.now()
                )
                match.person.aliases.append(alias)
        for name, kept in delivery.files:
            if self.session.get(models.Content, kept.sha256) is None:
                self.session.add(models.Content(sha256=kept.sha256, content=kept.read()))
            submission.files.append(models.File(name=printable(name, "_"), content_sha256=kept.sha256))
        self.session.add(submission)
        self.session.flush()

    def _due(self, row: models.Assignment, matches: Sequence[tuple[Claim, Match]]) -> datetime.datetime:
        """Return when it was due: for several people, the latest date that any of them has."""
        persons = [match.person for _, match in matches if match.person]
        usual = self.course.setting(row.name).due
        return max((due_date(self.session, person.id, row.id, usual) for person in persons), default=usual)

    def _arrival(
        self,
        delivery: Delivery,
        name: str | None,
        matches: Sequence[tuple[Claim, Match]],
        status: Literal["new", "known", "unassigned"],
        due: datetime.datetime | None,
        attempt: int,
    ) -> Arrival:
        setting: Assignment | None = self.course.setting(name) if name else None
        late = lateness(delivery, due, setting.late) if due and setting else None
        return Arrival(
            assignment=name,
            people=tuple(shown_person(match.person) for _, match in matches if match.person),
            strangers=tuple(
                Stranger(claim, match.how, tuple(described(person) for person in match.likely))
                for claim, match in matches
                if match.person is None
            ),
            origin=delivery.origin,
            filename=delivery.files[0][0] if delivery.files else "",
            status=status,
            submitted_at=delivery.submitted_at,
            time_source=delivery.time_source,
            late=late,
            too_late=setting is not None and is_too_late(late, setting.late),
            attempt=attempt,
            team=delivery.team,
            problem=delivery.problem,
        )


def _assignment_of(course: Course, delivery: Delivery) -> str | None:
    """Return the only assignment on the topic of a delivery."""
    names = [name for name, setting in course.settings.assignments.items() if setting.topic == delivery.topic]
    return names[0] if len(names) == 1 else None


def _identity(claim: Claim, match: Match) -> int | tuple[str, str]:
    return match.person.id if match.person is not None else (claim.system, claim.key)


def _known(earlier: Sequence[Submission], sha256: str, delivery: Delivery) -> Submission | None:
    """Return the attempt that a delivery was taken in as before: one of the same time, or the last one; where no time is told, any."""
    same = [submission for submission in earlier if submission.sha256 == sha256]
    exact = [submission for submission in same if delivery.submitted_at in (None, submission.submitted_at)]
    last = [submission for submission in same if submission is earlier[-1]]
    return next(iter(exact or last), None)


def _sha256(delivery: Delivery) -> str:
    """Return the hash of what was handed in, as `grader.intake.choice` makes it."""
    hashes = [kept.sha256 for _, kept in delivery.files]
    text = "".join(sorted(hashes)) if hashes else delivery.problem or ""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(text.encode(errors="replace")).hexdigest()
