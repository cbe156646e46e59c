"""Makes a simulated course: people of many kinds, what they handed in, as five platforms pack it, and a file that says what was planted.

    python -m examples.make_course OUT --students 300 --seed 1
    python -m examples.make_course OUT --verify gradescope

In OUT lie course.toml, roster.csv, planted.json, and exports/<assignment>/<platform>/<1 or 2>: taken at the due date, and at the end.
What is handed in comes from solutions, their variants and catalogued mistakes: these files contain answers.
"""

import argparse
import csv
import datetime
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from examples.planted import drawn, parts_of, rewritten
from grader.contract.registry import available, load
from grader.contract.spec import Topic
from grader.release.skeleton import make_skeleton

__all__ = ["AFTER", "FIRST_DUE", "PLATFORMS", "Handed", "Planted", "make_course", "time_of"]

ZONE = datetime.UTC
FIRST_DUE = datetime.datetime(2025, 10, 6, 18, 0, tzinfo=ZONE)  # long past: what is missing counts
NAMES = (
    "Ada Lovelace", "Noël Ó Briain", "Jan Novák", "Jan Novák", "נועה לוי", "ليلى حداد", "Anna Li", "Đỗ Thị Hà",
    "O'Neill Shaw", "Łukasz Żak", "李小龙", "Ana María de la Cruz",
)  # fmt: skip
ROLES = (
    "right", "wrong", "variant", "own", "copy", "twice", "late", "broken", "missing", "team", "team", "too late", "archive", "hostile",
)  # fmt: skip
ATTACKS = Path(__file__).parents[1] / "tests" / "attacks"
HOSTILE = (
    "exit_at_once", "patched_asserts", "memory_of_python", "raises_strange_things", "recurses", "runs_a_shell", "forges_output",
    "writes_outside", "nested", "not text", "empty", "loops_forever",
)  # fmt: skip
NESTED = "deep = " + 20_000 * "(" + 20_000 * ")"
AFTER = datetime.timedelta(days=30)  # the due date, at which the second export is made
HOURS = {"twice": 1.0, "late": 30.0, "too late": 9 * 24.0}  # after the due date


@dataclass(frozen=True)
class Human:
    """Somebody who takes part, as the roster says."""

    name: str
    email: str
    sid: str
    group: str
    canvas: str
    github: str
    nbgrader: str


@dataclass(frozen=True)
class Handed:
    """What was planted: one attempt."""

    assignment: str
    people: tuple[str, ...]  # student numbers
    at: str  # ISO 8601
    kind: str  # right, variant, own (of several variants and mistakes), wrong (one mistake), copy, broken, archive, hostile
    filename: str
    sha256: str
    mistake: str | None = None
    copy_of: str | None = None  # a student number


@dataclass(frozen=True)
class Planted:
    """Everything that was planted."""

    people: tuple[Human, ...]
    handed: tuple[Handed, ...]
    contents: dict[str, bytes]  # by hash; in no file of what was planted


