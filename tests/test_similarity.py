"""Copies are found whatever they look like, those who never met are left in peace, and nothing that is handed in can do harm."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_results import check, result_of
from test_report import HOSTILE, Page

from examples.planted import drawn, parts_of, rewritten
from grader.similarity.commands import similarity
from grader.similarity.compare import AGAINST, FLAGGED, Entry, compared, similar
from grader.similarity.fingerprints import AS_GIVEN, Known, fingerprints, grams, units, winnowed
from grader.similarity.page import NO_PROOF, anonymous, similarity_page, summary
from grader.similarity.reading import chunks, statements, without_comments
from npfl139.source import MAX_CHARACTERS
from npfl139.terminal import UserError

GIVEN = Known.of(
    "import torch\n\n\ndef mean(x):\n    return x.mean(dim=0) / 3\n\n\nclass Moments:\n    def update(self, rows):\n        self.n += 1\n"
)
ONE = """
def mean(x):
    total = torch.zeros(3, dtype=torch.float64)
    for i in range(len(x)):
        weight = torch.exp(-x[i].abs()) / 7
        total = total + weight * x[i].clamp(min=0.25)
    return total / torch.linalg.norm(x, dim=-1)


class Moments:
    def update(self, rows):
        low, high = rows.quantile(0.1), rows.quantile(0.9)
        kept = rows[(rows > low) & (rows < high)]
        self.n = self.n * 0.99 + kept.logsumexp(0).tanh()
        self.spread = torch.hypot(high - low, self.n) if len(kept) > 4 else self.spread
