"""What the commands of a course show: tables of what the gradebook holds, and sentences on what to do next."""

import shlex
from collections import Counter
from collections.abc import Sequence

from rich.text import Text
from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.course import models, questions
from grader.course.arrivals import Arrival
from grader.course.course import Course
from grader.course.decisions import open_appeals
from grader.course.gradebook import Gradebook
from grader.course.grading import Outcome
from grader.course.marking import Account, Accounts, Tried, marks_of, totals
from grader.course.models import Person, now
from grader.course.rules import lateness_text
from grader.course.screens import Cell, Screen, points
from grader.records import Verdict
from grader.show.findings import VERDICTS

__all__ = ["answered", "arrivals", "assignments", "changes", "graded", "mark", "people", "person"]

MANY = 40  # rows that anybody reads
STATES = {"graded": "", "waiting": "not graded yet", "fault": "the grader failed", "missing": "missing", "excused": "excused"}
STYLES = {"waiting": "yellow", "fault": "bold red", "missing": "red", "excused": "dim"}


def assignments(course: Course, screen: Screen) -> None:
    """Show each assignment: how many handed in, were graded, are late, are open."""
    marks = marks_of(course)
    rows: list[list[Cell]] = []
    for name, setting in course.settings.assignments.items():
        own = [each for each in marks if each.assignment == name]
        states = Counter(each.state for each in own)
        handed = sum(each.attempts > 0 for each in own)
        graded = [each for each in own if each.state == "graded"]
        mean = points(sum(each.points for each in graded) / len(graded)) if graded else "–"
        top = points(max((each.max_points for each in own), default=course.max_points(name) or 0))
        late = sum(each.late is not None for each in own)
        due = Text(screen.time(setting.due), style="" if setting.due > now() else "dim")
        failed = f" ({states['fault']} failed)" if states["fault"] else ""
        left = states["waiting"] + states["fault"]
        to_do = Text(f"{left}{failed}", style="bold red" if failed else "yellow" if left else "dim")
        rows.append([name, due, f"{handed} / {len(own)}", str(late), to_do, f"{mean} / {top}"])
    screen.say(f"{course.settings.title}, {course.settings.term}", "bold")
    screen.say()
    screen.table(["assignment", "due", "handed in", "late", "to grade", "mean"], rows, right=(2, 3, 4, 5))
    with course.gradebook.reading() as session:
        _open(course, session, screen)
        runs = session.scalars(select(models.Run).order_by(models.Run.id.desc()).limit(5)).all()
        if runs:
            screen.say()
            screen.table(
                ["run", "when", "by", "graded"], [[str(run.id), screen.time(run.at), run.by, run.what] for run in runs], right=(0,)
            )


def _open(course: Course, session: Session, screen: Screen) -> None:
    """Say what waits for a human."""
    strangers = session.execute(
        select(models.Member.system, models.Member.key, models.Member.name, models.Assignment.name)
        .select_from(models.Member)
        .join(models.Submission)
        .join(models.Assignment)
        .where(models.Member.person_id.is_(None))
        .distinct()
    ).all()
    if strangers:
        screen.say()
        screen.say(f"{len(strangers)} who handed in {'are' if len(strangers) > 1 else 'is'} nobody in the course yet; say who:", "yellow")
        for system, key, name, _ in strangers[:MANY]:
            remark = f"   # {name}" if name and name != key and not screen.anonymous else ""
            screen.command(f"npfl139 course alias {system} {shlex.quote(key)} STUDENT{remark}")
    names = {row.id: row.name for row in session.scalars(select(models.Assignment))}
    for entry in open_appeals(session):
        who = session.get_one(Person, entry.person_id)
        shown = f"{screen.who(who.name, who.pseudonym)} appeals {names[entry.assignment_id]} since {screen.time(entry.at)}"
        screen.say()
        screen.say(shown if screen.anonymous else f"{shown}: {entry.reason}", "yellow")


def people(course: Course, screen: Screen) -> None:
    """Show who takes part, with totals out of everything that is due."""
    marks = marks_of(course, anonymous=screen.anonymous)
    rows = []
    for total in totals(marks, now()):
        share = f"{100 * total.share:.0f} %" if total.max_points else "–"
        sums = f"{points(total.points)} / {points(total.max_points)}"
        who = total.person
        rows.append([who.name, who.email or "", who.sid or "", who.group or "", sums, share, "open" if total.is_open else ""])
    if not rows:
        screen.say(f"Nobody takes part yet: write {course.roster}, whose first line is name,email,sid.")
        return
    screen.table(["name", "e-mail", "number", "group", "total", "", ""], rows, right=(4, 5))
    screen.say()
    screen.say(
        "Totals are out of everything that is due, whether or not it was handed in, but for what is excused; open ones are not graded yet.",
        "dim",
    )


