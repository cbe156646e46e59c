"""Who somebody is follows from keys, numbers, addresses and unique names, in this order; otherwise a human says it, once."""

import unicodedata

import pytest
from courses import course_in, delivery
from sqlalchemy import select

from grader.course import people
from grader.course.arrivals import take_in
from grader.course.models import Alias, Person
from grader.course.people import People, decide, person_called
from grader.course.settings import CourseError
from grader.intake.deliveries import Claim

HEBREW = "נועה לוי"
ROSTER = f"""\
name,email,sid,group,github,moodle
Ada Lovelace,ada@x.cz,1001,A,ada-l,
Noël Ó Briain,noel@x.cz,1002,A,,
Jan Novák,jan@x.cz,1003,A,,
Jan Novák,jan.novak@x.cz,1004,B,,
{HEBREW},noa@x.cz,1005,B,,m-5
"""


@pytest.fixture
def course(tmp_path):
    return course_in(tmp_path / "course", roster=ROSTER)


def matched(course, claim, assignment=None):
    with course.gradebook.reading() as session:
        match = People(session).match(claim, assignment)
        return match.person.email if match.person else match.how


@pytest.mark.parametrize(
    ("claim", "email"),
    [
        (Claim("github", "Ada-L"), "ada@x.cz"),  # GitHub does not tell small letters from capitals
        (Claim("moodle", "m-5"), "noa@x.cz"),
        (Claim("gradescope", "77", "A. L.", None, "1001"), "ada@x.cz"),
        (Claim("gradescope", "77", "A. L.", "ADA@x.cz"), "ada@x.cz"),
        (Claim("folder", "1002", "1002"), "noel@x.cz"),
        (Claim("nbgrader", "ada@x.cz"), "ada@x.cz"),
        (Claim("moodle", "9", unicodedata.normalize("NFD", "Noël Ó Briain")), "noel@x.cz"),
        (Claim("moodle", "9", f"\u200f{HEBREW} \u200f"), "noa@x.cz"),
        (Claim("canvas", "12", "lovelaceada"), "ada@x.cz"),
        (Claim("canvas", "12", "óbriainnoël"), "noel@x.cz"),
    ],
)
def test_somebody_is_recognized(course, claim, email):
    assert matched(course, claim) == email


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (Claim("moodle", "9"), "the platform tells no name"),
        (Claim("moodle", "1001"), "the platform tells no name"),  # the number of a participant is nobody's student number
        (Claim("moodle", "9", "Jan Novák"), "2 people are called Jan Novák"),
        (Claim("moodle", "9", "Ada Byron"), "nobody in the course is called so"),
        (Claim("moodle", "9", "ADA LOVELACE"), "nobody in the course is called so"),  # perhaps, but that is for a human to say
        (Claim("moodle", "9", "Ada Lovelace", "other@x.cz"), "Ada Lovelace is in the course, but with another e-mail address"),
        (Claim("moodle", "9", "Ada Lovelace", None, "2001"), "Ada Lovelace is in the course, but with another student number"),
        (
            Claim("moodle", "9", "Ada Lovelace", "noel@x.cz", "1001"),
            "its number is that of Ada Lovelace, its e-mail address that of Noël Ó Briain",
        ),
    ],
)
def test_what_is_not_certain_is_not_decided(course, claim, reason):
    assert matched(course, claim) == reason


def test_a_human_is_told_whom_somebody_resembles(course):
    with course.gradebook.reading() as session:
        everybody = People(session)

        def likely(claim):
            return [person.email for person in everybody.match(claim, None).likely]

        assert likely(Claim("moodle", "9", "Jan Novák")) == ["jan@x.cz", "jan.novak@x.cz"]
        assert likely(Claim("moodle", "9", "LOVELACE, Ada")) == ["ada@x.cz"]
        assert likely(Claim("moodle", "9", "Ada Lovelase")) == ["ada@x.cz"]
        assert likely(Claim("folder", "ada", "ada")) == ["ada@x.cz"]
        assert likely(Claim("moodle", "9", "Emmy Noether")) == []


def emails(course, assignment="ppo"):
    """Return who is known to have handed in."""
    with course.gradebook.reading() as session:
        query = select(people.Member, people.Submission).join(people.Submission).order_by(people.Member.id)
        persons = {person.id: person.email for person in session.scalars(select(Person))}
        return [persons.get(member.person_id) for member, submission in session.execute(query)]


def decided(course, system, key, who, assignment=None):
    with course.gradebook.writing() as session:
        row = course.row(session, assignment) if assignment else None
        return decide(session, system, key, person_called(session, who), row, "jan")


def test_a_decision_is_asked_for_once_and_kept(course):
    take_in(course, [delivery(Claim("canvas", "31", "byronada"), 1)], "ppo")
    assert emails(course) == [None]
    assert decided(course, "canvas", "31", "ada@x.cz") == 1
    assert emails(course) == ["ada@x.cz"]
    [arrival] = take_in(course, [delivery(Claim("canvas", "31", "byronada"), 2, topic="trpo")], "trpo")
    assert arrival.people[0].name == "Ada Lovelace" and not arrival.strangers
    with course.gradebook.reading() as session:
        [alias] = session.scalars(select(Alias).where(Alias.system == "canvas"))
        assert (alias.key, alias.by, alias.assignment_id) == ("31", "jan", None)


def test_the_last_decision_counts(course):
    take_in(course, [delivery(Claim("canvas", "31", "jannovák"), 1)], "ppo")
    decided(course, "canvas", "31", "1003")
    assert emails(course) == ["jan@x.cz"]
    decided(course, "canvas", "31", "1004")
    assert emails(course) == ["jan.novak@x.cz"]


