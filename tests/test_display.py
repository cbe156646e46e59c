"""The terminal shows progress, a table, the main finding, and lets no submission steer it."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import sample_results
from msgspec.structs import replace
from rich.console import Console
from sample_results import result_of, training

from grader.show.display import Display
from grader.show.findings import finding, number, printable


def check(verdict="passed", **fields):
    return replace(sample_results.check(verdict=verdict), **fields)


def graded(student="ada", checks=(), trainings=(), **fields):
    return result_of(student, checks, trainings, seconds=9.81, **fields)


def shown(*results, terminal=False, started=True, jobs=1, report=None, failed=()):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=110, height=40, color_system=None)
    with Display(len(results), jobs, console) as display:
        for result in results if started else ():
            display.started(SimpleNamespace(student=result.student, topic="ppo"))
        for result in results:
            display.finished(result)
    display.table(results, report, failed)
    return console.file.getvalue()


def test_plain_lines_and_a_table_where_there_is_no_terminal():
    text = shown(
        graded("ada", [check()]),
        graded("blaise", [check("wrong", mistake="forgets the minus")], [training()]),
        report=Path("results/report.html"),
    )
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    assert lines == [
        "grading, 1 at a time",
        "[1/2] ada ppo: 1 / 1 in 9.8 s",
        "[2/2] blaise ppo: 3 / 4 in 9.8 s",
        "student topic score checks training main finding seconds",
        "ada ppo 1 / 1 1 / 1 – everything passed 9.8",
        "blaise ppo 3 / 4 0 / 1 1 / 1 entropy: forgets the minus 9.8",
        "report: results/report.html",
    ]
    assert "\x1b" not in text


def test_a_terminal_shows_who_is_being_graded_and_the_overall_bar():
    text = shown(graded("ada", [check()]), graded("blaise", [check()]), terminal=True, jobs=2)
    assert "\x1b" in text and "graded, 2 at a time" in text and "1/2" in text
    running = [line for line in text.splitlines() if "blaise ppo" in line and "0:00:00" in line]
    assert running and "[1/2] ada ppo: 1 / 1 in 9.8 s" in text


def test_what_was_graded_earlier_does_not_count_as_work():
    display = Display(3, 1, Console(file=io.StringIO()))
    display.started(SimpleNamespace(student="ada", topic="ppo"))
    display.finished(graded("blaise"))
    display.finished(graded("ada"))
    told = ["grading, 1 at a time", "blaise ppo: 0 / 0, graded earlier", "[1/2] ada ppo: 0 / 0 in 9.8 s"]
    assert display.console.file.getvalue().splitlines() == told


def test_faults_of_the_grader_and_a_missing_sandbox_are_announced():
    honest = shown(graded())
    assert "Warning" not in honest
    text = shown(graded(checks=[check("grader_fault", feedback="disk")], sandbox="process"), graded("blaise"))
    assert "The grader itself failed on 1 of 2 submissions" in text and "the grader failed at entropy: disk" in text
    assert "without a sandbox" in text


def test_a_page_that_could_not_be_written_is_announced():
    assert "Warning: cannot write ada/report.html" in shown(graded(), failed=["cannot write ada/report.html"])


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b]0;owned\x07", "[bold red]x[/]", "[/]", "a\r\nb", "\u202e"])
def test_a_submission_cannot_steer_the_terminal(hostile):
    result = graded(hostile, [check("crashed", feedback=hostile)], [training("crashed", name=hostile, feedback=hostile)], problem=hostile)
    text = shown(result, report=Path(hostile))
    assert not any(character in text for character in "\x1b\x07\r\u202e")
    assert printable(hostile) in text


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (graded(checks=[check()], trainings=[training()]), "everything passed"),
        (graded(problem="it is not Python", checks=[check("crashed")]), "it is not Python"),
        (graded(problem="it is not Python"), "it is not Python"),
        (graded(checks=[check("missing"), check("blocked")], trainings=[training("blocked")]), "nothing is implemented yet"),
        (
            graded(checks=[check("blocked", feedback="by f"), check("crashed", exercise="f", feedback="KeyError in line 3")]),
            "f: KeyError in line 3",
        ),
        (graded(checks=[check("wrong", feedback="x"), check("wrong", exercise="f", mistake="forgets ε")]), "f: forgets ε"),
        (graded(checks=[check("wrong", mistake="a"), check("wrong", mistake="a"), check("wrong", mistake="b")]), "entropy: a (and 1 more)"),
        (graded(checks=[check("wrong", mistake="a"), check("violation", feedback="it opened a socket")]), "entropy: it opened a socket"),
        (
            graded(checks=[check()], trainings=[training("wrong", feedback="it reached 9; 475 is needed")]),
            "CartPole: it reached 9; 475 is needed",
        ),
        (graded(checks=[check("timeout")]), "entropy: took too long"),
        (graded(checks=[check("wrong", mistake="a"), check("crashed", exercise="f", feedback="KeyError")]), "f: KeyError"),
        (
            graded(checks=[check("crashed", feedback="x"), check("memory", feedback="y"), check("timeout", exercise="f", feedback="z")]),
            "f: z",
        ),
        (graded(checks=[check("grader_fault")], problem="x"), "the grader failed at entropy: no reason given"),
    ],
)
def test_the_main_finding(result, expected):
    assert finding(result) == expected


def test_full_marks_for_a_part_are_not_called_everything():
    result = graded(checks=[check()], note="The training checks were not run.")
    assert finding(result) == "everything passed. The training checks were not run."


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (20.0, "20"), (0.5, "0.5"), (-187.25, "-187.2"), (499.96, "500"), (123456.7, "123,457")]
)
def test_numbers_are_written_as_people_do(value, text):
    assert number(value) == text


def test_a_large_class_has_a_summary_by_topic_and_few_lines():
    results = [graded(f"student {number}", [check()]) for number in range(100)]
    text = shown(*results, failed=[f"cannot write {number}" for number in range(300)])
    assert len([line for line in text.splitlines() if line.startswith("[")]) == 10 and "[100/100]" in text
    assert [line.split()[:5] for line in text.splitlines() if line.startswith("ppo")] == [["ppo", "100", "100", "0", "100%"]]
    assert "and 295 more such pages" in text
    text = shown(*results, started=False)
    assert "100 of 100 were graded earlier." in text and len(text.splitlines()) <= 20