def arrivals(course: Course, taken: Sequence[Arrival], screen: Screen, dry_run: bool, everything: bool) -> bool:
    """Show what was taken in; return whether a human must say something."""
    new = [each for each in taken if each.status == "new"]
    notable = [each for each in new if everything or len(new) <= MANY or _is_notable(each)]
    if notable:
        rows = [_arrival(each, screen) for each in notable]
        screen.table(["who", "no.", "handed in", "", "what"], rows, right=(1,), wide=4)
        if len(notable) < len(new):
            screen.say(f"… and {len(new) - len(notable)} more in which there is nothing to tell; --all lists them.", "dim")
        screen.say()
    known = sum(each.status == "known" for each in taken)
    would = "would be " if dry_run else ""
    added = len({each.who for each in new if each.added})
    screen.say(
        f"{len(new)} {would}taken in, {known} {'is' if known == 1 else 'are'} in the gradebook already"
        + (f", {added} people {would}added, as there is no roster.csv." if added else ".")
    )
    if new and not dry_run:
        screen.say("Grade them: npfl139 grade")
    return _strangers(taken, screen, dry_run) | _unassigned(course, taken, screen)


def _is_notable(arrival: Arrival) -> bool:
    return bool(arrival.strangers or arrival.problem or arrival.late)


def _arrival(arrival: Arrival, screen: Screen) -> list[Cell]:
    names = [screen.who(*each) for each in arrival.who]
    strangers = [f"? {each.claim.key if screen.anonymous else each.claim.name or each.claim.key}" for each in arrival.strangers]
    who = Text(" + ".join([*names, *strangers]), style="yellow" if strangers else "")
    time = screen.time(arrival.submitted_at) if arrival.submitted_at else "time unknown"
    if arrival.time_source == "file":
        time += " (by the file)"
    late = Text("too late" if arrival.too_late else lateness_text(arrival.late), style="red" if arrival.late else "dim")
    what: Cell = Text(arrival.problem, style="red") if arrival.problem else arrival.filename
    return [who, str(arrival.attempt), time, late, what]


def _strangers(taken: Sequence[Arrival], screen: Screen, dry_run: bool) -> bool:
    strangers = {(each.claim.system, each.claim.key): (each, arrival) for arrival in taken for each in arrival.strangers}
    if not strangers:
        return False
    screen.say()
    count = len(strangers)
    screen.say(f"{count} {'people are' if count > 1 else 'person is'} nobody in the course. Say who, once; it is kept:", "bold yellow")
    for (system, key), (stranger, arrival) in strangers.items():
        known = () if screen.anonymous else (stranger.claim.name, stranger.claim.email, stranger.claim.sid)
        told = ", ".join(filter(None, known)) or key
        likely = f"; perhaps {' or '.join(stranger.likely)}" if stranger.likely and not screen.anonymous else ""
        screen.say(told if screen.anonymous else f"{told} ({arrival.origin}): {stranger.reason}{likely}")
        guess = stranger.likely[0].rpartition(", ")[2] if len(stranger.likely) == 1 and not screen.anonymous else "STUDENT"
        only = f" --assignment {arrival.assignment}" if system == "moodle" and arrival.assignment else ""
        screen.command(f"npfl139 course alias {system} {shlex.quote(key)} {guess}{only}")
    if not dry_run:
        screen.say("What they handed in is taken in, and can be graded already.", "dim")
    return True


def _unassigned(course: Course, taken: Sequence[Arrival], screen: Screen) -> bool:
    left = [each for each in taken if each.status == "unassigned"]
    if left:
        some = ", ".join("?" if screen.anonymous else each.origin for each in left[:5]) + (" …" if len(left) > 5 else "")
        screen.say()
        screen.say(f"{len(left)} not taken in, since nothing tells for which assignment: {some}. Say it:", "bold yellow")
        screen.command(f"npfl139 intake PATH --assignment {'|'.join(course.settings.assignments)}")
    return bool(left)


def graded(course: Course, outcome: Outcome, screen: Screen) -> None:
    """Say what a run of grade did, and what is left."""
    faults = sum(result.is_fault for result in outcome.results)
    count = len(outcome.results)
    screen.say(f"Run {outcome.run}: {count} graded." if count else f"Run {outcome.run}: there was nothing to grade.")
    if faults:
        screen.say(f"The grader itself failed on {faults} of them: those points are open; the next run grades them.", "bold yellow")
    if outcome.elsewhere:
        screen.say(f"{outcome.elsewhere} are being graded by another program; the next run grades what it leaves.", "yellow")
    if outcome.discarded:
        screen.say(f"{outcome.discarded} results were left out: another program had taken those submissions over.", "yellow")
    if outcome.changed:
        screen.say(f"{outcome.changed} gradings rest on checks, a grader, a seed or options that have changed. To repeat them:", "yellow")
        screen.command("npfl139 grade --regrade changed")
    if count:
        changed = f"What changed: npfl139 diff {outcome.run - 1}. " if outcome.run > 1 else ""
        screen.say(f"{changed}All at a glance: npfl139 course show. Pages: npfl139 report.", "dim")


