"""JUnit XML: a suite for each mark, in it a test case for each check.

Source: the schema that Jenkins reads, `junit-10.xsd` of its xunit plugin.
"""

from xml.etree import ElementTree

from grader.course.exports.formats import Request, Written, reasons
from grader.course.exports.tables import save
from grader.course.marks import Mark
from grader.records import Part
from npfl139.text import one_line

__all__ = ["write"]

WHY = {
    "missing": "nothing was handed in",
    "waiting": "it is not graded yet",
    "excused": "the person is excused",
    "fault": "the grader failed",
}


def write(request: Request) -> Written:
    """Write all marks.

    Raises:
        ExportError: the file cannot be written.
    """
    root = ElementTree.Element("testsuites", name="npfl139")
    for mark in request.marks:
        root.append(_suite(mark))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    ElementTree.indent(root)
    save(request.out, ElementTree.tostring(root, "unicode", xml_declaration=False).join(('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")))
    return Written((request.out,))


def _suite(mark: Mark) -> ElementTree.Element:
    parts = mark.result.parts if mark.result else ()
    suite = ElementTree.Element("testsuite", name=one_line(f"{mark.person.name}: {mark.assignment}"))
    for part in parts:
        suite.append(_case(part, mark.assignment))
    if not parts:
        case = ElementTree.SubElement(suite, "testcase", name="handed in", classname=one_line(mark.assignment), time="0")
        ElementTree.SubElement(case, "skipped").text = WHY.get(mark.state, "nothing of it could be graded")
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", f"{mark.result.provenance.seconds if mark.result else 0:.3f}")
    return suite


def _case(part: Part, assignment: str) -> ElementTree.Element:
    where = f"{assignment}.{part.where}" if part.where != part.name else assignment
    case = ElementTree.Element("testcase", name=part.name, classname=where, time="0")
    if not part.passed:
        told = reasons(part)
        failure = ElementTree.SubElement(case, "error" if part.is_fault else "failure", type=part.verdict.value, message=told[0])
        failure.text = "\n".join([one_line(part.claim), *told])
    return case
