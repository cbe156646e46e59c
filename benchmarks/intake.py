"""What taking in a class costs beside reading and hashing its files, for each layout.

    python benchmarks/intake.py

Everything is measured in one run, as processor seconds, those of git included; the ratios are what to compare between machines. No
submission may be refused. Of GitHub each has a repository of two commits, which are looked at for two dates.
"""

import argparse
import datetime
import hashlib
import io
import resource
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from grader.contract.registry import available
from grader.intake.adapters import deliveries
from grader.intake.deliveries import Delivery

DUE = 1_759_687_200  # seconds of Unix time
LAYOUTS: dict[str, Callable[[str, int], str]] = {
    "folders": lambda topic, student: f"student{student}/{topic}.py",
    "moodle": lambda topic, student: f"{topic}/Student Number_{student}_assignsubmission_file_/{topic}.py",
    "canvas": lambda topic, student: f"numberstudent_{student}_{student}_{topic}.py",
    "gradescope": lambda topic, student: f"{topic}/submission_{student}/{topic}.py",
    "nbgrader": lambda topic, student: f"submitted/student{student}/{topic}/{topic}.py",
}


SUBMITTED = """\
submission_{number}:
  :submitters:
  - :name: Student
    :email: s{number}@example.org
  :created_at: 2026-10-05 15:58:23 Z
"""


def seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def laid_out(layout: str, students: int, size: int) -> dict[str, bytes]:
    """Return the files of a class by their paths."""
    files = {}
    for topic in available():
        for student in range(students):
            path = LAYOUTS[layout](topic, student)
            files[path] = f"# {topic} {student}\n".encode().ljust(size, b"#")
            if layout == "nbgrader":
                files[f"submitted/student{student}/{topic}/timestamp.txt"] = b"2026-10-05 15:58:23.948203 UTC"
        if layout == "gradescope":
            told = (SUBMITTED.format(number=number) for number in range(students))
            files[f"{topic}/submission_metadata.yml"] = "".join(told).encode()
    return files


def committed(repository: Path, name: str, content: bytes) -> None:
    """Write a repository of two commits, a day apart, of a file that is finished in the second."""
    (repository / ".git" / "refs" / "heads").mkdir(parents=True)
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/main\n")

    def stored(kind: str, text: bytes) -> str:
        whole = b"%s %d\0%s" % (kind.encode(), len(text), text)
        sha = hashlib.sha1(whole).hexdigest()
        path = repository / ".git" / "objects" / sha[:2] / sha[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zlib.compress(whole))
        return sha

    parent = ""
    for text, at in ((b"x = 1\n", DUE - 86_400), (content, DUE + 3600)):
        tree = stored("tree", b"100644 %s\0" % name.encode() + bytes.fromhex(stored("blob", text)))
        who = f"a <a@example.org> {int(at)} +0000"
        sha = stored("commit", f"tree {tree}\n{parent}author {who}\ncommitter {who}\n\nwork\n".encode())
        parent = f"parent {sha}\n"
    (repository / ".git" / "refs" / "heads" / "main").write_text(f"{sha}\n")


def repositories(students: int, size: int) -> None:
    """Print what repositories cost, each assignment taken in by itself, as GitHub's command clones them."""
    dates = [datetime.datetime.fromtimestamp(at, datetime.UTC) for at in (DUE, DUE + 86_400)]
    with tempfile.TemporaryDirectory() as name:
        for topic in available():
            for student in range(students):
                content = f"# {topic} {student}\n".encode().ljust(size, b"#")
                committed(Path(name, f"{topic}-submissions", f"{topic}-student{student}"), f"{topic}.py", content)
        start, count = seconds(), 0
        for topic in available():
            found = deliveries(Path(name, f"{topic}-submissions"), topics=available(), assignment=topic, deadlines=dates)
            count += len(expect_sound(found))
        used = seconds() - start
    print(f"{'github':11} {count} taken in {used:5.2f} s, {1000 * used / (students * len(available())):.1f} ms for each repository")


def expect_sound(found: list[Delivery]) -> list[Delivery]:
    problems = {each.problem for each in found} - {None}
    if problems:
        raise SystemExit(f"some are refused: {problems}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--size", type=int, default=30_000, help="bytes of a file")
    options = parser.parse_args()
    repositories(options.students, options.size)
    for layout in LAYOUTS:
        files = laid_out(layout, options.students, options.size)
        with tempfile.TemporaryDirectory() as name:
            for path, content in files.items():
                Path(name, path).parent.mkdir(parents=True, exist_ok=True)
                Path(name, path).write_bytes(content)
            start = seconds()
            for path in files:
                hashlib.sha256(Path(name, path).read_bytes()).hexdigest()
            read = seconds() - start
            start = seconds()
            taken = len(expect_sound(deliveries(Path(name), topics=available())))
            folder = seconds() - start
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for path, content in files.items():
                    archive.writestr(path, content)
            Path(name, "class.zip").write_bytes(stream.getvalue())
            start = seconds()
            expect_sound(deliveries(Path(name, "class.zip"), topics=available()))
            packed = seconds() - start
        print(f"{layout:11} {taken} taken in {folder:5.2f} s, {folder / read:4.1f} times reading them; from an archive {packed:5.2f} s")


if __name__ == "__main__":
    main()
