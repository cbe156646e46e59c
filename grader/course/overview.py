"""What the commands of a course show: tables of what the gradebook holds, and sentences on what to do next."""

import itertools
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from grader.course import questions
from grader.course.arrivals import Arrival
from grader.course.course import Course
from grader.course.grading import Outcome
from grader.course.marking import Total
from grader.course.models import now
from grader.course.people import NUMBERED_ANEW
from grader.course.rules import lateness_text
from grader.course.screens import Cell, Screen, points
from grader.course.standing import Attempt, Decision, Standing, Standings, State
from grader.records import Record, Verdict
from grader.show.findings import VERDICTS

__all__ = ["answered", "arrivals", "assignments", "changes", "graded", "people", "person", "standing"]

MANY = 40  # rows that anybody reads
STATES = {"graded": "", "waiting": "not graded yet", "fault": "the grader failed", "missing": "missing", "excused": "excused"}
STYLES = {"waiting": "yellow", "fault": "bold red", "missing": "red", "excused": "dim"}


def assignments(found: State, screen: Screen) -> None:
    """Show each assignment: how many handed in, were graded, are late, are open; what waits for a human; the last runs."""
    rows: list[list[Cell]] = []
    for each in found.assignments:
        due = Text(screen.time(each.due), style="" if each.due > now() else "dim")
        failed = f" ({each.faults} failed)" if each.faults else ""
        left = each.waiting + each.faults
        to_do = Text(f"{left}{failed}", style="bold red" if failed else "yellow" if left else "dim")
        mean = f"{'–' if each.mean is None else points(each.mean)} / {points(each.max_points)}"
        rows.append([each.assignment, due, f"{each.handed_in} / {each.people}", str(each.late), to_do, mean])
    screen.say(f"{found.title}, {found.term}", "bold")
    screen.say()
    screen.table(["assignment", "due", "handed in", "late", "to grade", "mean"], rows, right=(2, 3, 4, 5))
    _open(found, screen)
    if found.runs:
        screen.say()
        runs = [[str(run.number), screen.time(run.at), run.by, run.what] for run in found.runs]
        screen.table(["run", "when", "by", "graded"], runs, right=(0,))


def _open(found: State, screen: Screen) -> None:
    """Say what waits for a human."""
    if found.unknown:
        screen.say()
        count = len(found.unknown)
        screen.say(f"{count} who handed in {'are' if count > 1 else 'is'} nobody in the course yet; say who:", "yellow")
        for each in found.unknown[:MANY]:
            only = f" --assignment {each.assignment}" if each.assignment else ""
            remark = f"   # {each.name}" if each.name and each.name != each.key else ""
            screen.command(f"npfl139 course alias {each.system} {shlex.quote(each.key)} STUDENT{only}{remark}")
    for entry in found.appeals:
        screen.say()
        reason = f": {entry.reason}" if entry.reason else ""
        screen.say(f"{entry.person.name} appeals {entry.assignment} since {screen.time(entry.at)}{reason}", "yellow")


def people(course: Course, found: Sequence[Total], screen: Screen) -> None:
    """Show who takes part, with totals out of everything that is due."""
    if not found:
        screen.say(f"Nobody takes part yet: write {course.roster}, whose first line is name,email,sid.")
        return
    rows = []
    for total in found:
        share = f"{100 * total.share:.0f} %" if total.max_points else "–"
        sums = f"{points(total.points)} / {points(total.max_points)}"
        who = total.person
        rows.append([who.name, who.email or "", who.sid or "", who.group or "", sums, share, "open" if total.is_open else ""])
    screen.table(["name", "e-mail", "number", "group", "total", "", ""], rows, right=(4, 5))
    screen.say()
    screen.say(
        "Totals are out of everything that is due, whether or not it was handed in, but for what is excused; open ones are not graded yet.",
        "dim",
    )


