"""Reports as self-contained HTML: one of the class for the instructor, and one for each student about nobody else.

Every text of a result is untrusted. The templates escape it, and the pages forbid scripts and any outside resource.
"""

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from grader.classroom.store import Store, write_atomically
from grader.contract.figures import reference_band
from grader.contract.registry import available
from grader.show.charts import dot_plot, learning_chart, trace_chart
from grader.show.findings import VERDICTS, finding, graded_parts, number, printable, where

__all__ = ["class_page", "student_page", "write_reports"]

MAX_TRACES = 12
BINS = 10
MANY_CHECKS = 12  # in a list of those that fail; the others are folded away
SECRET = ("seed", "options")  # a student who knew the seed could undo the disguise of the training tasks; the pages number the runs instead
TONES = {"passed": "passed", "wrong": "wrong", "below": "wrong", "missing": "open", "blocked": "open", "grader_fault": "fault"}
EXPLANATIONS = {
    "blocked": "It can only be graded once that works.",
    "timeout": "The limit is many times what the reference needs: look for a loop that does not end.",
    "memory": "Look for a list or a tensor that grows with every step, or for shapes that broadcast into a large matrix.",
    "violation": "An exercise never needs this.",
    "grader_fault": "This is not your fault, and these points are still open.",
}

Band = Callable[[str, str], list[list[float]] | None]


def write_reports(store: Store, band: Band = reference_band) -> Path:
    """Write `report.html` for the class, and one into the folder of each student; return where the former is.

    Raises:
        StoreError: a report cannot be written.
    """
    results, damaged = store.results()
    for student, own in _grouped(results, "student").items():
        write_atomically(store.folder / student / "report.html", student_page(own, band))
    path = store.folder / "report.html"
    write_atomically(path, class_page(results, [str(file.relative_to(store.folder)) for file in damaged]))
    return path


def student_page(results: list[dict], band: Band = reference_band) -> str:
    """Return the report of one student, made from this student's results only."""
    topics = [_student_topic(result, band) for result in sorted(results, key=_lecture_order)]
    return _render("student.html", student=results[0]["student"], topics=topics, unsandboxed=_unsandboxed(results))


def class_page(results: list[dict], damaged: Iterable[str] = ()) -> str:
    """Return the report of a class; `damaged` names the files whose results could not be read."""
    by_topic = dict(sorted(_grouped(results, "topic").items(), key=lambda item: _lecture_order(item[1][0])))
    return _render(
        "class.html",
        results=results,
        students=[_student_row(name, own, list(by_topic)) for name, own in _grouped(results, "student").items()],
        topics=[_class_topic(name, of_topic) for name, of_topic in by_topic.items()],
        faults=[(result, part) for result in results for part in graded_parts(result) if part["verdict"] == "grader_fault"],
        problems=[result for result in results if result["problem"]],
        damaged=list(damaged),
        unsandboxed=_unsandboxed(results),
        mixed=len({str(_common_provenance(result)) for result in results}) > 1,
        median_share=f"{100 * statistics.median(map(_share, results)):.0f} %" if results else "–",
        full_marks=sum(_share(result) == 1 for result in results),
        provenance=_joined(map(_common_provenance, results)),
    )


def _student_topic(result: dict, band: Band) -> dict:
    checks, trainings = [[_complete(part) for part in result[kind]] for kind in ("checks", "training")]
    own_failures = [part for part in checks + trainings if part["verdict"] not in ("passed", "blocked", "grader_fault")]
    return {
        "name": result["topic"],
        "score": result["score"],
        "max_score": result["max_score"],
        "problem": result["problem"],
        "note": result["note"],
        "previous": result.get("previous"),
        "parts": len(checks + trainings),
        "all_passed": bool(checks + trainings) and all(part["verdict"] == "passed" for part in checks + trainings),
        "faults": sum(part["verdict"] == "grader_fault" for part in checks + trainings),
        "start": _first_step(own_failures),
        "exercises": [_exercise(name, own) for name, own in _grouped(checks, "exercise").items()],
        "training": [_training(training, band(result["topic"], training["name"])) for training in trainings],
        "provenance": _joined([{"submission": result["provenance"]["submission_sha256"], **_common_provenance(result, *SECRET)}]),
    }


