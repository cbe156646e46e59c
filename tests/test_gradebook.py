"""A gradebook keeps what it was told, on SQLite and on PostgreSQL, whatever happens to the program, the disk or the file."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from grader.course import gradebook as module
from grader.course.gradebook import Gradebook, GradebookError, head
from grader.course.models import Base, Person
from tests.databases import emptied, postgresql


def person(name):
    return Person(name=name, pseudonym=f"S-{name}")


def names(gradebook):
    with gradebook.reading() as session:
        return sorted(session.scalars(select(Person.name)))


def add(gradebook, name):
    with gradebook.writing() as session:
        session.add(person(name))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgresql(tmp_path_factory.mktemp("postgresql")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where an empty gradebook can be."""
    return tmp_path / "gradebook.db" if request.param == "sqlite" else emptied(request.getfixturevalue("server"))


def test_the_migrations_make_the_tables_that_the_program_expects(place):
    gradebook = Gradebook(place)
    with gradebook.reading() as session:
        assert compare_metadata(MigrationContext.configure(session.connection()), Base.metadata) == []
        assert session.execute(module.text("SELECT version_num FROM alembic_version")).scalar() == head()
    add(gradebook, "ada")
    assert names(Gradebook(place)) == ["ada"]


def test_programs_that_open_it_at_the_same_time_make_it_once(place):
    opened, barrier = [], threading.Barrier(4)

    def open_it():
        barrier.wait()
        opened.append(Gradebook(place))

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    add(opened[0], "ada")
    assert [names(each) for each in opened] == [["ada"]] * 4


def test_a_block_that_fails_writes_nothing(place):
    gradebook = Gradebook(place)
    with pytest.raises(KeyError), gradebook.writing() as session:
        session.add(person("ada"))
        session.flush()
        raise KeyError
    assert names(gradebook) == []


def test_a_writer_decides_on_what_the_writers_before_it_wrote(place):
    books = [Gradebook(place) for _ in range(3)]

    def count_up(gradebook):
        for _ in range(5):
            with gradebook.writing() as session:
                number = len(session.scalars(select(Person)).all())
                session.add(person(f"{number:02}"))

    threads = [threading.Thread(target=count_up, args=(each,)) for each in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(books[0]) == [f"{number:02}" for number in range(15)]


def test_a_reader_waits_for_nobody_and_sees_one_state(place):
    gradebook, other = Gradebook(place), Gradebook(place)
    add(gradebook, "ada")
    with other.reading() as session:
        assert session.scalars(select(Person.name)).all() == ["ada"]
        add(gradebook, "blaise")
        session.expire_all()
        assert session.scalars(select(Person.name)).all() == ["ada"]
    assert names(other) == ["ada", "blaise"]


KILLED = """
import os, signal, sys
from grader.course.gradebook import Gradebook
from grader.course.models import Person
gradebook = Gradebook(sys.argv[1])
with gradebook.writing() as session:
    session.add(Person(name="ada", pseudonym="S-ada"))
with gradebook.writing() as session:
    session.add(Person(name="blaise", pseudonym="S-blaise"))
    session.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_of_writing_leaves_what_was_written_before(place):
    done = subprocess.run([sys.executable, "-c", KILLED, str(place)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    gradebook = Gradebook(place)
    assert names(gradebook) == ["ada"]
    add(gradebook, "blaise")
    assert names(gradebook) == ["ada", "blaise"]


def test_a_full_disk_is_told_and_costs_nothing_that_was_written(tmp_path, monkeypatch):
    gradebook = Gradebook(tmp_path / "gradebook.db")
    add(gradebook, "ada")
    connected = Gradebook._connected

    def full(self):
        connection = connected(self)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")  # the file may not grow
        return connection

    monkeypatch.setattr(Gradebook, "_connected", full)
    with pytest.raises(GradebookError, match="gradebook.db cannot be written: the disk is full, .*; what was written before is in"):
        add(gradebook, "x" * 100_000)
    monkeypatch.undo()
    assert names(gradebook) == ["ada"]


READS = """
import os, sys
import sqlalchemy.dialects.sqlite
from sqlalchemy import select
from grader.course.gradebook import Gradebook, GradebookError
from grader.course.models import Person
sqlalchemy.orm.configure_mappers()
if os.getuid() == 0:  # whom nothing stops
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
gradebook = Gradebook(sys.argv[1])
with gradebook.reading() as session:
    print(*session.scalars(select(Person.name)))
try:
    with gradebook.writing() as session:
        session.add(Person(name="blaise", pseudonym="S-blaise"))
except GradebookError as error:
    print(error)
"""


@pytest.mark.parametrize("folder", [0o555, 0o777])
def test_a_file_that_may_only_be_read_is_read(tmp_path, folder):
    place = tmp_path / "course" / "gradebook.db"
    place.parent.mkdir()
    add(Gradebook(place), "ada")
    place.chmod(0o444)
    place.parent.chmod(folder)
    for above in tmp_path.parents[:2]:
        above.chmod(0o755)
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", READS, str(place)], capture_output=True, text=True, cwd=os.getcwd())
    place.parent.chmod(0o755)
    assert done.returncode == 0, done.stderr
    read, told = done.stdout.splitlines()
    assert read == "ada"
    assert "cannot be written: it may only be read, let yourself write the file and its folder" in told


def test_a_database_that_somebody_keeps_locked_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    gradebook = Gradebook(tmp_path / "gradebook.db")
    other = sqlite3.connect(tmp_path / "gradebook.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(GradebookError, match="another program has been writing it"):
        add(gradebook, "ada")
    other.execute("ROLLBACK")
    other.close()
    add(gradebook, "ada")


def test_before_its_tables_change_a_copy_is_kept(tmp_path, monkeypatch):
    place = tmp_path / "gradebook.db"
    add(Gradebook(place), "ada")
    later = tmp_path / "migrations"
    shutil.copytree(module.MIGRATIONS, later)
    text = 'revision = "9999"\ndown_revision = "%s"\n\ndef upgrade():\n    from alembic import op\n    op.execute("DELETE FROM person")\n'
    (later / "versions" / "9999_later.py").write_text(text % head())
    monkeypatch.setattr(module, "MIGRATIONS", later)
    assert names(Gradebook(place)) == []
    monkeypatch.undo()
    assert names(Gradebook(tmp_path / "gradebook.db.before-9999")) == ["ada"]
    with pytest.raises(GradebookError, match="was written by a newer version of this program: use that one, or a copy of before"):
        Gradebook(place)


def test_what_is_no_gradebook_is_told(tmp_path):
    (tmp_path / "text.db").write_text("no database at all, but long enough to be taken for one")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE other (id INTEGER)")
    other.close()
    for place, sentence in (
        (tmp_path / "text.db", "it is damaged or not a gradebook, restore it from a copy"),
        (tmp_path / "other.db", "the gradebook's database holds something else"),
        (tmp_path / "nowhere" / "gradebook.db", "there is no such file, or nobody may read it or write into its folder"),
        ("mysql://host/database", "is kept in SQLite or PostgreSQL, not in mysql"),
        ("://nowhere", "is no URL of a database"),
        ("postgresql://nobody:secret@127.0.0.1:1/course", r"postgresql://nobody:\*\*\*@127.0.0.1:1/course cannot be opened: connection"),
    ):
        with pytest.raises(GradebookError, match=sentence):
            Gradebook(place)
