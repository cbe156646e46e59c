"""The audit of a tiny topic of two exercises, whose checks leave known holes."""

import ast
import io
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import solutions
from grader import brought, commands
from grader.audit import audits
from grader.audit.changes import changed_files, touched
from grader.audit.equivalents import judged, reviewed
from grader.audit.mutants import Mutant, mutants_of
from grader.audit.pool import DIED, OVERDUE, limited, worked
from grader.audit.runner import Audit, Finding, audit
from grader.audit.show import page, table
from grader.contract import registry, spec
from grader.contract.registry import available, load
from grader.records import Verdict
from npfl139.seeding import numpy_stream

SOLUTION = '''
"""A tiny topic."""

import torch
from torch import Tensor


def halved(x: Tensor, least: float) -> Tensor:
    """Return x / 2, but at least `least`.

    >>> halved(torch.tensor([4.0]), 0.0)
    tensor([2.])
    """
    if least < 0:
        raise ValueError("<b>least</b> is negative")
    return (x / 2).clamp(min=least)


def count_down(start: int) -> int:  # is not mutated
    """Return how many steps lead down to 0, each of them half of 2."""
    steps = 0
    while start >= 1:
        start = start - 1
        steps = steps + float(halved(torch.tensor(2.0), 0.0))
    return steps
'''
CHECKS = '''
"""The hidden checks of tiny."""

import torch

from grader.contract.expect import expect_close, expect_error
from grader.contract.spec import Topic, check, checks_of
from solutions.tiny import halved


@check("halved")
def check_halves(student, rng):
    """Large numbers are halved."""
    expect_close(student.halved(torch.tensor([8.0, 6.0]), 1.0), [4.0, 3.0])


@check("halved")
def check_halves_again(student, rng):
    """Large numbers are halved, once more."""
    expect_close(student.halved(torch.tensor([8.0, 6.0]), 1.0), [4.0, 3.0])


@check("halved")
def check_refuses(student, rng):
    """What is negative is refused."""
    expect_error(lambda: student.halved(torch.ones(1), -1.0), "ValueError", "a negative bound")


@check("count_down", stands_on=(halved,))
def check_counts(student, rng):
    """The steps are counted."""
    expect_close(student.count_down(5.0), 5.0)


TOPIC = Topic("tiny", "Tiny <i>topic</i>", ("halved", "count_down"), checks_of(__name__))
'''
MISTAKES = """
from grader.contract.spec import Mistake

MISTAKES = (Mistake("doubles", "halved", "(x / 2)", "(x * 2)", "Halve."),)
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The topic, from outside the repository."""
    yield put(tmp_path, monkeypatch)
    monkeypatch.undo()
    forget()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        result = audit(put(tmp_path_factory.mktemp("outside"), monkeypatch), jobs=2)
    forget()
    return result


