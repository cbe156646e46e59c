"""Where the files of persons lie: in reports of a course, and in exports."""

from collections import Counter
from collections.abc import Sequence

from grader.classroom.intake import as_folder
from grader.course.marks import Mark

__all__ = ["folders", "places"]


def folders(marks: Sequence[Mark]) -> dict[str, str]:
    """Return what the folder of each person is called, by pseudonym; that of a namesake tells the student number or the pseudonym too."""
    people = {mark.person.pseudonym: mark.person for mark in marks}
    names = {pseudonym: as_folder(person.name) for pseudonym, person in people.items()}
    count = Counter(name.casefold() for name in names.values())
    return {
        pseudonym: name if count[name.casefold()] == 1 else as_folder(f"{name} {people[pseudonym].sid or pseudonym}")
        for pseudonym, name in names.items()
    }


def places(marks: Sequence[Mark]) -> list[str]:
    """Return `<person>/<assignment>` for each mark."""
    names = folders(marks)
    return [f"{names[mark.person.pseudonym]}/{as_folder(mark.assignment)}" for mark in marks]
