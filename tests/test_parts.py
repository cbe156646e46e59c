"""A class in parts: disjoint, stable, of one seed, and put together only where one grading could have given them all."""

import pytest
from sample_results import check, result_of
from typer.testing import CliRunner

from grader import commands
from grader.classroom.parts import Part, merge
from grader.classroom.reports import write_reports
from grader.classroom.store import Store, StoreError
from grader.commands import app

NAMES = [f"student {number}" for number in range(200)]


def graded(student="ada", **fields):
    return result_of(student, [check()], **fields)


def stored(folder, *results):
    folder.mkdir(exist_ok=True)
    for result in results:
        Store(folder).write(result)
    return folder


def test_each_submission_is_in_one_part_whatever_else_there_is():
    parts = [{name for name in NAMES if Part(number, 5).holds(name, "ppo")} for number in range(1, 6)]
    assert set.union(*parts) == set(NAMES) and sum(map(len, parts)) == len(NAMES) and all(20 < len(part) < 60 for part in parts)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/3", "1/0"])
def test_what_is_no_part(text):
    with pytest.raises(ValueError, match="such as 3/8"):
        Part.of(text)


def test_parts_are_put_together_and_doubles_told(tmp_path):
    first = stored(tmp_path / "1", graded("ada"), graded("both", seconds=1.0))
    second = stored(tmp_path / "2", graded("blaise"), graded("both", seconds=2.0))
    (first / "seed.txt").write_text("7\n")
    merged = merge([first, second], tmp_path / "all")
    assert merged.results == 3 and len(merged.doubles) == 1 and "both ppo" in merged.doubles[0]
    assert [result.student for result in Store(tmp_path / "all").results()[0]] == ["ada", "blaise", "both"]
    assert Store(tmp_path / "all").seed() == 7 and merged.written.path.exists()
    assert merge([first, second], tmp_path / "all").results == 3


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (graded("blaise", seed="another"), "another seed"),
        (graded("blaise", engine="another"), "another version of the grader"),
        (graded("blaise", sandbox="process"), "another sandbox"),
        (result_of("ada", [check(points=0.5)]), "different results of ada"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_nothing_written(tmp_path, other, sentence):
    with pytest.raises(StoreError, match=sentence):
        merge([stored(tmp_path / "1", graded("ada")), stored(tmp_path / "2", other)], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_damaged_or_empty_part_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no results"):
        merge([tmp_path / "none"], tmp_path / "all")
    (stored(tmp_path / "1", graded("ada")) / "ada" / "ppo.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        merge([tmp_path / "1"], tmp_path / "all")


def test_parts_share_a_seed_that_is_drawn_once(tmp_path):
    for name in ("a", "b", "a"):
        Store(tmp_path / name).share_seed(tmp_path / "secret")
    assert Store(tmp_path / "a").seed() == Store(tmp_path / "b").seed() == int((tmp_path / "secret").read_text())
    assert Store(tmp_path / "other").seed() != Store(tmp_path / "a").seed()
    with pytest.raises(StoreError, match="another seed"):
        Store(tmp_path / "other").share_seed(tmp_path / "secret")
    (tmp_path / "words").write_text("seven")
    with pytest.raises(StoreError, match="one whole number"):
        Store(tmp_path / "a").share_seed(tmp_path / "words")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--part", "1/2"], "--seed-file"),
        (["--part", "3/2", "--seed", "1"], "such as 3/8"),
        (["--seed", "1", "--seed-file", "x"], "exclude"),
        (["--engine", "dask"], "--address"),
        (["--engine", "cloud"], "local, or dask"),
        (["--address", "tcp://a:1"], "local, or dask"),
        (["--engine", "dask", "--address", "tcp://a:1", "--jobs", "2"], "--jobs is for this machine: of a cluster each worker grades one"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, sentence):
    result = CliRunner().invoke(app, ["grade", str(tmp_path), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code != 0 and sentence in " ".join((result.output + str(result.exception)).split())


@pytest.mark.parametrize(("seed", "is_small"), [(42, True), (2**61 + 7, False)])
def test_a_seed_that_can_be_found_by_trying_is_told(tmp_path, monkeypatch, seed, is_small):
    told = []
    monkeypatch.setattr(commands, "say", lambda text, style="": told.append(text))
    CliRunner().invoke(app, ["grade", str(tmp_path), "--out", str(tmp_path / "out"), "--seed", str(seed)])
    assert told == ([f"--seed {seed} can be found by trying: leave it out where students must not know what is hidden"] if is_small else [])


def test_only_pages_older_than_their_results_are_written_again(tmp_path):
    store = Store(stored(tmp_path / "out", graded("ada"), graded("blaise")))
    write_reports(store)
    pages = {name: tmp_path / "out" / name / "report.html" for name in ("ada", "blaise")}
    for page in pages.values():
        page.write_text("as it was")
    store.write(graded("ada", submission="another"))
    write_reports(store, only_outdated=True)
    assert pages["ada"].read_text() != "as it was" == pages["blaise"].read_text()
    pages["blaise"].unlink()
    write_reports(store, only_outdated=True)
    assert pages["blaise"].exists()
    pages["ada"].write_text("as it was")
    write_reports(store)
    assert pages["ada"].read_text() != "as it was"