def make_course(out: Path, students: int, seed: int, topics: Sequence[str], platforms: Sequence[str] | None = None) -> Planted:
    """Write a course into a folder, as these platforms pack it, by default as all do, and return what was planted in it."""
    draw = random.Random(seed)
    humans = tuple(_human(number) for number in range(students))
    planted = Planted(humans, (), {})
    for week, name in enumerate(topics):
        planted = _handed_in(planted, load(name), FIRST_DUE + datetime.timedelta(weeks=week), draw)
    out.mkdir(parents=True, exist_ok=True)
    dues = {name: FIRST_DUE + datetime.timedelta(weeks=week) for week, name in enumerate(topics)}
    _write_course(out, humans, dues, seed)
    for name, due in dues.items():
        for number, until in enumerate((due, due + AFTER), start=1):
            own = _last_of_each([each for each in planted.handed if each.assignment == name and time_of(each) <= until])
            for platform in platforms or PLATFORMS:
                PLATFORMS[platform](out / "exports" / name / platform / str(number), name, own, planted)
    _write(out / "exports" / "gradebook-of-canvas.csv", canvas_gradebook(humans, topics).encode("utf-8-sig"))
    told = {"people": [asdict(human) for human in humans], "handed": [asdict(each) for each in planted.handed]}
    (out / "planted.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return planted


def _human(number: int) -> Human:
    name = NAMES[number] if number < len(NAMES) else f"Student {number:03} {chr(65 + number % 26)}."
    login = f"login-{number:03}"
    group = chr(65 + number // 30)
    return Human(name, f"{login}@uni.example", str(10_000 + number), group, str(70_000 + number), login, f"user{number:03}")


def _handed_in(planted: Planted, topic: Topic, due: datetime.datetime, draw: random.Random) -> Planted:
    """Add what everybody handed in for a topic: each has a role, in turn, and another one in each topic."""
    order = list(planted.people)
    draw.shuffle(order)
    sources = _Sources(topic, draw)
    handed: list[Handed] = []
    contents = dict(planted.contents)
    team: list[str] = []

    def add(people: Sequence[str], hours: float, kind: str, content: bytes, **more: str | None) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        contents[sha256] = content
        name = f"{topic.name}.zip" if kind == "archive" else f"{topic.name}.py"
        at = (due + datetime.timedelta(hours=hours)).isoformat()
        handed.append(Handed(topic.name, tuple(people), at, kind, name, sha256, **more))

    for index, human in enumerate(order):
        role, before = ROLES[index % len(ROLES)], -draw.randint(1, 100)
        if role == "team":
            team.append(human.sid)
            if len(team) == 2:
                add(team, before, "variant", sources.variant())
                team = []
        elif role == "copy":
            original = draw.choice([each for each in handed if each.kind == "own"])
            text = rewritten(contents[original.sha256].decode(), topic.exercises, draw).encode()
            add((human.sid,), before, "copy", text, copy_of=original.people[0])
        elif role in ("twice", "too late"):
            content, mistake = sources.wrong()
            add((human.sid,), -120, "wrong", content, mistake=mistake)
            add((human.sid,), HOURS[role], "right", sources.right())
        elif role == "wrong":
            content, mistake = sources.wrong()
            add((human.sid,), before, "wrong", content, mistake=mistake)
        elif role == "late":
            add((human.sid,), HOURS[role], "right", sources.right())
        elif role != "missing":
            add((human.sid,), before, role, getattr(sources, role)())
    return replace(planted, handed=(*planted.handed, *handed), contents=contents)


class _Sources:
    """What can be handed in for a topic, no two files the same."""

    def __init__(self, topic: Topic, draw: random.Random):
        self.topic, self.draw, self.count = topic, draw, 0
        self.parts = parts_of(topic.name)
        self.solution = topic.solution.read_text(encoding="utf-8")

    def numbered(self, text: str) -> bytes:
        self.count += 1
        return f"{text}\n# my solution, number {self.count}\n".encode()

    def right(self) -> bytes:
        return self.numbered(self.solution)

    def variant(self) -> bytes:
        return self.numbered(f"{self.solution}\n{self.draw.choice(self.topic.variants).read_text(encoding='utf-8')}")

    def own(self) -> bytes:
        return self.numbered(drawn(self.parts, self.draw, wrong=0.3).text)

    def wrong(self) -> tuple[bytes, str]:
        mistake = self.draw.choice(self.topic.mistakes)
        return self.numbered(mistake.edited(self.solution)), mistake.name

    def broken(self) -> bytes:
        return self.numbered(f"{self.skeleton}\ndef unfinished(:\n")

    def archive(self) -> bytes:
        return self.numbered("PK\x03\x04 and then the upload broke off")

    def hostile(self) -> bytes:
        kind = HOSTILE[self.count % len(HOSTILE)]
        if kind == "not text":
            return b"\xff\xfe\x00" + self.numbered(self.skeleton)
        if kind in ("nested", "empty"):
            return self.numbered(NESTED if kind == "nested" else "")
        return self.numbered(f"{self.skeleton}\n{(ATTACKS / f'{kind}.py').read_text(encoding='utf-8')}")

    @property
    def skeleton(self) -> str:
        return make_skeleton(self.solution, self.topic.exercises)


def _last_of_each(handed: Sequence[Handed]) -> list[Handed]:
    return list({each.people: each for each in sorted(handed, key=time_of)}.values())


def time_of(handed: Handed) -> datetime.datetime:
    """Return when something was handed in."""
    return datetime.datetime.fromisoformat(handed.at)


def _write_course(out: Path, humans: Sequence[Human], dues: dict[str, datetime.datetime], seed: int) -> None:
    assignments = "\n".join(f"[assignments.{name}]\ndue = {due:%Y-%m-%dT%H:%M:%S}\n" for name, due in dues.items())
    settings = f'title = "A simulated course"\nterm = "seed {seed}"\ntraining = false\nseed = {seed}\n\n{assignments}'
    (out / "course.toml").write_text(settings, encoding="utf-8")
    with open(out / "roster.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(asdict(humans[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(human) for human in humans)


Packing = Callable[[Path, str, Sequence[Handed], Planted], None]


def _each(handed: Sequence[Handed], planted: Planted) -> Iterator[tuple[Human, Handed]]:
    """Yield what every single person handed in, where a platform knows no teams."""
    humans = {human.sid: human for human in planted.people}
    for each in handed:
        for sid in each.people:
            yield humans[sid], each


def moodle(folder: Path, assignment: str, handed: Sequence[Handed], planted: Planted) -> None:
    """Pack as Moodle: a folder for each participant or group, and the grading worksheet beside; names are decomposed, as some do."""
    humans = {human.sid: human for human in planted.people}
    teams = {sid: f"Team {each.people[0]}" for each in handed if len(each.people) > 1 for sid in each.people}
    times = {sid: each.at for each in handed for sid in each.people}
    for each in handed:
        name = unicodedata.normalize("NFD", humans[each.people[0]].name)
        packed = teams[each.people[0]] if len(each.people) > 1 else f"{name}_{_participant(assignment, each.people[0])}"
        _write(folder / f"{packed}_assignsubmission_file_" / each.filename, planted.contents[each.sha256])
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(
        [
            "Identifier",
            "Full name",
            "ID number",
            "Email address",
            "Group",
            "Grade",
            "Maximum Grade",
            "Last modified (submission)",
            "Feedback comments",
        ]
    )
    most = f"{load(assignment).max_score:.2f}"
    for human in planted.people:
        time = f"{datetime.datetime.fromisoformat(times[human.sid]):%A, %d %B %Y, %I:%M %p}" if human.sid in times else "-"
        identifier = f"Participant {_participant(assignment, human.sid)}"
        writer.writerow([identifier, human.name, human.sid, human.email, teams.get(human.sid, ""), "", most, time, ""])
    _write(folder / f"Grades-{assignment}.csv", rows.getvalue().encode("utf-8-sig"))


def _participant(assignment: str, sid: str) -> int:
    """Return the number that Moodle gives somebody in one assignment."""
    return int(hashlib.sha256(f"{assignment} {sid}".encode()).hexdigest()[:6], 16)


def canvas(folder: Path, assignment: str, handed: Sequence[Handed], planted: Planted) -> None:
    """Pack as Canvas: one folder of files, whose names say who, whether it is late, and how often."""
    due = FIRST_DUE + datetime.timedelta(weeks=list(dict.fromkeys(each.assignment for each in planted.handed)).index(assignment))
    for number, (human, each) in enumerate(_each(handed, planted)):
        name = "".join(letter for letter in human.name.lower() if letter.isalnum())
        earlier = sum(human.sid in other.people and other.assignment == assignment and other.at < each.at for other in planted.handed)
        stem, _, suffix = each.filename.rpartition(".")
        again = f"-{earlier}" if earlier else ""
        late = "_LATE" if time_of(each) > due else ""
        _write(folder / f"{name}{late}_{human.canvas}_{900 + number}_{stem}{again}.{suffix}", planted.contents[each.sha256])


def canvas_gradebook(humans: Sequence[Human], topics: Sequence[str]) -> str:
    """Return the gradebook of Canvas, which it takes back with marks filled in."""
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *(f"{name} ({300 + week})" for week, name in enumerate(topics))]
    )
    writer.writerow(["    Points Possible", "", "", "", "", *(load(name).max_score for name in topics)])
    writer.writerows([human.name, human.canvas, human.sid, human.email, human.group, *("" for _ in topics)] for human in humans)
    return rows.getvalue()


def gradescope(folder: Path, assignment: str, handed: Sequence[Handed], planted: Planted) -> None:
    """Pack as Gradescope: a folder for each submission, and what is known of all in one file beside."""
    humans, told = {human.sid: human for human in planted.people}, []
    for number, each in enumerate(handed, start=500):
        _write(folder / f"submission_{number}" / each.filename, planted.contents[each.sha256])
        people = "".join(
            f"  - :name: {json.dumps(humans[sid].name, ensure_ascii=False)}\n    :sid: '{sid}'\n    :email: {humans[sid].email}\n"
            for sid in each.people
        )
        told.append(f"submission_{number}:\n  :submitters:\n{people}  :created_at: {time_of(each):%Y-%m-%d %H:%M:%S.000000000} Z\n")
    _write(folder / "submission_metadata.yml", ("---\n" + "".join(told)).encode())


def github(folder: Path, assignment: str, handed: Sequence[Handed], planted: Planted) -> None:
    """Pack as GitHub Classroom: a repository for each, in which every attempt until then is a commit."""
    last = max(time_of(each) for each in handed)
    for human in planted.people:
        own = [each for each in planted.handed if each.assignment == assignment and human.sid in each.people and time_of(each) <= last]
        path = folder / f"{assignment}-submissions" / f"{assignment}-{human.github}"
        path.mkdir(parents=True, exist_ok=True)
        _git(path, "init", "--quiet", "--initial-branch", "main")
        for each in sorted(own, key=time_of):
            _write(path / each.filename, planted.contents[each.sha256])
            _git(path, "add", "--all")
            _git(path, "commit", "--quiet", "--message", "work", at=each.at)


def _git(path: Path, *arguments: str, at: str | None = None) -> None:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@a"}
    when = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at} if at else {}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *arguments], cwd=path, env=os.environ | who | when | settings, check=True)