"""
# The same with other names, comments, layout, loop, order, annotations and a helper.
OTHER = '''
import torch as t

def finish(a: "Tensor", b):
    # mine
    return (a) / t.linalg.norm(b,
        dim=-1)

def mean(rows: "Tensor") -> "Tensor":
    """My own."""
    position, answer = 0, None
    outcome: "Tensor" = t.zeros(3, dtype=t.float64)
    while position < len(rows):
        factor = t.exp(-rows[position].abs()) / 7.0;  outcome += factor * rows[position].clamp(min=.25)
        position += 1
    return finish(outcome, rows)


class Moments:
    def update(self, values):
        """Take more."""
        bottom, top = values.quantile(.1), values.quantile(.9)
        inside = values[(values > bottom) & (values < top)]
        self.n = self.n * .99 + inside.logsumexp(0).tanh()
        self.spread = t.hypot(top - bottom, self.n) if len(inside) > 4 else self.spread
'''
THIRD = "\ndef mean(x):\n    weights = torch.softmax(x, dim=0)\n    return torch.einsum('i,i->', weights, x.relu()) * len(x) ** 0.5\n"


def marks(source, unit="mean", known=GIVEN):
    return fingerprints(units(source, known)[unit], known)


def test_a_rewriting_keeps_most_fingerprints_and_another_program_none():
    one, other = marks(ONE), marks(OTHER)
    assert len(one & other) >= 0.75 * len(one) and not one & marks(THIRD)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("y = torch.exp(x)", "z = t.exp(y)"),
        ("y += x[0] * 2", "y = y + x[0] * 2.0"),
        ("y: Tensor = f(x, dim=1)", "why = (f(x, dim=1))  # so"),
        ("for i in range(3): y.add_(i)", "for index in range(3): total.add_(index)"),
        ("return a.sum() / 3", "a.sum() / 3"),
    ],
)
def test_what_a_rewriting_changes_is_forgotten(one, other):
    assert [each.tokens for each in statements(one, frozenset(("range",)))] == [
        each.tokens for each in statements(other, frozenset(("range",)))
    ]


def test_texts_headers_and_imports_are_no_statements():
    assert statements('"""Text."""\nimport torch\nfrom a import b\ndef f(x):\n    pass\n    assert x\n', frozenset()) == []


def test_a_statement_knows_its_lines():
    found = statements("x = f(1,\n  2)\n\n# no\ny = '''a\nb''' + z; w = 3\nv = 1 + \\\n  2", frozenset())
    assert [(each.first, each.last) for each in found] == [(0, 1), (4, 5), (5, 5), (6, 7)]


def test_classes_come_as_methods_and_a_method_set_from_outside_is_the_method():
    names = [
        chunk.name
        for chunk in chunks("class A:\n    x = 1\n\n    def f(self):\n        pass\n\n    async def g(self): pass\n\n\nclass B: pass\n")
    ]
    assert names == ["A", "A.f", "A.g", "B"]
    patched = "class Moments:\n    def update(self): 1\n\ndef mine(self, rows):\n    self.n = rows.sum() + 3\n\nMoments.update = mine\n"
    assert marks(patched, "Moments.update")


def test_what_was_given_has_no_fingerprint_and_the_last_definition_counts():
    assert marks("def mean(y):\n    return y.mean(dim=0) / 3\n") == {AS_GIVEN} and not marks(
        "def mean(y):\n    raise NotImplementedError\n"
    )
    assert marks(THIRD + ONE) == marks(ONE)


def test_winnowing_keeps_the_smallest_of_every_two():
    assert winnowed([b"3", b"1", b"2", b"4"]) == {b"1", b"2"} and winnowed([b"1"]) == {b"1"} and winnowed([]) == set()


@given(st.text(st.sampled_from("\"'\\\n #abcdef()[]:=. 0123e;@"), max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_cut_without_a_loss(text):
    assert "".join(chunk.text for chunk in chunks(text)) == text
    for chunk in chunks(text):
        for statement in statements(chunk.text, frozenset()):
            assert 0 <= statement.first <= statement.last <= chunk.text.count("\n")
            grams(statement)
    assert without_comments(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "unit", ['"""', "'''\\", '"\\\n', "(", "a.", "x=", "0x", "1e", "\\", "#", "\n", "f(", "def f(x):\n", "class A:\n  def f(", "\0\ud800"]
)
def test_the_longest_hostile_program_is_read(unit):
    text = unit * (MAX_CHARACTERS // len(unit))
    assert set(units(text, GIVEN)) and sum(len(chunk.text) for chunk in chunks(text)) == len(text)


def of_class(topic, count, copies, seed):
    """Return the entries of a class, and who copied whom."""
    rng, parts = random.Random(seed), parts_of(topic)
    handed = [drawn(parts, rng) for _ in range(count)]
    copied = rng.sample(range(count), copies)
    texts = [each.text for each in handed] + [rewritten(handed[place].text, parts.exercises, rng) for place in copied]
    return [Entry(f"s{place}", topic, text) for place, text in enumerate(texts)], {
        (f"s{place}", f"s{count + at}") for at, place in enumerate(copied)
    }


def test_planted_copies_are_flagged_and_others_are_not():
    entries, truth = of_class("transformed_rewards", 60, 5, seed=3)
    flagged = {(pair.one.who, pair.other.who) for pair in similar(entries) if pair.flagged}
    assert len(flagged & truth) >= 4 and len(flagged - truth) <= 0.02 * 65 * 64 / 2


def padded(*programs, count=60):
    """Return entries of the programs among many that have nothing in common."""
    others = [f"\ndef mean(x):\n    return x.op_{number}(1, {number}) @ x.other_{number}(2)\n" for number in range(count)]
    return [Entry(f"p{place}", "ppo", text) for place, text in enumerate((*programs, *others))]


def test_what_many_have_is_no_evidence_and_what_two_have_is():
    (pair,) = [pair for pair in compared(padded(ONE, OTHER), GIVEN) if pair.flagged]
    assert (pair.one.who, pair.other.who, pair.pairs) == ("p0", "p1", 62 * 61 // 2) and pair.by_chance < 1
    assert not [pair for pair in compared(padded(*[ONE] * 20), GIVEN) if pair.flagged]


def test_a_class_of_two_proves_nothing_rare():
    (pair,) = compared([Entry("ada", "ppo", ONE), Entry("bo", "ppo", ONE)], GIVEN)
    assert pair.weight < FLAGGED and compared([Entry("ada", "ppo", ONE)], GIVEN) == []


def test_what_differs_speaks_against_a_pair():
    one = ONE.partition("class")[0]
    more = "\nclass Moments:\n    def update(self, rows):\n        self.n = rows.{}(0).tril().sum() + {}\n"
    same, different = (
        compared(padded(one + more.format("a", 1), one + more.format(name, number)), GIVEN)[0] for name, number in (("a", 1), ("b", 2))
    )
    assert same.weight > compared(padded(one, one), GIVEN)[0].weight > different.weight
    assert min(evidence.share for evidence in different.evidence) < 1


def test_to_answer_as_the_reference_does_is_evidence_where_it_is_rare_and_never_against():
    given = "\ndef mean(y):\n    return y.mean(dim=0) / 3\n"
    (pair,) = compared(padded(given, given), GIVEN)
    (evidence,) = pair.evidence
    assert (
        evidence.as_given
        and 3 < evidence.weight < FLAGGED
        and "both wrote it as the reference solution does, as did no others" in summary(pair)
    )
    assert compared(padded(*[given] * 40), GIVEN) == []
    (pair,) = compared(padded(ONE, given + ONE[ONE.index("class") :]), GIVEN)
    assert [each.exercise for each in pair.evidence] == ["Moments.update"]


def test_to_keep_what_was_given_is_no_evidence_although_most_hand_in_only_what_they_wrote():
    known = Known.of_topic("ppo")
    assert "Agent.act" in known.methods - known.exercises and "entropy" in known.exercises
    whole = (Path(__file__).parents[1] / "assignments" / "ppo.py").read_text()
    part = "def entropy(x):\n    a = {0} * x ** {0}\n    return a - {0}\n"
    entries = [Entry(f"s{number}", "ppo", whole if number < 4 else part.format(number)) for number in range(20)]
    assert [pair for pair in compared(entries, known) if pair.flagged] == []


def made(mistake, verdict="wrong", **fields):
    return result_of("x", [replaced_check(mistake, verdict, **fields)])


def replaced_check(mistake, verdict, feedback=None):
    return check("entropy", 0, verdict, mistake=mistake, feedback=feedback)


def test_a_rare_mistake_that_both_made_is_evidence_and_a_common_one_is_not():
    entries = padded(ONE, THIRD)
    rare = [replace(entry, result=made("takes the maximum")) if entry.who in ("p0", "p1") else entry for entry in entries]
    (pair,) = compared(rare, GIVEN)
    (evidence, against) = pair.evidence
    assert (evidence.exercise, evidence.mistake, evidence.others_mistaken) == ("entropy", "takes the maximum", 0) and evidence.weight > 3
    assert against.weight == -AGAINST and "makes this mistake" in summary(pair)
    symptom = [
        replace(entry, result=made(None, feedback="off by a factor of 3")) if entry.who in ("p0", "p1") else entry for entry in entries
    ]
    assert compared(symptom, GIVEN)[0].evidence[0].mistake == "off by a factor of 3"
    assert compared([replace(entry, result=made("takes the maximum")) for entry in entries], GIVEN) == []
    assert compared([replace(entry, result=made(None, "passed")) for entry in entries], GIVEN) == []


def test_an_earlier_year_says_what_is_rare_and_is_not_compared_with_itself():
    entries = padded(ONE, OTHER)
    (pair,) = [pair for pair in compared([replace(entries[0], earlier=True), *entries[1:]], GIVEN) if pair.flagged]
    assert pair.one.earlier and not pair.other.earlier
    assert [
        pair for pair in compared([replace(entry, earlier=entry.who in ("p0", "p1")) for entry in entries], GIVEN) if pair.flagged
    ] == []
    known_before = entries + [Entry(f"e{place}", "ppo", ONE, earlier=True) for place in range(30)]
    assert not [pair for pair in compared(known_before, GIVEN) if pair.flagged]


def of_ppo(entries, **changes):
    """Return the entries with ppo's names for the exercises."""
    named = [entry.source.replace("def mean", "def entropy").replace("class Moments", "class RunningMoments") for entry in entries]
    return [replace(entry, source=source, **changes) for entry, source in zip(entries, named, strict=True)]


def page_of(one, other, **changes):
    return similarity_page(similar(of_ppo(padded(one, other, count=40), **changes)))


def test_the_page_puts_alike_pieces_side_by_side():
    page = Page(page_of(ONE, OTHER))
    assert NO_PROOF in page.text and "1 pair has more in common, rare in this class, than chance often gives." in page.text
    targets = {value for _, name, value in page.attributes if name == "id"}
    assert {link.removeprefix("#") for link in page.links} <= targets and {"p1a-1", "p1b-1"} <= targets
    assert "weight = torch.exp(-x[i].abs()) / 7" in page.text and "factor = t.exp(-rows[position].abs())" in page.text
    assert "Nothing in these submissions is both the same and rare." in Page(similarity_page([])).text


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_student_wrote_becomes_part_of_the_page(text):
    harmless = Page(page_of(ONE + "# text", OTHER)).tags
    line = text.replace("\n", " ")
    page = Page(page_of(f"{ONE}# {line}", OTHER, result=made(text)))
    assert [tag for tag in page.tags if tag not in ("code", "em")] == [tag for tag in harmless if tag not in ("code", "em")]
    assert "default-src 'none'" in page_of(ONE, OTHER) and "<script" not in page_of(ONE, OTHER)


def test_an_anonymous_page_holds_neither_names_nor_comments():
    signed = [replace(entry, source=entry.source.replace("    # mine", f"    # by {entry.who}")) for entry in padded(ONE, OTHER)]
    html = similarity_page(similar(anonymous(of_ppo(signed))))
    assert "person 2" in html and "p1<" not in html and "by p" not in html and "# mine" not in html


def handed_in(folder, entries):
    for entry in of_ppo(entries):
        (folder / entry.who).mkdir(parents=True)
        (folder / entry.who / "ppo.py").write_text(entry.source)
    return folder


def test_the_command_lists_pairs_and_writes_the_page(tmp_path, capsys):
    folder = handed_in(tmp_path / "in", padded(ONE, OTHER))
    (folder / "p9" / "ppo.py").write_bytes(b"\xff\xfe not text")
    similarity([folder], None, None, tmp_path / "page.html", False)
    printed = capsys.readouterr().out
    assert " ".join(printed.split()).count("p0 p1 ppo") == 1 and "Likeness is no proof" in printed and "page.html" in printed
    assert "<bdi>p0</bdi> and <bdi>p1</bdi>" in (tmp_path / "page.html").read_text()


def test_the_command_compares_with_earlier_years_and_hides_names(tmp_path, capsys):
    now, then = handed_in(tmp_path / "now", padded(OTHER)), handed_in(tmp_path / "then", padded(ONE, count=0))
    similarity([now], "ppo", [then], None, True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "person 1 person 1 (earlier) ppo" in printed


def test_the_command_says_what_it_needs(tmp_path, capsys):
    from grader.classroom.store import Store

    with pytest.raises(UserError, match="there is no topic 'x'; there are"):
        similarity([tmp_path], "x", None, None, False)
    Store(tmp_path / "results").write(result_of("ada", [check()]))
    with pytest.raises(UserError, match="results hold no programs: name the folder of the submissions too"):
        similarity([tmp_path / "results"], None, None, None, False)
    with pytest.raises(UserError, match="there is no .py"):
        (tmp_path / "empty").mkdir()
        similarity([tmp_path / "empty"], None, None, None, False)
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "ada" / "ppo.py").write_text(ONE)
    similarity([tmp_path / "in", tmp_path / "results"], None, None, None, False)
    assert "No pair has more in common" in capsys.readouterr().out