def put(folder, monkeypatch, checks=CHECKS, mistakes=MISTAKES):
    package, answers = folder / "tiny_topic", folder / "solutions"
    package.mkdir(parents=True)
    answers.mkdir()
    for name, text in (("__init__", ""), ("checks", checks), ("mistakes", mistakes)):
        (package / f"{name}.py").write_text(text)
    (answers / "tiny.py").write_text(SOLUTION)
    for name in [name for name in sys.modules if name.startswith(("tiny_topic", "solutions.tiny"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(solutions, "__path__", [*solutions.__path__, str(answers)])
    monkeypatch.setattr(brought, "entry_points", lambda group: [EntryPoint("tiny", "tiny_topic", group)])
    forget()
    return registry.load("tiny")


def forget():
    brought.brought.cache_clear()
    registry.available.cache_clear()


def finding(found, text):
    """Return the finding whose mutant's id contains the text."""
    (only,) = (finding for finding in found.findings if text in finding.mutant.id)
    return only


def equivalents(topic, text):
    (topic.files / "equivalents.toml").write_text(textwrap.dedent(text))
    return reviewed(topic)


def kinds(code):
    """Return {kind: the expressions or statements that result} for the mutants of a one-line function of tensors x, y and a number n."""
    source = f"def f(x: Tensor, y: Tensor, n: int) -> Tensor:\n    {code}\n"
    result = {}
    for mutant in mutants_of(source, "f"):
        result.setdefault(mutant.id.split(" · ")[1], []).append(ast.unparse(ast.parse(mutant.body).body[0].body))
    return result


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("return x + y", "arithmetic", ["return x - y", "return x * y"]),
        ("return x / y", "swap operands", ["return y / x"]),
        ("n = x - y", "drop term", ["n = x", "n = y"]),
        ("return x + y", "in place", ["return x.add_(y)"]),
        ("return x.abs()", "in place", ["return x.abs_()"]),
        ("n = x.abs()", "drop call", ["n = x"]),
        ("return x <= y", "comparison", ["return x < y", "return x >= y"]),
        ("return x == y", "comparison", ["return x != y"]),
        ("return n and x", "logic", ["return n or x"]),
        ("return f(3)", "constant", ["return f(0)", "return f(1)", "return f(4)", "return f(2)", "return f(6)", "return f(-3)"]),
        ("return f(0.5)", "constant", ["return f(0.0)", "return f(1.0)", "return f(1.5)", "return f(-0.5)"]),
        ("return f(True)", "constant", ["return f(False)"]),
        ("return x.sum(dim=-1)", "axis", ["return x.sum(dim=0)", "return x.sum(dim=1)", "return x.sum(dim=-2)"]),
        ("return x.sum(dim=-1)", "drop keyword", ["return x.sum()"]),
        ("return x.sum(dim=-1)", "twin", ["return x.mean(dim=-1)"]),
        ("return x.clamp(min=2)", "twin", ["return x.clamp(max=2)"]),
        ("return f(torch.float64)", "dtype", ["return f(torch.float32)"]),
        ("n = x.double()", "dtype", ["n = x", "n = x.float()"]),
        ("n = x.detach()", "drop detach", ["n = x"]),
        ("return x[1:]", "slice", ["return x[:]", "return x[1:-1]"]),
        ("return x[n]", "index", ["return x[n + 1]", "return x[n - 1]"]),
        ("return torch.where(n, 1, 2)", "swap arguments", ["return torch.where(1, n, 2)", "return torch.where(n, 2, 1)"]),
        ("return range(n)", "range", ["return range(1, n)", "return range(-1, n)", "return range(n + 1)", "return range(n - 1)"]),
        ("return f(3)", "return an argument", ["return x", "return y", "return n"]),
        ("return f(3)", "list", ["return f(3).tolist()"]),
        ("return f(n)", "another argument", ["return f(x)", "return f(y)"]),
        ("x = -n", "drop sign", ["x = n"]),
        ("return f(3)", "add minus", ["return -f(3)"]),
        ("return [a for a in x if a]", "drop condition", ["return [a for a in x]"]),
        ("raise ValueError('n')", "exception", ["raise RuntimeError('n')"]),
        ("n += 2", "assign", ["n = 2"]),
        ("f(x)", "drop", ["pass"]),
    ],
)
def test_what_is_changed(code, kind, expected):
    assert kinds(code)[kind] == expected


def test_only_what_can_have_a_gradient_is_cut_off_from_it():
    assert kinds("return x * n")["add detach"] == ["return (x * n).detach()", "return x.detach() * n"]
    assert "add detach" not in kinds("return len(x)") | kinds("n = x.shape[0]") | kinds("return x.numel()")


def test_messages_annotations_and_dtypes_that_are_read_are_no_matter():
    assert set(kinds("raise ValueError(f'{n + 1} is wrong')")) == {"drop", "exception"}
    assert "another argument" not in kinds("return f(dtype=x.dtype)")


@pytest.mark.parametrize("name", available())
def test_mutants_of_every_exercise_differ_and_leave_the_rest_of_the_file(name):
    topic = load(name)
    source = topic.solution.read_text()
    for exercise in topic.exercises:
        mutants = mutants_of(source, exercise)
        start, end = spec.span(source, exercise)
        lines = source.splitlines(keepends=True)
        assert len({mutant.id for mutant in mutants}) == len({mutant.body for mutant in mutants}) == len(mutants) > 2
        for mutant in mutants[::20]:
            changed = mutant.applied(source)
            compile(changed, "mutant", "exec")
            assert changed.startswith("".join(lines[:start])) and changed.endswith("".join(lines[end:]))
            assert mutant.diff.startswith((" ", "-", "+")) and start < mutant.line <= end


def test_an_id_stays_when_the_exercise_moves():
    moved = SOLUTION.replace('"""A tiny topic."""', '"""A tiny topic,\n\nlonger."""').replace("is negative", "must not be negative")
    before, after = ([mutant.id for mutant in mutants_of(source, "count_down")] for source in (SOLUTION, moved))
    assert before == after


def test_survivors_are_those_that_the_checks_leave(found):
    survived = {finding.mutant.id for finding in found.findings if not finding.killed}
    assert "halved · drop call · (x / 2).clamp(min=least) → x / 2 · return (x / 2).clamp(min=least)" in survived
    assert "halved · comparison · least < 0 → least <= 0 · if least < 0:" in survived
    assert finding(found, "halved · arithmetic · x / 2 → x * 2").failing == ("check_halves", "check_halves_again")
    assert finding(found, "halved · exception").failing == ("check_refuses",)
    assert finding(found, "halved · in place").killed


def test_what_each_check_contributes_is_counted(found):
    halves, refuses, again = found.contributions("halved")
    assert (halves.name, refuses.name, again.name) == ("check_halves", "check_refuses", "check_halves_again")
    assert halves.noticed == halves.added == again.noticed > 5 and again.added == 0
    assert 3 <= refuses.added < refuses.noticed
    assert halves.added + refuses.added == sum(one.killed for one in found.of("halved"))


def test_few_checks_that_notice_everything_come_first():
    """The strongest check is idle here: what it notices the two others notice, too, which both are needed."""
    noticed = {"check_middle": "bcdef", "check_left": "abcx", "check_right": "defy", "check_never": ""}
    functions = [named(name) for name in noticed]
    topic = spec.Topic("one", "One", ("f",), tuple(spec.Check("f", 1.0, function) for function in functions))
    mutants = [Mutant(letter, "f", 1, "", "", "") for letter in "abcdefxyz"]
    verdicts = [
        {name: Verdict.WRONG if mutant.id in letters else Verdict.PASSED for name, letters in noticed.items()} for mutant in mutants
    ]
    findings = tuple(map(Finding, mutants, verdicts))
    contributions = [(one.name, one.noticed, one.added) for one in Audit(topic, ("f",), findings, 0.0).contributions("f")]
    assert contributions == [("check_left", 4, 4), ("check_right", 4, 4), ("check_middle", 5, 0), ("check_never", 0, 0)]


def named(name):
    def function(student, rng):
        raise AssertionError("it is not run")

    function.__name__ = name
    return function


def test_names_are_told(found):
    doubled = finding(found, "halved · arithmetic · x / 2 → x * 2")
    assert doubled.names == ("doubles",) and not doubled.false_names


def test_no_check_of_another_exercise_fails_where_it_stands_on_the_right_one(found):
    assert not any(one.elsewhere for one in found.findings)


def test_a_mutant_at_which_checks_of_other_exercises_fail_fails_the_audit(tmp_path, monkeypatch):
    topic = put(tmp_path, monkeypatch, CHECKS.replace(", stands_on=(halved,)", ""))
    try:
        alone = audit(topic, ("halved",))
    finally:
        monkeypatch.undo()
        forget()
    judgement = judged(alone, {one.mutant.id: "a reason" for one in alone.findings if not one.killed})
    assert finding(alone, "halved · add minus").elsewhere == ("check_counts",)
    assert finding(alone, "halved · add minus") in judgement.elsewhere and not judgement.survivors and not judgement.passed
    assert re.search(r"fails elsewhere, line \d+: halved · add minus · .*: check_counts\n", shown(judgement))
    assert f"{len(judgement.elsewhere)} make checks of other exercises fail" in page([judgement])


def test_symptoms_are_told_and_what_tells_nothing_is_none(found):
    doubled = finding(found, "halved · arithmetic · x / 2 → x * 2")
    assert doubled.symptom is None and doubled.is_told and not replace(doubled, named={}).is_told
    assert finding(found, "halved · exception").symptom.startswith("a negative bound must raise a ValueError")
    assert finding(found, "count_down · drop · start = start - 1").symptom == OVERDUE


def test_a_name_that_does_not_hold_on_further_seeds_is_false(tmp_path, monkeypatch):
    """Doubled and squared are the same for 2, which the check draws on some seeds only."""
    drawn = "x = float(rng.integers(2, 4))\n    expect_close(student.halved(torch.tensor([x, x]), 0.0), [x / 2, x / 2])"
    checks = CHECKS.replace("expect_close(student.halved(torch.tensor([8.0, 6.0]), 1.0), [4.0, 3.0])", drawn)
    topic = put(tmp_path, monkeypatch, checks, MISTAKES.replace("doubles", "squares").replace("(x * 2)", "(x ** 2)"))
    try:
        seed = next(seed for seed in range(100) if {draws(seed + later) for later in range(4)} == {False, True} and draws(seed))
        judgement = judged(audit(topic, ("halved",), seed=seed), {})
    finally:
        monkeypatch.undo()
        forget()
    doubled = finding(judgement.audit, "halved · arithmetic · x / 2 → x * 2")
    assert doubled.names == doubled.false_names == ("squares",) and doubled in judgement.false_names
    everything = {one.mutant.id: "a reason" for one in judgement.survivors}
    judgement = judged(judgement.audit, everything)
    assert not judgement.survivors and not judgement.outdated and not judgement.passed
    assert "false name, line " in shown(judgement) and "squares" in page([judgement])


def draws(seed):
    """Return whether both checks draw 2."""
    return all(numpy_stream(seed, "check", name).integers(2, 4) == 2 for name in ("check_halves", "check_halves_again"))


def shown(judgement, width=200, **options):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table(judgement), **options or {"soft_wrap": True})
    return console.export_text()