def nbgrader(folder: Path, assignment: str, handed: Sequence[Handed], planted: Planted) -> None:
    """Pack as nbgrader: submitted/<user>/<assignment>/ in the folder of its course."""
    _write(folder / "nbgrader_config.py", b"c = get_config()\n")
    for human, each in _each(handed, planted):
        path = folder / "submitted" / human.nbgrader / assignment
        _write(path / each.filename, planted.contents[each.sha256])
        _write(path / "timestamp.txt", f"{time_of(each):%Y-%m-%d %H:%M:%S} UTC".encode())


PLATFORMS: dict[str, Packing] = {
    "moodle": moodle,
    "canvas": canvas,
    "gradescope": gradescope,
    "github": github,
    "nbgrader": nbgrader,
}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a simulated course.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--students", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--topics", nargs="*", default=list(available()))
    parser.add_argument("--platforms", nargs="*", choices=PLATFORMS, help="by default all five")
    parser.add_argument(
        "--verify", choices=PLATFORMS, help="tell how OUT, taken in from this platform and graded, differs from what was planted"
    )
    arguments = parser.parse_args()
    if arguments.verify:
        from examples.verified import verify  # which imports this

        found = verify(arguments.out, arguments.verify)
        print("as planted:", ", ".join(f"{count} {what}" for what, count in found.right.items()))
        print(f"flagged, and nobody copied: {found.flagged} of {found.pairs} pairs")
        print("\n".join(found.differs) or "Nothing differs.")
        sys.exit(1 if found.differs else 0)
    planted = make_course(arguments.out, arguments.students, arguments.seed, arguments.topics, arguments.platforms)
    print(f"{arguments.out}: {len(planted.people)} people, {len(planted.handed)} attempts; planted.json says what was planted.")


if __name__ == "__main__":
    main()