def person(course: Course, session: Session, who: Person, screen: Screen) -> None:
    """Show how each mark of a person came about."""
    accounts = Accounts(course, session)
    name = screen.who(who.name, who.pseudonym)
    more = [] if screen.anonymous else [who.email, who.sid, who.group, f"pseudonym {who.pseudonym}"]
    screen.say(" · ".join([name, *filter(None, more)]), "bold")
    found = [accounts.of(who, each) for each in course.settings.assignments]
    for account in found:
        if account.tried or account.due <= now() or account.adjustments or account.excuses:
            screen.say()
            _account(account, screen)
    [total] = totals([account.mark() for account in found], now())
    screen.say()
    share = f", {100 * total.share:.0f} %" if total.max_points else ""
    screen.say(f"total of what is due: {points(total.points)} / {points(total.max_points)}{share}", "bold")


def mark(course: Course, session: Session, who: Person, assignment: str, screen: Screen) -> None:
    """Show how one mark came about."""
    screen.say(f"{who.name}:")
    _account(Accounts(course, session).of(who, assignment), screen)


def _account(account: Account, screen: Screen) -> None:
    made = account.mark()
    state = STATES[made.state]
    heading = Text.assemble(
        (f"{account.assignment}  ", "bold"),
        (f"{points(made.points)} / {points(made.max_points)}", "bold"),
        (f"  {state}" if state else "", STYLES.get(made.state, "")),
    )
    screen.console.print(heading)
    extended = f", extended from {screen.time(account.setting.due)}" if account.extensions else ""
    screen.say(f"due {screen.time(account.due)}{extended}", "dim", indent=2)
    rows = [_tried(tried, tried is account.counting, screen) for tried in account.tried]
    if rows:
        screen.table(["", "attempt", "handed in", "", "score", "", "lost"], rows, right=(1, 4), wide=6)
    decided: list[tuple[models.Decided, str]] = []
    decided += [(each, f"{each.points:+g}") for each in account.adjustments]
    decided += [(each, "excused" if each.excused else "counts again") for each in account.excuses]
    decided += [(each, f"extended to {screen.time(each.due)}") for each in account.extensions]
    decided += [(each, "answered" if each.answers else "appeal") for each in account.appeals]
    for entry, what in sorted(decided, key=lambda pair: pair[0].at):
        reason = f": {entry.reason}" if entry.reason and not screen.anonymous else ""
        screen.say(f"{what} by {entry.by}, {screen.time(entry.at)}{reason}", indent=2)
    if made.adjustment or made.penalty:
        terms = [points(made.score)]
        terms += [f"{'+' if made.adjustment > 0 else '−'} {points(abs(made.adjustment))} adjusted"] if made.adjustment else []
        terms += [f"− {points(made.penalty)} for being {lateness_text(made.late)}"] if made.penalty else []
        screen.say(f"{' '.join(terms)} = {points(made.points)}", indent=2)


def _tried(tried: Tried, counts: bool, screen: Screen) -> list[Cell]:
    submission, grading = tried.submission, tried.grading
    time = screen.time(submission.submitted_at) if submission.submitted_at else "time unknown"
    late: Cell = Text("too late" if tried.too_late else lateness_text(tried.late), style="red" if tried.late else "dim")
    if grading is None:
        return ["→" if counts else "", str(tried.number), time, late, "–", "", "" if tried.too_late else Text("not graded yet", "yellow")]
    cost = f"− {points(tried.penalty)}" if tried.penalty and not tried.too_late else ""
    failed = [part for part in grading.parts if part.verdict != Verdict.PASSED]
    reasons = list(dict.fromkeys(f"{part.exercise or part.name}: {part.mistake or VERDICTS[part.verdict]}" for part in failed))
    lost = "; ".join(reasons[:3]) + (f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else "")
    verdicts = {part.verdict for part in grading.parts}
    if len(verdicts) == 1 and not verdicts & {Verdict.PASSED, Verdict.WRONG}:  # a file that cannot be loaded, or is as it was given
        lost = f"everything: {VERDICTS[verdicts.pop()]}"
    elif not failed and grading.score < grading.max_score:
        lost = "what training would give, which is not run"
    return [
        "→" if counts else "",
        str(tried.number),
        time,
        late,
        points(grading.score),
        cost,
        submission.problem or lost or "nothing",
    ]