def arrivals(course: Course, taken: Sequence[Arrival], screen: Screen, dry_run: bool, everything: bool) -> None:
    """Show what was taken in, and what a human must say."""
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
    added = len({tuple(person.pseudonym for person in each.people) for each in new if each.added})
    screen.say(
        f"{len(new)} {would}taken in, {known} {'is' if known == 1 else 'are'} in the gradebook already"
        + (f", {added} people {would}added, as there is no roster.csv." if added else ".")
    )
    if new and not dry_run:
        screen.say("Grade them: npfl139 grade")
    _strangers(taken, screen, dry_run)
    _unassigned(course, taken, screen)


def _is_notable(arrival: Arrival) -> bool:
    return bool(arrival.strangers or arrival.problem or arrival.late)


def _arrival(arrival: Arrival, screen: Screen) -> list[Cell]:
    names = [person.name for person in arrival.people]
    strangers = [f"? {each.claim.name or each.claim.key}" for each in arrival.strangers]
    who = Text(" + ".join([*names, *strangers]), style="yellow" if strangers else "")
    time = screen.time(arrival.submitted_at) if arrival.submitted_at else "time unknown"
    if arrival.time_source == "file":
        time += " (by the file)"
    late = Text("too late" if arrival.too_late else lateness_text(arrival.late), style="red" if arrival.late else "dim")
    what: Cell = Text(arrival.problem, style="red") if arrival.problem else arrival.filename
    return [who, str(arrival.attempt), time, late, what]


def _strangers(taken: Sequence[Arrival], screen: Screen, dry_run: bool) -> None:
    strangers = {(each.claim.system, each.claim.key): (each, arrival) for arrival in taken for each in arrival.strangers}
    if not strangers:
        return
    screen.say()
    count = len(strangers)
    screen.say(f"{count} {'people are' if count > 1 else 'person is'} nobody in the course. Say who, once; it is kept:", "bold yellow")
    for (system, key), (stranger, arrival) in strangers.items():
        told = ", ".join(filter(None, (stranger.claim.name, stranger.claim.email, stranger.claim.sid))) or key
        likely = f"; perhaps {' or '.join(stranger.likely)}" if stranger.likely else ""
        screen.say(f"{told} ({arrival.origin}): {stranger.reason}{likely}" if stranger.reason else told)
        guess = stranger.likely[0].rpartition(", ")[2] if len(stranger.likely) == 1 else "STUDENT"
        only = f" --assignment {arrival.assignment}" if system in NUMBERED_ANEW and arrival.assignment else ""
        screen.command(f"npfl139 course alias {system} {shlex.quote(key)} {guess}{only}")
    if not dry_run:
        screen.say("What they handed in is taken in, and can be graded already.", "dim")


def _unassigned(course: Course, taken: Sequence[Arrival], screen: Screen) -> None:
    left = [each for each in taken if each.status == "unassigned"]
    if left:
        some = ", ".join(each.origin or "?" for each in left[:5]) + (" …" if len(left) > 5 else "")
        screen.say()
        screen.say(f"{len(left)} not taken in, since nothing tells for which assignment: {some}. Say it:", "bold yellow")
        screen.command(f"npfl139 intake PATH --assignment {'|'.join(course.settings.assignments)}")


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


def person(found: Standings, screen: Screen) -> None:
    """Show how each mark of a person came about."""
    who = found.person
    pseudonym = f"pseudonym {who.pseudonym}" if who.name != who.pseudonym else None
    screen.say(" · ".join(filter(None, (who.name, who.email, who.sid, who.group, pseudonym))), "bold")
    for each in found.assignments:
        if each.attempts or each.decisions or (each.mark.due and each.mark.due <= now()):
            screen.say()
            standing(each, screen)
    screen.say()
    total = found.total
    share = f", {100 * total.share:.0f} %" if total.max_points else ""
    screen.say(f"total of what is due: {points(total.points)} / {points(total.max_points)}{share}", "bold")


