"""Reports as self-contained HTML: one of the class for the instructor, and one for each student about nobody else.

Every text of a result is untrusted. The templates escape it, and the pages forbid scripts and any outside resource.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grader.records import Result
from grader.show.classpage import ClassPage
from grader.show.findings import number, printable
from grader.show.student import Band, StudentPage
from grader.show.words import TONES, explained, likeness, marked, percent, probability, sentence, wording

__all__ = ["Band", "class_page", "environment", "student_page"]

MANY_CHECKS = 12  # in a list of those that fail; the others are folded away


def student_page(results: Sequence[Result], band: Band) -> str:
    """Return the report of one student, made from this student's results only."""
    return environment().get_template("student.html").render(page=StudentPage.of(results, band))


def class_page(results: Sequence[Result], damaged: Sequence[str] = (), failed: Sequence[str] = ()) -> str:
    """Return the report of a class.

    Args:
        damaged: the names of the files whose results could not be read.
        failed: sentences about the pages of students that could not be written.
    """
    return environment().get_template("class.html").render(page=ClassPage.of(results, damaged, failed))


def _visible(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def environment(*templates: Path) -> Environment:
    """Return what makes pages of templates: it escapes whatever is put in, and shows no character that is not printable.

    Args:
        templates: folders of another room's templates, which may extend those of this room.
    """
    environment = Environment(
        loader=FileSystemLoader([*templates, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        explained=explained,
        likeness=likeness,
        marked=marked,
        number=number,
        percent=percent,
        probability=probability,
        sentence=sentence,
        tone=TONES.__getitem__,
        wording=wording,
        MANY=MANY_CHECKS,
    )
    return environment
