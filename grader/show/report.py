"""Reports as self-contained HTML: one of the class for the instructor, and one for each student about nobody else.

Every text of a result is untrusted. The templates escape it, and the pages forbid any outside resource and any script but the class's own.
"""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grader.records import Result
from grader.show.classpage import ClassPage, Marks
from grader.show.findings import number, printable
from grader.show.student import Band, StudentPage
from grader.show.words import TONES, cumulated, explained, likeness, marked, percent, probability, sentence, wording

__all__ = ["Band", "Marks", "class_page", "environment", "student_page"]

TEMPLATES = Path(__file__).parent / "templates"
MANY = 12  # rows of a list of checks or mistakes; the others are folded away, or in a large class left to the table
NAMED = 4  # students beside a mistake, in a large class
MOST = 100  # rows of what could not be graded
DOTS = 60  # in a plot, that have labels


def student_page(results: Sequence[Result], band: Band, course: str | None = None, within_class: bool = False) -> str:
    """Return the report of one student, made from this student's results only.

    Args:
        course: its title and term, where they are known.
        within_class: whether it lies beside the class's report, to which it then links.
    """
    page = StudentPage.of(results, band)
    return environment().get_template("student.html").render(page=page, course=course, within_class=within_class)


def class_page(
    results: Sequence[Result],
    damaged: Sequence[str] = (),
    failed: Sequence[str] = (),
    course: str | None = None,
    given: Mapping[str, float] | None = None,
    marks: Marks | None = None,
) -> str:
    """Return the report of a class, which lies beside `report.csv` and the folders of the students.

    Its one script sorts, filters and searches; the page's policy allows it by its hash, and nothing else. Without scripts all is there,
    in the order of the names.

    Args:
        damaged: the names of the files whose results could not be read.
        failed: sentences about the pages of students that could not be written.
        course: its title and term, where they are known.
        given: the topics that the class was given, and their maxima, also where nobody handed in anything.
        marks: what the course made of the results; without, what grading gave is shown.
    """
    script = (TEMPLATES / "class.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = ClassPage.of(results, damaged, failed, course, given, marks)
    return environment().get_template("class.html").render(page=page, script=Markup(script), script_hash=Markup(f"sha256-{digest}"))


def _visible(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def environment(*templates: Path) -> Environment:
    """Return what makes pages of templates: it escapes whatever is put in, and shows no character that is not printable.

    Args:
        templates: folders of another room's templates, which may extend those of this room.
    """
    environment = Environment(
        loader=FileSystemLoader([*templates, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        cumulated=cumulated,
        explained=explained,
        likeness=likeness,
        marked=marked,
        number=number,
        percent=percent,
        probability=probability,
        sentence=sentence,
        tone=TONES.__getitem__,
        wording=wording,
        MANY=MANY,
        NAMED=NAMED,
        MOST=MOST,
        DOTS=DOTS,
    )
    return environment
