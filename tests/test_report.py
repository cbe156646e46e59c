"""Reports escape everything, need nothing from outside, show each student only their own work, and say what is true."""

import base64
import csv
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace
from sample_results import band, check, everything, graded, result_of, sample_class, training, untrained

from grader import similarity
from grader.classroom.reports import write_reports
from grader.classroom.store import Store
from grader.records import MAX_NUMBER, SeedResult
from grader.show import report, words
from grader.show.charts import dot_plot, learning_chart, trace_chart
from grader.show.classpage import Marks
from grader.show.findings import printable
from grader.show.report import class_page, student_page
from npfl139.catalogue import CatalogueError

TOPICS = ("newton_fisher", "trpo", "ppo", "transformed_rewards", "r2d2", "retrace", "ngu", "agent57")
VOID = {"meta", "line", "br", "input"}


class Page(HTMLParser):
    """The tags, links and text of a page; it refuses tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.links, self.parts = [], [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        self.links += [value for name, value in attributes if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.parts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.parts).split())


def no_band(topic, name):
    return None


def of_student(*results, reference=no_band):
    return Page(student_page(results, reference))


def of_class(*results, damaged=()):
    return Page(class_page(results, damaged))


HOSTILE = [
    "<script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "javascript:alert(1)//",
    "{{ 7 * 7 }}{% raw %}",
    "`<b>` *<i onclick=alert(1)>* `</code><script>` *x`y*",
    "&lt;b&gt; \u202e \x1b[31m \0 \ud800",
]


def pages_full_of(text):
    """Return the pages in which the text stands wherever a submission, or the name of its file, could put it."""
    said = {"mistake": text, "hint": text, "feedback": text, "claim": text}
    trained = training("crashed", name=text, environment=text, claim=text, feedback=text, traces={text: ((0, 1.0), (1, 2.0)), "kl": ()})
    name = printable(text).replace("/", "|")  # no folder and no topic is called otherwise
    checks = [replace(check("entropy", 0, verdict), exercise=text, **said) for verdict in ("crashed", "grader_fault")]
    result = result_of(name, checks, [trained], topic=name, note=text)
    provenance = replace(result.provenance, versions={text: text}, cpu_capability=text)
    result = replace(result, provenance=provenance)
    return of_student(result, reference=band), of_class(result, replace(result, problem=text), damaged=[text])


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_student_wrote_becomes_part_of_the_page(text):
    for page, harmless in zip(pages_full_of(text), pages_full_of("text"), strict=True):
        assert [tag for tag in page.tags if tag not in ("code", "em")] == [tag for tag in harmless.tags if tag not in ("code", "em")]
        assert [(tag, name) for tag, name, _ in page.attributes] == [(tag, name) for tag, name, _ in harmless.attributes]
        assert all(
            link.startswith("#") or link == "report.csv" or (link.endswith("/report.html") and ":" not in link) for link in page.links
        )
        assert printable(text) in page.text or "`" in text
        assert not any(character in page.text for character in "\u202e\x1b\0")


def test_code_and_emphasis_are_marked_up_and_nothing_else():
    html = student_page(
        [graded("ada", {("entropy", 0): {"verdict": "wrong", "feedback": "`p` is *not* 2 * 3 * 4 or `<b>`", "hint": "a*b*c"}})], no_band
    )
    assert "<code>p</code> is <em>not</em> 2 * 3 * 4 or <code>&lt;b&gt;</code>." in html and "a*b*c" in html


def test_a_cited_equation_leads_to_the_lecture(monkeypatch):
    claim = "It is that of [ppo:gae], not of [no:where] or rows[1:3]."
    html = student_page([graded("ada", {("entropy", 0): {"claim": claim}})], no_band)
    assert (
        '<span title="equation 2 (gae) of the lecture ppo: npfl139 lecture ppo">[ppo:gae]</span>, not of [no:where] or rows[1:3].' in html
    )
    monkeypatch.setenv("NPFL139_SITE", 'https://example.org/"unit"')
    html = student_page([graded("ada", {("entropy", 0): {"claim": claim}})], no_band)
    assert '<a href="https://example.org/&#34;unit&#34;/lectures/ppo.html#equation-ppo-gae">[ppo:gae]</a>, not of [no:where] or' in html

    def missing(label):
        raise CatalogueError("there are no assignments here")

    monkeypatch.setattr(words, "equation_url", missing)
    assert str(words.marked(claim)) == claim


def test_pages_need_nothing_from_outside():
    pages = [student_page([result], band) for result in sample_class()] + [class_page(sample_class())]
    for html in pages:
        assert "default-src 'none'" in html
        assert not any(word in html for word in ("http:", "https:", "//", "@import", "url(", "src=", "<link"))
    assert not any("<script" in html or "script-src" in html for html in pages[:-1])


def test_the_class_has_one_script_which_its_policy_allows_by_hash_alone():
    html = class_page(sample_class())
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert f"script-src 'sha256-{digest}';" in policy and "unsafe-eval" not in policy and html.count("<script") == 1
    assert not re.search(r"\son\w+=", html) and "innerHTML" not in script


def test_the_same_results_give_the_same_bytes():
    assert class_page(sample_class()) == class_page(sample_class())
    assert student_page(sample_class()[:1], band) == student_page(sample_class()[:1], band)


def test_a_student_sees_nobody_else_and_nothing_of_the_seed(tmp_path):
    store = Store(tmp_path)
    for result in sample_class():
        (trained,) = result.training
        renumbered = tuple(replace(seed, seed=seed.seed + 998_000) for seed in trained.seeds)
        store.write(replace(result, training=(replace(trained, seeds=renumbered),)))
    written = write_reports(store, band)
    assert written.path == tmp_path / "report.html" and written.failed == ()
    names = [result.student for result in sample_class()]
    seed = sample_class()[0].provenance.basis.seed_sha256
    for name in names:
        text = (tmp_path / name / "report.html").read_text()
        assert name in text and not any(other in text for other in names if other != name)
        assert seed not in text and "99801" not in text
    whole = Page((tmp_path / "report.html").read_text())
    assert all(f"{name}/report.html" in whole.links and name in whole.text for name in names)
    assert f"SHA-256 of the seed {seed}" in whole.text


def test_damaged_results_are_named_and_the_rest_is_reported(tmp_path):
    store = Store(tmp_path)
    store.write(graded("ada"))
    (tmp_path / "blaise").mkdir()
    (tmp_path / "blaise" / "ppo.json").write_text('{"schema": 2,')
    text = Page(write_reports(store, band).path.read_text()).text
    assert "1 damaged file left out" in text and "blaise/ppo.json" in text and "1 student, 1 submission" in text


def test_a_report_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "report.html").mkdir()
    (failure,) = write_reports(Store(tmp_path), band).failed
    assert re.match("cannot write .*report.html", failure)


def test_an_empty_class_has_a_report():
    assert "0 students, 0 submissions: no topic" in of_class().text


def test_links_lead_to_folders_of_any_name():
    assert "%C4%8Capek%20%26%20K%3F/report.html" in of_class(graded("Čapek & K?")).links


def test_everything_passed():
    text = of_student(graded("ada"), reference=band).text
    assert "11 / 11 points" in text and "Everything passed All 9 checks of this topic passed." in text
    assert "Start with" not in text and "Likely mistake" not in text


def test_a_mistake_is_named_with_its_hint_and_comes_first():
    text = of_student(sample_class()[1]).text
    assert "Start with lambda_advantage Your outputs equal those of an implementation that bootstraps through a terminal state." in text
    assert "Likely mistake: your outputs equal those of an implementation that bootstraps through a terminal state." in text
    assert "When an episode terminated there is no next state: what is its value?" in text
    assert "The advantage had the right shape, but not the right values." in text
    assert "An earlier hand-in had 4 / 11 points." in text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("missing", "not implemented"),
        ("blocked", "It can only be graded once that works."),
        ("timeout", "look for a loop that does not end"),
        ("memory", "grows with every step"),
        ("violation", "An exercise never needs this."),
        ("grader_fault", "This is not your fault, and these points are still open."),
        ("crashed", "crashed"),
    ],
)
def test_every_verdict_is_explained(verdict, words):
    text = of_student(graded("ada", {("entropy", 0): {"verdict": verdict, "feedback": "it is what it is"}})).text
    assert words in text and "It is what it is." in text


def test_the_untouched_skeleton_is_told_where_to_begin():
    text = of_student(graded("emmy", **everything("missing", "{} is not implemented yet"))).text
    assert "Start with lambda_advantage 5 exercises are not implemented yet; this is the first." in text
    assert text.count("lambda_advantage is not implemented yet.") == 1  # once for its three checks
    only = of_student(graded("emmy", {("entropy", 0): {"verdict": "missing"}})).text
    assert "Start with entropy It is the only exercise that is not implemented yet." in only


def test_what_cannot_be_loaded_is_said_once():
    text = of_student(sample_class()[5]).text
    assert "Nothing could be graded The file cannot be loaded: SyntaxError in line 31: '(' was never closed." in text
    assert text.count("SyntaxError") == 1 and "Exercises" not in text


def test_a_fault_of_the_grader_is_prominent_and_not_the_students_first_step():
    result = sample_class()[9]
    text = of_student(result).text
    assert "The grader failed, not you 1 of the checks could not be finished." in text and "Start with" not in text
    assert "The grader itself failed on 1 check" in of_class(result).text
    assert "failed on" not in of_class(graded("ada")).text


def test_grading_without_a_sandbox_is_announced_in_every_report():
    assert "without a sandbox" not in of_student(graded("ada")).text + of_class(graded("ada")).text
    result = graded("ada", sandbox="process")
    assert "Graded without a sandbox" in of_student(result).text
    assert "Graded without a sandbox" in of_class(graded("blaise"), result).text


def test_results_of_different_graders_are_not_mixed_silently():
    for other in ({"engine": "another"}, {"topic": "other checks"}, {"training": False}, {"seed": "another"}):
        assert "Not graded alike" in of_class(graded("ada"), replace(graded("blaise"), provenance=graded("x", **other).provenance)).text
    assert "Not graded alike" not in of_class(graded("ada"), graded("blaise"), graded("ada", topic="trpo")).text


def test_the_class_report_counts_checks_mistakes_and_scores():
    page = of_class(*sample_class())
    text = page.text
    assert "10 students, 10 submissions: ppo" in text and "64 % median score 1 with full marks 1 could not be graded" in text
    assert (
        "2 lambda_advantage bootstraps through a terminal state blaise , dora 1 clipped_surrogate takes the maximum of the two terms carl"
        in text
    )
    failing = text.split("Which checks fail most")[1]
    assert failing.index("5 / 9 lambda_advantage A terminated") < failing.index("7 / 9 clipped_surrogate For a positive")
    assert "Of the 9 submissions that could be loaded." in failing
    assert "4 of 9 passed; 6 ran to an evaluation. A correct submission fails this check with probability 0.31 % (at most 2.1 %" in text
    assert "felix ppo the file cannot be loaded" in text.split("Could not be graded")[1]


def test_topics_stand_in_lecture_order():
    results = [graded("ada", topic=topic) for topic in ("r2d2", "ppo", "a new one", "trpo")]
    for page in (of_class(*results), of_student(*results)):
        assert [value for tag, name, value in page.attributes if (tag, name) == ("section", "id")] == [
            "trpo",
            "ppo",
            "r2d2",
            "a%20new%20one",
        ]
    assert "ada 44 11 11 11 11 out of 44 11 11 11 11" in of_class(*results).text


def of_many(count=300, topics=TOPICS):
    """Return the results of a large class in which most are wrong somewhere."""
    kinds = sample_class()
    own = [
        [replace(kinds[(person * 7 + place * 3) % 10], student=f"student {person:03}", topic=topic) for place, topic in enumerate(topics)]
        for person in range(count)
    ]
    return [result for results in own for result in results]


def test_a_large_class_is_a_line_a_student_and_a_page_that_can_be_sent():
    results = of_many()
    html = class_page(results)
    page = Page(html)
    assert len(html.encode()) < 300_000
    assert [value for tag, name, value in page.attributes if (tag, name) == ("tr", "id")] == [
        f"of-student%20{person:03}" for person in range(300)
    ]
    assert all(len(value) == 8 * 6 for _, name, value in page.attributes if name == "data-p")
    assert page.text.count("Who passed what exercise passed whole") == 8 and "and 56 more" in page.text
    made = [
        result
        for result in results
        if result.topic == "newton_fisher" and any(check.exercise == "lambda_advantage" and check.mistake for check in result.checks)
    ]
    who = [value for _, name, value in page.attributes if name == "data-who"]
    assert who[0].split() == [str(int(result.student.split()[1])) for result in made]


def test_totals_are_out_of_everything_that_the_class_was_given():
    page = Page(
        class_page([graded("ada"), graded("blaise", topic="trpo")], course="Deep learning, winter 2026", given={"ppo": 11.0, "ngu": 7.5})
    )
    assert "ada 11 – 11 – blaise 11 11 – – out of 29.5 11 11 7.5" in page.text
    assert page.text.startswith("Deep learning, winter 2026")


def test_marks_say_what_the_script_filters_by():
    page = of_class(*sample_class(), graded("ada", topic="trpo"))
    rows = [value for tag, name, value in page.attributes if (tag, name) == ("tr", "id")]
    marks = dict(zip(rows, (value for _, name, value in page.attributes if name == "data-p"), strict=True))
    assert marks["of-ada"] == "pppppppppppp" and marks["of-felix"] == "------xxxxxx"  # trpo comes first
    assert marks["of-ivan"][6:] == "oopppo" and marks["of-jane"][6:] == "pppfpp"
    options = [value for tag, name, value in page.attributes if (tag, name) == ("option", "value")]
    assert options == ["all", "half", "-", "x", "f", *(f"part {index}" for index in range(12))]


def test_a_students_page_leads_back_to_the_class_and_on_without_naming_anybody():
    links = Page(student_page([graded("Čapek & K?")], no_band, course="Deep learning", within_class=True)).links
    assert links[:3] == [f"../report.html{step}#of-%C4%8Capek%20%26%20K%3F" for step in ("", "?previous", "?next")]
    assert "id" in class_page([graded("Čapek & K?")]) and 'id="of-%C4%8Capek%20%26%20K%3F"' in class_page([graded("Čapek & K?")])
    assert not any("../" in link for link in of_student(graded("ada")).links)


def test_what_passed_is_folded_and_printed():
    page = of_student(sample_class()[1])
    assert page.tags.count("details") == 4 and page.tags.count("article") == 2  # one exercise and the training failed
    assert "details::details-content { content-visibility: visible" in student_page([graded("ada")], no_band)


def test_everything_stands_in_a_table_that_no_spreadsheet_executes(tmp_path):
    store = Store(tmp_path)
    wrong = graded("=cmd|' C calc'!A0", {("entropy", 0): {"verdict": "wrong", "feedback": "@SUM(1)\n-2", "mistake": "+1"}})
    for result in (wrong, sample_class()[5]):
        store.write(result)
    write_reports(store, band)
    text = (tmp_path / "report.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 9 + 1 and rows[0]["student"] == "'=cmd|' C calc'!A0"
    (row,) = [row for row in rows if row["verdict"] == "wrong"]
    assert (row["mistake"], row["feedback"], row["score"], row["exercise"]) == ("'+1", "'@SUM(1) -2", "0.0", "entropy")
    (problem,) = [row for row in rows if row["student"] == "felix"]
    assert problem["verdict"] == "problem" and "SyntaxError" in problem["feedback"]


def test_every_table_and_control_has_a_name():
    for html in (
        class_page(of_many(60)),
        class_page(sample_class()),
        student_page(sample_class()[:1], band),
        student_page(of_many(1), band),
    ):
        page = Page(html)
        assert page.tags.count("main") == page.tags.count("h1") == 1
        assert not re.search(r"<th[^>]*></th>", html), "an empty heading"
        for control in re.findall(r"<(?:input|select)\b[^>]*>", html):
            assert re.search(rf"<label>[^<]*{re.escape(control)}", html)
        regions = re.findall(r'<div class="scroll[^>]*>', html)
        assert all('tabindex="0"' in region and "aria-label" in region for region in regions)
        assert len(set(regions)) == len(regions), "two regions of one name"


def test_who_handed_in_nothing_has_a_dash():
    page = of_class(graded("ada"), graded("blaise", topic="trpo"))
    assert [value for _, name, value in page.attributes if name == "title"].count("nothing handed in") == 2


def test_what_was_handed_in_and_is_not_graded_yet_is_told_from_what_was_not():
    points = {("ada", "ppo"): (11.0, ""), ("blaise", "ppo"): (0.0, ""), ("carl", "ppo"): (0.0, ""), ("carl", "trpo"): (1.0, "+ 1 adjusted")}
    marks = Marks(points, dict.fromkeys(("ada", "blaise", "carl"), (0.0, 22.0)), {("blaise", "ppo"), ("carl", "trpo")})
    html = class_page([graded("ada")], given={"trpo": 11.0}, marks=marks)
    page = Page(html)
    assert "ada 0 – 11 blaise 0 – … carl 0 1 * –" in page.text and "handed in or not (–), graded yet or not (…)." in page.text
    titles = [value for tag, name, value in page.attributes if (tag, name) == ("td", "title")]
    assert titles == ["nothing handed in", "nothing handed in", "not graded yet", "+ 1 adjusted", "nothing handed in"]
    found = [value for _, name, value in page.attributes if name == "data-p"]
    assert ["?" in value for value in found] == [False, True, True] and "-" in found[2] and "-" not in found[1]
    assert '<option value="?">not graded yet somewhere</option>' in html and "blaise/report.html" not in html
    assert "not graded yet" not in class_page([graded("ada")])


def test_training_shows_the_curve_the_band_and_every_run():
    page = of_student(graded("ada"), reference=band)
    label = next(value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label"))
    assert label.startswith("while training, the mean return went from") and label.endswith(
        "evaluated, it reached 498, 495.5; 450 is needed"
    )
    assert "the reference: median" in page.text and "polygon" in page.tags and page.tags.count("circle") == 2
    assert page.tags.count("svg") == 3  # with two traces
    assert "fail this check with probability 0.31 % (at most 2.1 % with 95 % confidence)" in page.text
    without = of_student(graded("ada"))
    assert "polygon" not in without.tags and "the reference: median" not in without.text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0 %"), (1e-6, "less than 0.01 %"), (0.0031, "0.31 %"), (0.25, "25 %"), (1.0, "100 %")])
def test_probabilities_are_percentages(value, text):
    page = of_student(graded("ada", trained=training(false_fail=value)))
    assert f"fail this check with probability {text} (at most" in page.text


def test_training_that_never_ran_has_no_chart():
    page = of_student(sample_class()[6], reference=band)
    assert "svg" not in page.tags and "It used more than 120 s." in page.text


def test_an_uncalibrated_training_check_is_shown():
    figures = dict.fromkeys(("threshold", "false_fail", "false_fail_bound"))
    part = replace(untrained("grader_fault", "this check has not been calibrated"), **figures)
    result = graded("ada", trained=part)
    assert "This check has not been calibrated." in of_student(result).text and "not been calibrated" in of_class(result).text


def test_returns_that_are_not_finite_leave_a_gap():
    part = training("wrong")
    curve = tuple((steps, None if 3 <= index <= 4 else value) for index, (steps, value) in enumerate(part.curve))
    seeds = (replace(part.seeds[0], returned=None), part.seeds[1])
    part = replace(part, curve=curve, seeds=seeds, traces={"loss": ((0, None), (1, None)), "entropy": ((0, None), (2, 1.0))})
    page = of_student(graded("ada", trained=part), reference=band)
    assert page.tags.count("svg") == 2 and page.tags.count("circle") == 1 and " – " in page.text
    of_class(graded("ada", trained=part))
    assert "svg" not in of_student(graded("ada", trained=replace(part, seeds=(), curve=(), traces={"loss": ()}))).tags


def test_the_largest_numbers_of_a_result_can_be_drawn():
    seeds = tuple(SeedResult(1, value, 2**53, MAX_NUMBER, False) for value in (MAX_NUMBER, -MAX_NUMBER))
    points = ((-(2**53), MAX_NUMBER), (2**53, -MAX_NUMBER))
    part = training("wrong", threshold=MAX_NUMBER, seeds=seeds, curve=points, traces={"loss": points})
    assert of_student(graded("ada", trained=part)).tags.count("svg") == 2
    of_class(graded("ada", trained=part))


def test_a_chart_keeps_its_points_inside_its_frame():
    chart = learning_chart(training(), band("ppo", "CartPole"))
    points = [tuple(map(float, point.split(","))) for line in (chart.curve, chart.band, chart.median) for point in line.split()]
    assert all(chart.x.start <= x <= chart.x.end and chart.y.end <= y <= chart.y.start for x, y in points)
    assert all(chart.x.end < x < chart.width for x, _, _, _ in chart.evaluations)
    seven = replace(training(), seeds=training().seeds[:1] * 7)
    assert max(x for x, _, _, _ in learning_chart(seven, None).evaluations) + 4.5 <= 440


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([[0, 0], [100, 498]], ["0", "200", "400"]),
        ([[0, -1.0], [1, 1.0]], ["\u22121", "0", "1"]),
        ([[0, 5.0], [1, 5.0]], ["4", "6"]),
        ([[0, 0.0], [1, 0.0]], ["\u22120.5", "0", "0.5"]),
        ([[0, 1e-320], [1, 0.0]], ["\u22120.5", "0", "0.5"]),
        ([[0, 1e29], [1, -1e29]], None),
    ],
)
def test_axes_have_round_ticks(values, labels):
    ticks = [label for _, label in trace_chart("x", values).y.ticks]
    assert 2 <= len(ticks) <= 6
    assert labels is None or ticks == labels


def test_long_traces_are_thinned_but_keep_their_ends():
    points = trace_chart("x", [[step, step % 7] for step in range(10_001)]).curve.split()
    assert len(points) <= 241
    assert points[0].startswith("40,") and points[-1].startswith("212,")


def test_dots_that_would_overlap_are_stacked():
    plot = dot_plot([("ada", 10.0), ("blaise", 10.0), ("carl", 500.0)], threshold=450.0)
    (first, second, third) = sorted(plot.dots)
    assert first[0] == second[0] < plot.threshold < third[0] and first[1] == second[1] - 2 * plot.radius
    assert [dot[2] for dot in (first, second, third)] == [False, False, True]
    many = dot_plot([(str(index), 1.0) for index in range(400)], None)
    assert many.height < 200 and min(y for _, y, _, _ in many.dots) >= 0


def luminance(color):
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_guidelines_ask_for(scheme):
    style = (Path(report.__file__).parent / "templates" / "style.css").read_text()
    colors = dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{([^}]*)\}", style)[scheme]))
    pieces = (Path(similarity.__file__).parent / "templates" / "similarity.html").read_text()
    colors |= dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{([^}]*)\}", pieces)[scheme]))
    pairs = [("text", f"piece-{number}") for number in range(1, 7)]
    pairs += [(tone, f"{tone}-tint") for tone in ("passed", "wrong", "open", "stopped", "fault")]
    pairs += [(ink, paper) for ink in ("text", "soft", "accent") for paper in ("page", "card")]
    pairs += [
        (tone, paper) for tone in ("passed", "wrong", "fault", "accent", "text") for paper in ("card", "track")
    ]  # of a student's line
    for ink, paper in pairs:
        low, high = sorted((luminance(colors[ink]), luminance(colors[paper])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {paper}"  # WCAG 2.1, level AA