def answered(course: Course, question: str, older: Sequence[Gradebook], count: int, screen: Screen) -> None:
    """Show the answer to a question."""
    terms = [*_terms(older), course.settings.term]
    asked = {"hardest": _hardest, "mistakes": _mistakes, "improved": _improved, "slowest": _slowest, "missing": _missing}[question]
    headings, rows, right, wide = asked(course, older, terms, count, screen)
    if not rows:
        nothing = {"missing": "Nobody misses anything that is due.", "improved": "Nobody improved from one attempt to another yet."}
        screen.say(nothing.get(question, "Nothing is graded yet: npfl139 grade"))
        return
    screen.table(headings, rows[:count], right, wide)
    if len(rows) > count:
        screen.say(f"… and {len(rows) - count} more: --count {len(rows)}", "dim")


Answer = tuple[list[str], list[list[Cell]], Sequence[int], int | None]


def _terms(older: Sequence[Gradebook]) -> list[str]:
    found = []
    for gradebook in older:
        with gradebook.reading() as session:
            found.append(session.get_one(models.Course, 1).term)
    return found


def _hardest(course: Course, older: Sequence[Gradebook], terms: list[str], count: int, screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [each.topic, each.exercise, each.check.removeprefix("check_"), *(_passed(each.passed.get(term)) for term in terms)]
        for each in questions.hardest(course, older)
    ]
    headings = ["topic", "exercise", "check", *(f"passed, {term}" for term in terms)]
    return headings, rows, range(3, 3 + len(terms)), 2


def _passed(counted: tuple[int, int] | None) -> str:
    return f"{counted[0]} of {counted[1]}" if counted else "–"


def _mistakes(course: Course, older: Sequence[Gradebook], terms: list[str], count: int, screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [each.topic, each.exercise, each.mistake, *(str(each.people.get(term, 0)) for term in terms)]
        for each in questions.mistakes(course, older)
    ]
    return ["topic", "exercise", "mistake", *(f"people, {term}" for term in terms)], rows, range(3, 3 + len(terms)), 2


def _improved(course: Course, older: Sequence[Gradebook], terms: list[str], count: int, screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [screen.who(each.name, each.pseudonym), each.assignment, str(each.attempts), points(each.before), points(each.after)]
        for each in questions.improved(course)
    ]
    return ["who", "assignment", "attempts", "first", "counts"], rows, (2, 3, 4), None


def _slowest(course: Course, older: Sequence[Gradebook], terms: list[str], count: int, screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [
            screen.who(each.name, each.pseudonym),
            each.assignment,
            str(each.attempt),
            f"{each.seconds:.1f}",
            "–" if each.training_seconds is None else f"{each.training_seconds:.1f}",
        ]
        for each in questions.slowest(course, count)
    ]
    return ["who", "assignment", "attempt", "seconds", "of them training"], rows, (2, 3, 4), None


def _missing(course: Course, older: Sequence[Gradebook], terms: list[str], count: int, screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [
            each.assignment,
            screen.who(each.name, each.pseudonym),
            "" if screen.anonymous else each.email or "",
            screen.time(each.due),
            points(each.points),
        ]
        for each in questions.missing(course, now())
    ]
    return ["assignment", "who", "e-mail", "was due", "points"], rows, (4,), None


def changes(course: Course, found: Sequence[questions.Change], screen: Screen) -> None:
    """Show who gained or lost, by which check, and why."""
    if not found:
        screen.say("Nobody gained or lost anything.")
        return
    for change in found:
        gained = change.after - change.before
        style = "green" if gained > 0 else "red" if gained < 0 else ""
        who = screen.who(change.name, change.pseudonym)
        screen.console.print(
            Text.assemble(
                (f"{who} {change.assignment}  ", "bold"),
                (
                    f"{points(change.before)} → {points(change.after)} ({gained:+.4g})" if gained else f"{points(change.after)}, as before",
                    style,
                ),
                (f"  {'; '.join(change.reasons)}", "dim"),
            )
        )
        first = change.reasons[:1] == ("graded for the first time",)
        for label, before, after, lost in () if first else change.parts:
            said = [VERDICTS.get(verdict, verdict) for verdict in dict.fromkeys((before, after))]
            screen.say(f"{label}: {' → '.join(said)}{', for other points' * (before == after)} ({lost:+.4g})", indent=2)
    lost = sum(change.after < change.before for change in found)
    gained_count = sum(change.after > change.before for change in found)
    screen.say()
    screen.say(f"{gained_count} gained, {lost} lost, {len(found) - gained_count - lost} kept their points by other checks.")
