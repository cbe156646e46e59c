"""What course.toml and roster.csv say is read, and whatever is wrong with them is told in a sentence."""

import datetime

import pytest

from grader.course.course import open_course
from grader.course.roster import Entry, read_roster, write_roster
from grader.course.settings import CourseError, Late, find_course, read_settings, template

TOPICS = ("ppo", "trpo")
COURSE = 'title = "A"\nterm = "B"\n'
PPO = "[assignments.ppo]\ndue = 2026-11-02\n"


def read(folder, text):
    (folder / "course.toml").write_text(text, encoding="utf-8")
    return read_settings(folder, TOPICS)


def test_the_template_is_a_course_in_which_every_topic_is_due(tmp_path):
    settings = read(tmp_path, template('A "quoted" title', "2026/27 · zima", "Europe/Prague", TOPICS, datetime.date(2026, 10, 19)))
    assert (settings.title, settings.term) == ('A "quoted" title', "2026/27 · zima")
    assert [(name, str(each.due)) for name, each in settings.assignments.items()] == [
        ("ppo", "2026-10-19 23:59:59+02:00"),
        ("trpo", "2026-10-26 23:59:59+01:00"),  # summer time has ended
    ]
    assert settings.assignments["ppo"].late == Late()


def test_what_holds_for_all_can_differ_for_one(tmp_path):
    text = (
        f'{COURSE}timezone = "Europe/Prague"\nattempts = "last"\nlimit = 60\nlate = {{ days = 3 }}\n{PPO}'
        '[assignments.second]\ntopic = "ppo"\ndue = 2026-10-01T12:00:00Z\nattempts = "best"\nlate = { percent_per_day = 50 }\n'
    )
    settings = read(tmp_path, text)
    assert list(settings.assignments) == ["second", "ppo"]  # as they are due
    first, second = settings.assignments["ppo"], settings.assignments["second"]
    assert (first.attempts, first.limit, first.late, first.topic) == ("last", 60.0, Late(days=3), "ppo")
    assert (second.attempts, second.limit, second.late, second.topic) == ("best", 60.0, Late(percent_per_day=50, days=3), "ppo")
    assert second.due == datetime.datetime(2026, 10, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("title = ", "course.toml is not TOML: Invalid value"),
        ("x = 1", r"there is no setting 'x': there are title, term"),
        (COURSE.replace("title", "titel") + PPO, r"there is no setting 'titel' \(did you mean title\?\)"),
        ('title = "A"\n' + PPO, "the course has no term: add term = …"),
        (COURSE, r"there is no assignment: add one, such as \[assignments.ppo\] with its due date"),
        (COURSE + "[assignments.ppo]\n", "assignments.ppo has no due: add due = …"),
        (COURSE + PPO + "weihgt = 2", r"there is no setting 'weihgt' of assignments.ppo \(did you mean weight\?\)"),
        (COURSE + PPO + 'weight = "2"', 'weight of assignments.ppo must be a number, got "2"'),
        (COURSE + PPO + "weight = -1", "weight of assignments.ppo must be a number of at least 0, got -1"),
        (COURSE + PPO + 'attempts = "bets"', 'attempts of assignments.ppo must be "best" or "last", got "bets"'),
        (COURSE + "[assignments.ppo]\ndue = 3", "due of assignments.ppo must be a date, with or without a time, such as .* got 3"),
        (COURSE + '[assignments.ppo]\ndue = "soon"', 'due of assignments.ppo must be a date.*, got "soon"'),
        (COURSE + "[assignments.pop]\ndue = 2026-01-01", r"topic 'pop', which is not installed \(did you mean ppo\?\): give it one"),
        (COURSE + "assignments = 3", "there is no assignment"),
        (COURSE + "assignments.ppo = 3", r"assignments.ppo must be a table, such as \[assignments.ppo\]"),
        (COURSE + '[assignments."a b"]\ndue = 2026-01-01', "'a b' cannot be the name of an assignment"),
        (COURSE + 'timezone = "Europe/Pragu"\n' + PPO, r"there is no timezone 'Europe/Pragu' \(did you mean Europe/Prague\?\)"),
        (COURSE + "late = 5\n" + PPO, "late must be a table, got 5"),
        (COURSE + "late = { percent_per_day = 200 }\n" + PPO, "percent_per_day of late must be a number of at most 100, got 200"),
        (COURSE + 'seed = "mine"\n' + PPO, 'seed must be a whole number or "secret", got "mine"'),
        (COURSE + "seed = 1.5\n" + PPO, "seed must be a whole number, got 1.5"),
        (COURSE + "training = 1\n" + PPO, "training must be true or false, got 1"),
        (COURSE + 'sandbox = "none"\n' + PPO, 'sandbox must be "bwrap" or "process", got "none"'),
    ],
)
def test_what_no_course_can_have_is_told(tmp_path, text, sentence):
    with pytest.raises(CourseError, match=sentence) as told:
        read(tmp_path, text)
    assert str(tmp_path / "course.toml") in str(told.value) and "\n" not in str(told.value)


