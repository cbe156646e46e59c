"""Writes the pages of the site whose facts are known elsewhere: lectures and what their cells show, indexes, figures, the API."""

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import v4

import npfl139
from grader.contract.spec import Topic
from grader.release.readme import ours, thresholds_table, topics_table
from npfl139.equations import cited, equations, equations_of
from npfl139.files import write_atomically
from npfl139.lecture.page import is_wide
from npfl139.lecture.reference import reference
from npfl139.lecture.running import Shown
from npfl139.lecture.text import Prose, parts
from npfl139.options import comments

ROOT = Path(__file__).resolve().parent.parent
LECTURES, ASSIGNMENTS = ROOT / "lectures", ROOT / "assignments"
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def write(out: Path) -> None:
    """Write all pages; those that are as they were keep their time, so that Sphinx reads them no more."""
    topics = ours()
    pages = {f"lectures/{topic.name}.ipynb": notebook(topic.name) for topic in topics}
    pages |= {
        "indexes/topics.md": topics_page(topics),
        "indexes/equations.md": equations_page(topics),
        "indexes/mistakes.md": mistakes_page(topics),
    }
    pages |= {"indexes/symbols.md": symbols_page(topics), "indexes/papers.md": papers_page(topics), "indexes/proof.md": proof_page(topics)}
    pages |= {"indexes/gallery.md": gallery_page(ROOT / "docs" / "films.json")} | api_pages()
    for name, text in pages.items():
        path = out / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)


def notebook(topic: str) -> str:
    """Return the lecture of a topic as a notebook that was run."""
    path = LECTURES / f"{topic}.md"
    shown = iter(reference(path))
    cells = []
    for number, part in enumerate(parts(path.read_text(encoding="utf-8"))):
        if isinstance(part, Prose):
            cells.append(v4.new_markdown_cell(part.markdown, id=f"{topic}-{number}"))
        else:
            one = next(shown)
            image = {"alt": "; ".join(one.words), "classes": "wide" if any(map(is_wide, one.figures)) else ""}
            metadata = {"tags": ["hide-input"], "mystnb": {"image": image}}
            cells.append(v4.new_code_cell(part.source, outputs=_outputs(one), metadata=metadata, id=f"{topic}-{number}"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}, "language_info": {"name": "python"}}
    return nbformat.writes(v4.new_notebook(cells=cells, metadata=kernel))


def _outputs(shown: Shown) -> list:
    printed = [v4.new_output("stream", name="stdout", text=shown.printed)] if shown.printed else []
    return printed + [v4.new_output("display_data", data={"image/svg+xml": picture.decode()}) for picture in shown.figures]


def topics_page(topics: list[Topic]) -> str:
    """Return the table of topics, and for each what its exercises ask for and cite."""
    text = "# Topics and exercises\n\n"
    text += re.sub(r"(?m)^\| (\w+) \| ([^|]+?) \|", _linked_row, topics_table(topics))
    for topic in topics:
        text += (
            f"\n## {topic.title}\n\n[The lecture](../lectures/{topic.name}.ipynb). `npfl139 start {topic.name}` gives the assignment.\n\n"
        )
        text += "| exercise | points | what it is | equations |\n|---|---|---|---|\n"
        documented = _docstrings((ASSIGNMENTS / f"{topic.name}.py").read_text(encoding="utf-8"))
        for exercise in topic.exercises:
            points = sum(check.points for check in topic.checks if check.exercise == exercise)
            claim = re.sub(r" *\[[a-z]\w*:[^]]+\]", "", " ".join(documented[exercise].split("\n\n")[0].split()))
            labels = [label for label in dict.fromkeys(cited(documented[exercise])) if label in equations()]
            own = f"{topic.name}:"
            links = ", ".join(f"{{eq}}`{label}`" + ("" if label.startswith(own) else f" of {label.partition(':')[0]}") for label in labels)
            text += f"| `{exercise}` | {points:g} | {_cell(claim)} | {links or '—'} |\n"
    return text


def _linked_row(match: re.Match) -> str:
    name, heading = match[1], match[2]
    return match[0] if not (LECTURES / f"{name}.md").is_file() else f"| [{name}](../lectures/{name}.ipynb) | {heading} |"