def _first_step(failures: list[dict]) -> tuple[str, str] | None:
    """Return the exercise to begin with, and why, given the failures that no other exercise causes."""
    if not failures:
        return None
    first, missing = failures[0], len({where(part) for part in failures if part["verdict"] == "missing"})
    if first["mistake"]:
        reason = f"Your outputs equal those of an implementation that {first['mistake']}."
    elif first["verdict"] == "missing":
        reason = (
            f"{missing} exercises are not implemented yet; this is the first."
            if missing > 1
            else "It is the only exercise that is not implemented yet."
        )
    else:
        reason = _sentence(first["feedback"] or VERDICTS[first["verdict"]])
    return where(first), reason


def _exercise(name: str, checks: list[dict]) -> dict:
    reasons = {(check["verdict"], check["feedback"], check["mistake"], check["hint"]) for check in checks}
    return {
        "name": name,
        "score": sum(check["score"] for check in checks),
        "max_score": sum(check["max_score"] for check in checks),
        "checks": checks,
        "shared": checks[0] if len(reasons) == 1 and len(checks) > 1 and checks[0]["verdict"] != "passed" else None,
    }


def _training(training: dict, band: list[list[float]] | None) -> dict:
    traces = training["traces"] if isinstance(training["traces"], dict) else {}
    charts = [(name, trace_chart(str(name), values)) for name, values in sorted(traces.items())[:MAX_TRACES]]
    return {**training, "chart": learning_chart(training, band), "trace_charts": [(name, chart) for name, chart in charts if chart]}


def _student_row(name: str, results: list[dict], topics: list[str]) -> dict:
    by_topic = {result["topic"]: result for result in results}
    return {
        "name": name,
        "results": [by_topic.get(topic) for topic in topics],
        "score": sum(result["score"] for result in results),
        "max_score": sum(result["max_score"] for result in results),
        "findings": [(topic, finding(by_topic[topic])) for topic in topics if topic in by_topic],
    }


def _class_topic(name: str, results: list[dict]) -> dict:
    loaded = [result for result in results if not result["problem"]]
    bins = Counter(min(int(_share(result) * BINS), BINS - 1) for result in results)
    histogram = [(f"{100 * index // BINS} to {100 * (index + 1) // BINS} %", bins[index]) for index in range(BINS)]
    checks = [_check_rate(of_check) for of_check in _grouped(_parts(loaded, "checks"), "exercise", "name").values()]
    failing = [check for check in checks if check["passed"] < check["total"]]
    columns = list(dict.fromkeys(where(part) for result in results for part in graded_parts(result)))
    return {
        "name": name,
        "loaded": len(loaded),
        "histogram": histogram,
        "tallest": max(bins.values()),
        "columns": columns,
        "matrix": [(result["student"], [_cell(result, column) for column in columns]) for result in results],
        "mistakes": _mistakes(results),
        "failing": sorted(failing, key=lambda check: check["passed"] / check["total"]),
        "always_passed": len(checks) - len(failing),
        "training": [_class_training(of_training) for of_training in _grouped(_parts(loaded, "training"), "name").values()],
    }


def _parts(results: list[dict], kind: str) -> list[dict]:
    return [{"student": result["student"], **_complete(part)} for result in results for part in result[kind]]


def _check_rate(checks: list[dict]) -> dict:
    tones = Counter(_tone(check["verdict"]) for check in checks)
    order = ("passed", "wrong", "stopped", "fault", "open")
    passed = {"passed": tones["passed"], "total": len(checks), "tones": [(tone, tones[tone]) for tone in order if tones[tone]]}
    return {"exercise": checks[0]["exercise"], "claim": checks[0]["claim"], **passed}


def _mistakes(results: list[dict]) -> list[dict]:
    """Return the named mistakes with the students who made them, the most common first."""
    named = [part for part in _parts(results, "checks") if part["mistake"]]
    grouped = _grouped(named, "exercise", "mistake").items()
    made = [
        {"exercise": exercise, "name": name, "students": sorted({part["student"] for part in parts})} for (exercise, name), parts in grouped
    ]
    return sorted(made, key=lambda mistake: -len(mistake["students"]))