def test_a_course_is_found_from_anywhere_in_it(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_course(tmp_path / "a") is None
    with pytest.raises(CourseError, match="there is no course.toml in .*: npfl139 course init writes one"):
        open_course(tmp_path)
    with pytest.raises(CourseError, match="course.toml cannot be read: No such file or directory"):
        read_settings(tmp_path, TOPICS)
    (tmp_path / "course.toml").write_text("")
    assert find_course(tmp_path / "a" / "b") == tmp_path


def roster(folder, text):
    (folder / "roster.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_roster(folder / "roster.csv")


@pytest.mark.parametrize(
    "text",
    [
        "name,email,sid,group\nNoël Ó Briain,noel@x.cz,7,A\n",
        "\ufeffFirst name;Last name;Email address;ID number;Groups\nNoël;Ó Briain;noel@x.cz;7;A\n",  # Moodle, by a spreadsheet
        "Last Name\tFirst Name\tSID\tEmail\tSection\nÓ Briain\tNoe\u0308l \t7\tnoel@x.cz\tA\n\n",  # Gradescope's
    ],
)
def test_a_roster_is_understood_as_people_and_platforms_write_it(tmp_path, text):
    assert roster(tmp_path, text) == [Entry("Noël Ó Briain", "noel@x.cz", "7", "A")]


def test_a_roster_that_is_written_is_read_back(tmp_path):
    entries = [
        Entry("Ada", "ada@x.cz", None, None, {"github": "ada-l", "moodle": "55"}),
        Entry('O\'Neill, "Shaq"', None, "8", "B"),
        Entry("נועה לוי"),
    ]
    write_roster(tmp_path / "roster.csv", entries)
    assert read_roster(tmp_path / "roster.csv") == entries


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty: its first line names the columns"),
        ("email\na@x.cz\n", "has no column name"),
        ("name,emial\nAda,a@x.cz\n", r"has a column 'emial', which is unknown \(did you mean email\?\)"),
        ("name,email,mail\nAda,a@x.cz,a@x.cz\n", "has two columns for email: delete one"),
        ("name,email\n,a@x.cz\n", "line 2 of .* has no name"),
        ("name,sid\nAda,1\nBob,1\n", "has two people with the student number 1"),
        ("name,email\nAda,a@x.cz\nBob,A@x.cz\n", "has two people with the e-mail address a@x.cz"),
        ("name,moodle\nAda,5\nBob,5\n", "has two people with the key for moodle 5"),
        ("name\nAda\nAda\n", "two people called Ada that nothing else tells apart"),
        (b"name\n\xff\xfe\n", "is not in UTF-8: save it once more as CSV UTF-8"),
    ],
)
def test_a_roster_that_is_wrong_is_told(tmp_path, text, sentence):
    with pytest.raises(CourseError, match=sentence):
        roster(tmp_path, text)


def test_a_roster_that_cannot_be_read_or_written_is_told(tmp_path):
    with pytest.raises(CourseError, match="cannot be read: No such file"):
        read_roster(tmp_path / "roster.csv")
    with pytest.raises(CourseError, match="cannot be written: No such file"):
        write_roster(tmp_path / "nowhere" / "roster.csv", [])