def standing(found: Standing, screen: Screen) -> None:
    """Show how one mark came about."""
    made = found.mark
    state = STATES[made.state]
    heading = Text.assemble(
        (f"{made.assignment}  ", "bold"),
        (f"{points(made.points)} / {points(made.max_points)}", "bold"),
        (f"  {state}" if state else "", STYLES.get(made.state, "")),
    )
    screen.console.print(heading)
    extended = f", extended from {screen.time(found.due_usually)}" if any(each.due for each in found.decisions) else ""
    screen.say(f"due {screen.time(made.due)}{extended}", "dim", indent=2)
    rows = [_attempt(attempt, screen) for attempt in found.attempts]
    if rows:
        screen.table(["", "attempt", "handed in", "", "score", "", "lost"], rows, right=(1, 4), wide=6)
    for attempt in found.attempts:
        for before, after in itertools.pairwise(attempt.gradings):
            score = points(after.score)
            scores = f"{score}, as before" if score == points(before.score) else f"{points(before.score)} → {score}"
            again = f"attempt {attempt.number} graded again in run {after.run}, {screen.time(after.at)}: {scores}"
            screen.say(f"{again}; {'; '.join(after.reasons)}", indent=2)
    for each in found.decisions:
        reason = f": {each.reason}" if each.reason else ""
        screen.say(f"{_decided(each, screen)} by {each.by}, {screen.time(each.at)}{reason}", indent=2)
    if made.adjustment or made.penalty:
        terms = [points(made.score)]
        terms += [f"{'+' if made.adjustment > 0 else '−'} {points(abs(made.adjustment))} adjusted"] if made.adjustment else []
        terms += [f"− {points(made.penalty)} for being {lateness_text(made.late)}"] if made.penalty else []
        screen.say(f"{' '.join(terms)} = {points(made.points)}", indent=2)


def _decided(decision: Decision, screen: Screen) -> str:
    if decision.points is not None:
        return f"{decision.points:+g}"
    return f"extended to {screen.time(decision.due)}" if decision.due else decision.what


def _attempt(attempt: Attempt, screen: Screen) -> list[Cell]:
    time = screen.time(attempt.submitted_at) if attempt.submitted_at else "time unknown"
    late: Cell = Text("too late" if attempt.too_late else lateness_text(attempt.late), style="red" if attempt.late else "dim")
    cells: list[Cell] = ["→" if attempt.counts else "", str(attempt.number), time, late]
    if attempt.score is None:
        return [*cells, "–", "", "" if attempt.too_late else Text("not graded yet", "yellow")]
    cost = f"− {points(attempt.penalty)}" if attempt.penalty and not attempt.too_late else ""
    return [*cells, points(attempt.score), cost, attempt.problem or _lost(attempt)]


def _lost(attempt: Attempt) -> str:
    """Return in a few words why points were lost."""
    verdicts = {check.verdict for check in attempt.checks}
    failed = [check for check in attempt.checks if check.verdict != Verdict.PASSED]
    if len(verdicts) == 1 and not verdicts & {Verdict.PASSED, Verdict.WRONG}:  # a file that cannot be loaded, or is as it was given
        return f"everything: {VERDICTS[verdicts.pop()]}"
    if not failed:
        return "what training would give, which is not run" if (attempt.score or 0.0) < (attempt.max_score or 0.0) else "nothing"
    reasons = list(dict.fromkeys(f"{check.exercise or check.check}: {check.mistake or VERDICTS[check.verdict]}" for check in failed))
    return "; ".join(reasons[:3]) + (f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else "")


Answer = tuple[list[str], list[list[Cell]], Sequence[int], int | None]  # headings, rows, columns of numbers, the wide column


def _hardest(found: Sequence[questions.Hardest], terms: Sequence[str], screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [each.topic, each.exercise, each.check.removeprefix("check_"), *(_passed(each.passed.get(term)) for term in terms)]
        for each in found
    ]
    return ["topic", "exercise", "check", *(f"passed, {term}" for term in terms)], rows, range(3, 3 + len(terms)), 2