def test_a_number_that_moodle_gave_for_one_assignment_says_nothing_in_another(course):
    take_in(course, [delivery(Claim("moodle", "5", None), 1)], "ppo")
    assert decided(course, "moodle", "5", "ada") == 1
    [arrival] = take_in(course, [delivery(Claim("moodle", "5", "Jan Novák"), 1, topic="trpo")], "trpo")
    assert not arrival.people and arrival.strangers[0].reason == "2 people are called Jan Novák"
    with pytest.raises(CourseError, match="moodle numbers people anew for each assignment: add --assignment to say in which 6 is Ada"):
        decided(course, "moodle", "6", "ada")
    assert decided(course, "moodle", "6", "ada", "trpo") == 0


def test_the_roster_can_be_corrected_later(course):
    take_in(course, [delivery(Claim("moodle", "5", "Emmy Noether", "emmy@x.cz"), 1)], "ppo")
    assert emails(course) == [None]
    course = course_in(course.folder, roster=ROSTER.replace("Ada Lovelace", "Ada King") + "Emmy Noether,emmy@x.cz,1009,B,,\n")
    assert emails(course) == ["emmy@x.cz"]
    with course.gradebook.reading() as session:
        assert session.scalars(select(Person.name).where(Person.sid == "1001")).all() == ["Ada King"]
        assert len(session.scalars(select(Person)).all()) == 6
    course = course_in(course.folder, roster="name,email\nEmmy Noether,emmy@x.cz\n")
    with course.gradebook.reading() as session:
        assert session.scalars(select(Person.name).where(Person.enrolled)).all() == ["Emmy Noether"]


def test_a_roster_that_makes_one_of_two_people_is_told(course):
    with pytest.raises(
        CourseError, match=f"what the roster says of Ada fits {HEBREW} and Ada Lovelace: correct their numbers, addresses or keys"
    ):
        course_in(course.folder, roster="name,email,sid,github,moodle\nAda,,,ada-l,m-5\n")


def test_whoever_takes_anothers_name_on_a_platform_takes_nothing_else_of_theirs(course):
    """Many let people call themselves what they like; there, two numbers are two people."""
    names = ("Ada Lovelace", "Ada Lovelace", "Noël Ó Briain")
    export = [delivery(name, number, key=str(number)) for number, name in enumerate(names)]
    for arrival in take_in(course, export, "ppo")[:2]:
        assert [(stranger.reason, stranger.likely) for stranger in arrival.strangers] == [
            ("several people are called so there", ("Ada Lovelace, ada@x.cz",))
        ]
    with course.gradebook.writing() as session:
        assert people.rematch(session) == 0
    decided(course, "moodle", "1", "ada@x.cz")
    with course.gradebook.writing() as session:
        assert people.rematch(session) == 0
    assert emails(course) == [None, "ada@x.cz", "noel@x.cz"]
    [later] = take_in(course, [delivery("Noël Ó Briain", 7, key="7")], "ppo")
    assert later.strangers[0].reason == "several people are called so there"
    [in_another] = take_in(course, [delivery("Noël Ó Briain", 8, topic="trpo", key="8")], "trpo")
    assert in_another.people[0].name == "Noël Ó Briain", "Moodle numbers people anew for each assignment"


def test_without_a_roster_the_platforms_say_who_takes_part(tmp_path):
    course = course_in(tmp_path / "course", roster=None)
    taken = take_in(course, [delivery("Ada Lovelace", 1), delivery("Jan Novák", 2)], "ppo")
    assert [arrival.people[0].name for arrival in taken] == ["Ada Lovelace", "Jan Novák"] and all(arrival.added for arrival in taken)
    [again] = take_in(course, [delivery("Ada Lovelace", 1, topic="trpo")], "trpo")
    assert again.people == taken[0].people and not again.added
    one, other = take_in(course, [delivery("Eva Nová", 1, key="8"), delivery("Eva Nová", 2, key="9")], "ppo")
    assert one.added and other.added and one.people != other.people, "two numbers are two people"


@pytest.mark.parametrize("told", ["1001", "ADA@x.cz", "ada-l", "Ada Lovelace", "lovelace", "Lovelace, Ada"])
def test_an_instructor_names_somebody_as_is_convenient(course, told):
    with course.gradebook.reading() as session:
        person = person_called(session, told)
        assert person.name == "Ada Lovelace"
        assert person_called(session, person.pseudonym) is person


def test_whoever_is_not_named_clearly_is_told(course):
    with course.gradebook.reading() as session:
        with pytest.raises(CourseError, match="'novák' may be any of 2 people .Jan Novák, jan@x.cz; Jan Novák, jan.novak@x.cz.: name one"):
            person_called(session, "novák")
        with pytest.raises(CourseError, match="nobody in the course is called 'Zeno'; npfl139 course show --people lists them"):
            person_called(session, "Zeno")
        with pytest.raises(CourseError, match="nobody in the course is called 'Ada Lovelaec'; did you mean 'Ada Lovelace'?"):
            person_called(session, "Ada Lovelaec")


def test_pseudonyms_are_stable_and_tell_nothing(course):
    with course.gradebook.reading() as session:
        first = {person.email: person.pseudonym for person in session.scalars(select(Person))}
    assert len(set(first.values())) == 5
    again = course_in(course.folder, roster=ROSTER.replace("1001", "1"))
    with again.gradebook.reading() as session:
        assert {person.email: person.pseudonym for person in session.scalars(select(Person))} == first
    other = course_in(course.folder.parent / "other", roster=ROSTER)
    with other.gradebook.reading() as session:
        assert not set(session.scalars(select(Person.pseudonym))) & set(first.values())