def equations_page(topics: list[Topic]) -> str:
    """Return the labelled equations of all lectures, and the exercises that cite each."""
    text = "# Equations\n\nDocstrings, checks, hints and reports cite them by the names in brackets.\n"
    used: dict[str, list[str]] = {}
    for topic in topics:
        for exercise, docstring in _docstrings((ASSIGNMENTS / f"{topic.name}.py").read_text(encoding="utf-8")).items():
            for label in dict.fromkeys(cited(docstring)):
                used.setdefault(label, []).append(f"`{exercise}`" + ("" if label.startswith(f"{topic.name}:") else f" of {topic.name}"))
    for topic in topics:
        text += f"\n## {topic.title}\n\n"
        for equation in equations_of((LECTURES / f"{topic.name}.md").read_text(encoding="utf-8")):
            by = f"; {', '.join(used[equation.label])}" if equation.label in used else ""
            text += f"{{eq}}`{equation.label}` `[{equation.label}]`{by}\n\n$$\n{equation.latex}\n$$\n\n"
    return text


def mistakes_page(topics: list[Topic]) -> str:
    """Return the catalogued mistakes as students are told them."""
    text = (
        "# Mistakes that the grader knows by name\n\nA report names one where it gives all the answers that your function gave. "
        "What it says then is below: *your outputs equal those of an implementation that …*, and the hint.\n"
    )
    for topic in topics:
        text += f"\n## {topic.title}\n"
        for exercise in topic.exercises:
            known = [mistake for mistake in topic.mistakes if mistake.exercise == exercise]
            text += f"\n### `{exercise}`\n\n" if known else ""
            text += "".join(f"- … **{_plain(mistake.name)}**. {_plain(mistake.hint)}\n" for mistake in known)
    return text


def symbols_page(topics: list[Topic]) -> str:
    """Return what the words of the code stand for: the fields of the configurations, and the arguments of the exercises."""
    text = "# Symbols\n\nWords in the code, letters in the formulas. The fields of a configuration are options of `npfl139 train`.\n"
    for topic in topics:
        source = (ASSIGNMENTS / f"{topic.name}.py").read_text(encoding="utf-8")
        fields = list(_fields(source))
        text += f"\n## {topic.title}\n"
        if fields:
            text += "\n| field | default | symbol and source |\n|---|---|---|\n"
            text += "".join(f"| `{name}` | `{_cell(default)}` | {_cell(comment)} |\n" for name, default, comment in fields)
        arguments = dict(pair for name in topic.exercises for pair in reversed(list(_arguments(_docstrings(source)[name]))))
        text += "\n| argument | shape and meaning |\n|---|---|\n"
        text += "".join(f"| `{name}` | {_cell(meaning)} |\n" for name, meaning in sorted(arguments.items()))
    return text


def papers_page(topics: list[Topic]) -> str:
    """Return the papers that the lectures refer to, each once, with the lectures."""
    entries: dict[str, tuple[str, list[str]]] = {}
    for topic in topics:
        references = (LECTURES / f"{topic.name}.md").read_text(encoding="utf-8").partition("## References\n")[2].partition("\n## ")[0]
        for entry in re.findall(r"^- (.*(?:\n  .*)*)", references, re.MULTILINE):
            line = " ".join(entry.split())
            found = ARXIV.search(line)
            key = found[1] if found else re.sub(r"\W", "", line.lower())
            entries.setdefault(key, (line, []))[1].append(f"[{topic.name}](../lectures/{topic.name}.ipynb)")
    ordered = sorted(entries.values(), key=lambda entry: re.sub(r"^(?:[A-Z]\. ?)+", "", entry[0]).lower())
    linked = ((ARXIV.sub(r"[\g<0>](https://arxiv.org/abs/\1)", line), ", ".join(dict.fromkeys(used))) for line, used in ordered)
    lines = (f"- {line} — {used}\n" for line, used in linked)
    return "# Papers\n\nWhat the lectures build on, by author.\n\n" + "".join(lines)