def test_an_infinite_loop_is_stopped_and_counts_as_noticed(found):
    endless = finding(found, "count_down · drop · start = start - 1")
    assert endless.killed and endless.stopped == OVERDUE and endless.verdicts == {"check_counts": "timeout"}


def test_a_solution_that_fails_cannot_be_audited(tiny):
    tiny.solution.write_text(SOLUTION.replace("x / 2", "x / 3"))
    with pytest.raises(ValueError, match="the solution of tiny could not be checked: it fails check_halves"):
        audit(tiny)


def test_reviewed_equivalents_may_survive_and_nothing_else(tiny, found):
    assert equivalents(tiny, "") == {} and judged(found, {}).survivors
    everything = {finding.mutant.id: "a reason" for finding in found.findings if not finding.killed}
    assert judged(found, everything).passed
    some = dict(list(everything.items())[1:])
    assert [finding.mutant.id for finding in judged(found, some).survivors] == [next(iter(everything))]


def test_an_entry_may_stand_for_a_kind_none_of_which_is_noticed(tiny, found):
    entries = equivalents(tiny, '[[equivalent]]\nreason = "none"\nmutants = ["halved · add detach · *", "halved · arithmetic · *"]\n')
    judgement = judged(found, entries)
    assert list(judgement.outdated) == ["halved · arithmetic · *"]
    assert {finding.mutant.id.split(" · ")[1] for finding, _ in judgement.equivalents} == {"add detach"}