def _passed(counted: questions.Passed | None) -> str:
    return f"{counted.passed} of {counted.people}" if counted else "–"


def _mistakes(found: Sequence[questions.Mistake], terms: Sequence[str], screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [each.topic, each.exercise, each.mistake, *(str(each.people.get(term, 0)) for term in terms)] for each in found
    ]
    return ["topic", "exercise", "mistake", *(f"people, {term}" for term in terms)], rows, range(3, 3 + len(terms)), 2


def _improved(found: Sequence[questions.Improved], terms: Sequence[str], screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [each.person.name, each.assignment, str(each.attempts), points(each.before), points(each.after)] for each in found
    ]
    return ["who", "assignment", "attempts", "first", "counts"], rows, (2, 3, 4), None


def _slowest(found: Sequence[questions.Slowest], terms: Sequence[str], screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [
            each.person.name,
            each.assignment,
            str(each.attempt),
            f"{each.seconds:.1f}",
            "–" if each.training_seconds is None else f"{each.training_seconds:.1f}",
        ]
        for each in found
    ]
    return ["who", "assignment", "attempt", "seconds", "of them training"], rows, (2, 3, 4), None


def _missing(found: Sequence[questions.Missing], terms: Sequence[str], screen: Screen) -> Answer:
    rows: list[list[Cell]] = [
        [each.assignment, each.person.name, each.person.email or "", screen.time(each.due), points(each.points)] for each in found
    ]
    return ["assignment", "who", "e-mail", "was due", "points"], rows, (4,), None


ANSWERS: dict[questions.Question, Callable[[Sequence[Any], Sequence[str], Screen], Answer]] = {
    "hardest": _hardest,
    "mistakes": _mistakes,
    "improved": _improved,
    "slowest": _slowest,
    "missing": _missing,
}
NOTHING = {"missing": "Nobody misses anything that is due.", "improved": "Nobody improved from one attempt to another yet."}


def answered(question: questions.Question, found: Sequence[Record], terms: Sequence[str], count: int, screen: Screen) -> None:
    """Show so many rows of the answer to a question.

    Args:
        terms: that are compared, this one last.
    """
    if not found:
        screen.say(NOTHING.get(question, "Nothing is graded yet: npfl139 grade"))
        return
    headings, rows, right, wide = ANSWERS[question](found[:count], terms, screen)
    screen.table(headings, rows, right, wide)
    if len(found) > count:
        screen.say(f"… and {len(found) - count} more: --count {len(found)}", "dim")


def changes(found: Sequence[questions.Change], screen: Screen) -> None:
    """Show who gained or lost, by which check, and why."""
    if not found:
        screen.say("Nobody gained or lost anything.")
        return
    for change in found:
        gained = change.after - change.before
        style = "green" if gained > 0 else "red" if gained < 0 else ""
        screen.console.print(
            Text.assemble(
                (f"{change.person.name} {change.assignment}  ", "bold"),
                (
                    f"{points(change.before)} → {points(change.after)} ({gained:+.4g})" if gained else f"{points(change.after)}, as before",
                    style,
                ),
                (f"  {'; '.join(change.reasons)}", "dim"),
            )
        )
        for moved in change.checks:
            said = [VERDICTS.get(verdict or "", "not checked") for verdict in dict.fromkeys((moved.before, moved.after))]
            name = f"{moved.exercise}, {moved.check.removeprefix('check_')}" if moved.exercise else moved.check
            other = ", for other points" * (moved.before == moved.after)
            screen.say(f"{name}: {' → '.join(said)}{other} ({moved.gained:+.4g})", indent=2)
    lost = sum(change.after < change.before for change in found)
    gained_count = sum(change.after > change.before for change in found)
    screen.say()
    screen.say(f"{gained_count} gained, {lost} lost, {len(found) - gained_count - lost} kept their points by other checks.")