def proof_page(topics: list[Topic]) -> str:
    """Return how the grader proves its checks, with the stored figures of the audit and of the calibration."""
    text = (ROOT / "docs" / "proof.md.in").read_text(encoding="utf-8")
    stored = json.loads((ROOT / "docs" / "audit.json").read_text())
    rows = [(topic.name, stored[topic.name]) for topic in topics if topic.name in stored]
    header = ("mutants", "noticed", "equivalent", "survived", "told", "false names", "elsewhere")
    audit = f"| topic | {' | '.join(header)} |\n|---|{'---|' * len(header)}\n"
    audit += "".join(f"| {name} | {' | '.join(str(row[key]) for key in header)} |\n" for name, row in rows)
    audit += f"| **all** | {' | '.join(f'**{sum(row[key] for _, row in rows)}**' for key in header)} |\n\n"
    audit += f"Measured on {max(row['date'] for _, row in rows)}.\n"
    mistakes = sum(len(topic.mistakes) for topic in topics)
    checks = sum(len(topic.checks) for topic in topics)
    return (
        text.replace("@audit@", audit)
        .replace("@thresholds@", thresholds_table(topics))
        .replace("@counts@", f"{checks} checks, {mistakes} catalogued mistakes")
    )


def gallery_page(path: Path) -> str:
    """Return the films, with what is known of each."""
    text = (
        "# Agents before, in the middle of and after training\n\nEach row is one training of the reference solution. Its films show the "
        "greedy policy at its start, half-way and at its end; the return is the mean over 20 episodes. `python -m docs.films` makes them.\n"
    )
    for film in json.loads(path.read_text()):
        text += f'\n## {film["title"]}\n\n{film["text"]} `{film["command"]}`\n\n<div class="films">\n'
        for shot in film["shots"]:
            caption = f"{shot['steps']:,} steps: return {shot['return']:.4g}"
            picture = f'<img src="../_static/films/{shot["file"]}" alt="{film["title"]}, {caption}" loading="lazy">'
            text += f"<figure>{picture}<figcaption>{caption}</figcaption></figure>\n"
        text += "</div>\n"
    return text


def api_pages() -> dict[str, str]:
    """Return a page for each module of the students' library, and one that lists them."""
    names = sorted(module.name for module in pkgutil.walk_packages(npfl139.__path__, "npfl139."))
    pages = {f"api/{name}.md": f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n" for name in names}
    listed = "\n".join(names)
    return pages | {"api/index.md": f"# The library npfl139\n\n```{{toctree}}\n{listed}\n```\n"}


def _docstrings(source: str) -> dict[str, str]:
    """Return the docstrings of functions, and of methods as `Class.method`."""
    found = {}
    for node in ast.parse(source).body:
        scope, prefix = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
        found |= {f"{prefix}{item.name}": ast.get_docstring(item) or "" for item in scope if isinstance(item, ast.FunctionDef)}
    return found


def _fields(source: str) -> Iterable[tuple[str, str, str]]:
    """Yield (name, default, comment) of the fields of classes whose name ends in Config."""
    lines = source.split("\n")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config"):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and item.value is not None and isinstance(item.target, ast.Name):
                    yield item.target.id, ast.unparse(item.value), lines[item.end_lineno - 1].partition("  # ")[2]  # type: ignore[operator]


def _arguments(docstring: str) -> Iterable[tuple[str, str]]:
    section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE)
    for match in re.finditer(r"^    (\w+(?:, \w+)*): (.*(?:\n     +.*)*)", section[1] if section else "", re.MULTILINE):
        yield match[1], " ".join(match[2].split())


def _plain(text: str) -> str:
    """Return a text whose characters Markdown does not interpret, apart from code and emphasis."""
    return re.sub(r"([\[\]|<>$])", r"\\\1", text)


def _cell(text: str) -> str:
    return _plain(text).replace("*", r"\*").replace("\n", " ")


def comment_of(field: str) -> str:
    """Return the comment at the end of the line that declares a field, `npfl139.module.Class.field`; empty if there is none."""
    module, owner, name = field.rsplit(".", 2)
    return comments(getattr(importlib.import_module(module), owner)).get(name, "")