def _cell(result: dict, column: str) -> dict | None:
    parts = [part for part in graded_parts(result) if where(part) == column]
    if not parts:
        return None
    passed = sum(part["verdict"] == "passed" for part in parts)
    failed = Counter(_tone(part["verdict"]) for part in parts if part["verdict"] != "passed")
    tone = "passed" if not failed else "fault" if "fault" in failed else failed.most_common(1)[0][0]
    words = ", ".join(f"{count} {_wording(verdict)}" for verdict, count in Counter(part["verdict"] for part in parts).items())
    return {"tone": tone, "text": f"{passed}/{len(parts)}", "title": f"{result['student']}, {column}: {words}"}


def _class_training(trainings: list[dict]) -> dict:
    returns = {part["student"]: [seed["return"] for seed in part["seeds"] if seed["return"] is not None] for part in trainings}
    medians = [(student, statistics.median(values)) for student, values in returns.items() if values]
    return {
        **trainings[-1],
        "plot": dot_plot(medians, trainings[-1]["threshold"]),
        "plotted": len(medians),
        "passed": sum(part["verdict"] == "passed" for part in trainings),
        "total": len(trainings),
    }


def _common_provenance(result: dict, *left_out: str) -> dict:
    """Return what should be the same for a whole class."""
    return {key: value for key, value in result["provenance"].items() if key not in ("submission_sha256", "seconds", *left_out)}


def _joined(provenances: Iterable[dict]) -> list[tuple[str, str]]:
    """Return (what, its different values) over several provenances."""
    values: dict[str, dict[str, None]] = {}
    for provenance in provenances:
        for key, value in provenance.items():
            text = ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)
            values.setdefault(key.removesuffix("_sha256").replace("_", " "), {})[text] = None
    return [(key, " · ".join(texts)) for key, texts in values.items()]


def _complete(part: dict) -> dict:
    return {"mistake": None, "hint": None, "feedback": None, **part}


def _grouped(rows: list[dict], *keys: str) -> dict:
    groups: dict = {}
    for row in rows:
        groups.setdefault(row[keys[0]] if len(keys) == 1 else tuple(row[key] for key in keys), []).append(row)
    return groups


def _lecture_order(result: dict) -> tuple[int, str]:
    known = available()
    return known.index(result["topic"]) if result["topic"] in known else len(known), result["topic"]


def _share(result: dict) -> float:
    return result["score"] / result["max_score"] if result["max_score"] else 0.0


def _unsandboxed(results: list[dict]) -> bool:
    return any(result["provenance"].get("sandbox") == "process" for result in results)


def _tone(verdict: str) -> str:
    return TONES.get(verdict, "stopped")


def _wording(verdict: str) -> str:
    return VERDICTS.get(verdict, verdict)


def _percent(part: float, whole: float) -> float:
    return round(min(max(100 * part / whole, 0), 100), 1) if whole else 0


def _probability(value: float) -> str:
    return f"{100 * value:.3g} %" if value >= 1e-4 or value == 0 else "less than 0.01 %"


def _sentence(text: str) -> str:
    """Return feedback as a sentence; what begins with the name of an exercise or of an exception keeps its first letter."""
    text = re.sub(r"\A(it|the|this|an?)\b", lambda word: word[0].capitalize(), text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _marked(text: str) -> Markup:
    """Return text, escaped, in which `code` and *emphasis* are marked up."""
    escaped = str(escape(printable(text)))
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return Markup(re.sub(r"(?<!\S)\*(\w[^*`<]*)\*(?![\w*])", r"<em>\1</em>", code))


def _visible(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        explained=lambda part: EXPLANATIONS.get(part["verdict"], ""),
        marked=_marked,
        number=number,
        percent=_percent,
        probability=_probability,
        sentence=_sentence,
        tone=_tone,
        where=where,
        wording=_wording,
        MANY=MANY_CHECKS,
    )
    return environment


ENVIRONMENT = _environment()


def _render(template: str, **values: object) -> str:
    return ENVIRONMENT.get_template(template).render(values)