@pytest.mark.parametrize(
    ("entry", "trouble"),
    [
        ("halved · arithmetic · x / 2 → x * 2 · return (x / 2).clamp(min=least)", "it is noticed by check_halves, check_halves_again"),
        ("halved · arithmetic · x / 2 → x ** 2 · return (x / 2).clamp(min=least)", "there is no such mutant (any more)"),
        ("removed · add detach · *", "there is no such mutant (any more)"),
    ],
)
def test_outdated_entries_fail_the_audit(found, entry, trouble):
    everything = {finding.mutant.id: "a reason" for finding in found.findings if not finding.killed}
    judgement = judged(found, everything | {entry: "a reason"})
    assert judgement.outdated == {entry: trouble} and not judgement.passed


@pytest.mark.parametrize(
    "text",
    ["[[equivalent", '[[equivalent]]\nreason = "r"\n', '[[equivalent]]\nreason = " "\nmutants = ["a"]\n',
     '[[equivalent]]\nreason = "r"\nmutants = ["a", "a"]\n', 'equivalent = "text"\n'],
)  # fmt: skip
def test_a_broken_list_of_equivalents_is_refused(tiny, text):
    with pytest.raises(ValueError, match=r"equivalents\.toml must"):
        equivalents(tiny, text)


def test_the_page_escapes_and_needs_nothing_else(found):
    html = page([judged(found, {"<u>no such mutant</u>": "a reason"})])
    assert "Tiny &lt;i&gt;topic&lt;/i&gt;" in html and "<i>topic" not in html and "<u>" not in html
    assert "&lt;= 0" in html and "check_halves_again" in html and "Failed" in html
    assert "http" not in html.split("</style>")[1] and "<script" not in html
    assert "Passed" in page([judged(found, {finding.mutant.id: "why <s>not</s>" for finding in found.findings if not finding.killed})])


def test_the_table_tells_survivors_idle_checks_and_outdated_entries(found):
    text = shown(judged(found, {"gone · drop · x": "a reason"}))
    assert re.search(r"halved: check_halves notices \d+, check_refuses \d+ more; nothing is added by check_halves_again", text)
    assert re.search(r"count_down: check_counts notices \d+\n", text)
    assert "halved · comparison · least < 0 → least <= 0" in text and "gone · drop · x: there is no such mutant" in text
    assert "% of those noticed have a name or a symptom, 0 false names, 0 make checks of other exercises fail" in text


