"""Where the files of persons lie in an export."""

from collections.abc import Sequence

from grader.classroom.intake import as_folder
from grader.course.marks import Mark

__all__ = ["places"]


def places(marks: Sequence[Mark]) -> list[str]:
    """Return `<person>/<assignment>` for each mark; of namesakes the later ones have a number."""
    names: dict[str, str] = {}  # by pseudonym, which is a person's own
    taken: set[str] = set()
    for mark in marks:
        if mark.person.pseudonym not in names:
            name, number = as_folder(mark.person.name), 1
            while (whole := f"{name} ({number})" if number > 1 else name).casefold() in taken:
                number += 1
            taken.add(whole.casefold())
            names[mark.person.pseudonym] = whole
    return [f"{names[mark.person.pseudonym]}/{as_folder(mark.assignment)}" for mark in marks]