def test_the_table_fits_a_terminal_and_names_are_printed_whole_to_be_copied(found):
    judgement = judged(found, {})
    text = shown(judgement, 80, crop=False)
    assert "halved          " in text and not re.search(r"(mutan|notic|equiv|surviv)…", text)
    name = judgement.survivors[0].mutant.id
    assert f'[[equivalent]]\nreason = "…"\nmutants = [{json.dumps(name, ensure_ascii=False)}]\n' in text
    assert "[[equivalent]]" not in shown(judged(found, dict.fromkeys((one.mutant.id for one in judgement.survivors), "a reason")))


def test_a_mistake_that_cannot_be_made_is_told_before_anything_is_run(tmp_path, monkeypatch):
    put(tmp_path, monkeypatch, CHECKS, MISTAKES.replace("(x / 2)", "(x / 3)"))
    try:
        with pytest.raises(audits.AuditError, match=r"mistake 'doubles': '\(x / 3\)' must occur exactly once in halved"):
            audits.audited(["tiny"], None, None, 1)
    finally:
        monkeypatch.undo()
        forget()


def test_where_git_knows_no_such_revision_everything_is_audited_and_that_is_told(tiny, monkeypatch, capsys):
    monkeypatch.setattr(audits, "_audited", lambda topic, *rest: judged(Audit(topic, (), (), 0.0), {}))
    assert audits.audited(["tiny"], None, "nowhere", 1)
    assert "Git cannot tell what has changed since nowhere, so that everything is audited." in capsys.readouterr().out


def test_the_command(tiny, tmp_path, monkeypatch):
    page_path = tmp_path / "audit.html"
    run = CliRunner().invoke(commands.app, ["audit", "tiny", "--exercise", "halved", "--jobs", "1", "--html", str(page_path)])
    assert run.exit_code == 1, run.output
    assert "count_down" not in run.output and "unreviewed survivors" in run.output
    assert "Tiny" in page_path.read_text()
    survivors = [line.split(": ", 1)[1] for line in run.output.splitlines() if line.startswith("survived")]
    equivalents(tiny, '[[equivalent]]\nreason = "r"\nmutants = [\n' + "".join(f"    '''{survivor}''',\n" for survivor in survivors) + "]\n")
    assert CliRunner().invoke(commands.app, ["audit", "tiny", "--exercise", "halved", "--jobs", "1"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"), [(("tinier",), "there is no topic"), (("ppo", "--exercise", "x"), "ppo has no exercise 'x'")]
)
def test_the_command_refuses_what_is_not_there(arguments, message):
    with pytest.raises(audits.AuditError, match=message):
        audits.audited([arguments[0]], list(arguments[2:]) or None, None, 1)


def test_only_touched_topics_are_audited_again():
    topics = [load(name) for name in available()]

    def names(files):
        return [topic.name for topic in touched(topics, files)]

    assert names([]) == names(["README.md", "tests/test_ppo.py", "lectures/ppo.md"]) == []
    assert names(["grader/topics/ppo/checks.py"]) == ["ppo"]
    assert set(names(["solutions/ppo.py"])) == {topic.name for topic in topics if "ppo" in (topic.name, *topic.prerequisites)}
    assert names(["grader/contract/expect.py"]) == names(None) == list(available())


def test_changed_files_are_what_git_says(tmp_path):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path, *words], check=True, capture_output=True)

    assert changed_files("HEAD", tmp_path) is None
    git("init")
    (tmp_path / "kept").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    (tmp_path / "kept").write_text("2")
    (tmp_path / "new").write_text("1")
    assert changed_files("HEAD", tmp_path) == ["kept", "new"]
    assert changed_files("HEAD~1", tmp_path) is None


def work_on(task):
    if task == "die":
        os._exit(3)
    if task == "sleep":
        time.sleep(60)
    if task == "fail":
        raise KeyError("no such thing")
    if task == "grow":
        try:
            torch.zeros(2**33)
        except RuntimeError:
            return "no memory"
    return task


def test_a_pool_survives_whatever_a_task_does():
    tasks = ["die", "a", "sleep", "b", "grow", "die", "c"]
    outcomes = dict(worked(work_on, tasks, 2, 5.0))
    assert [outcomes[index] for index in range(len(tasks))] == [DIED, "a", OVERDUE, "b", "no memory", DIED, "c"]
    with pytest.raises(RuntimeError, match="no such thing"):
        list(worked(work_on, ["fail"], 1, 30.0))


def test_a_limit_interrupts_what_catches_exceptions():
    with limited(0.05) as interrupted:
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass
    assert interrupted
    with limited(30.0) as interrupted:
        pass
    assert not interrupted
