"""The database of a course: SQLite in a file, or PostgreSQL by its URL. All its errors are sentences."""

import glob
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

__all__ = ["Gradebook", "GradebookError", "head"]

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 60  # a writer waits so long for another; each writes for milliseconds
WRITERS = 139  # the number of PostgreSQL's lock that one writer at a time has


class GradebookError(Exception):
    """The gradebook cannot be opened, read or written. The message is one sentence that says what to do."""


def head() -> str:
    """Return the number of the last migration that there is."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


class Gradebook:
    """One gradebook.

        with gradebook.writing() as session: ...
        with gradebook.reading() as session: ...

    Writers come one after the other, so that each decides on what it sees; what was written is on the disk when the block ends, or else
    nothing of it. Readers wait for nobody.
    """

    def __init__(self, where: str | Path):
        """Open a gradebook, making it if need be, and bring its tables up to date.

        Args:
            where: a file, or a URL such as postgresql://user@host/database.

        Raises:
            GradebookError: it cannot be opened.
        """
        self.url = _url(where)
        self.name = self.url.database or "" if self.is_file else self.url.render_as_string(hide_password=True)
        self._thread = threading.Lock()
        with self._told("opened"):
            self._readable, self._writable = self._engines()
            self._bring_up_to_date()

    @property
    def is_file(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def copies(self) -> list[Path]:
        """The copies that were kept as its tables changed, which hold whatever it held then."""
        path = Path(self.url.database or "")
        return sorted(path.parent.glob(f"{glob.escape(path.name)}.before-*")) if self.is_file else []

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Begin a transaction that only reads.

        Raises:
            GradebookError: the database cannot be read.
        """
        with self._told("read"), Session(self._readable, autoflush=False, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Begin a transaction that alone may write, and commit it at the end of the block.

        Raises:
            GradebookError: the database cannot be written.
        """
        with self._told("written"), self._thread, Session(self._writable, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Hold the file open during the block: whoever is the last to close it tidies it up, which takes longer than to write it."""
        with self._told("opened"):
            held = closing(self._connected()) if self.is_file else nullcontext()
        with held:
            yield

    def wiped(self) -> None:
        """Give back the space of what was deleted, so that no copy of it is left in the file.

        Raises:
            GradebookError: the database cannot be written.
        """
        if self.is_file:
            with self._told("written"), closing(self._connected()) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _engines(self) -> tuple[Engine, Engine]:
        """Return the engines of readers and of writers."""
        if not self.is_file:
            url = self.url.set(drivername="postgresql+psycopg") if self.url.get_driver_name() != "psycopg" else self.url
            readable = create_engine(url, isolation_level="REPEATABLE READ", poolclass=NullPool)
            writable = create_engine(url, isolation_level="READ COMMITTED", poolclass=NullPool)
            event.listen(writable, "begin", _lock_of_writers)
            return readable, writable
        readable = create_engine("sqlite://", creator=lambda: self._connected(), poolclass=NullPool)
        event.listen(readable, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        writable = create_engine("sqlite://", creator=lambda: self._connected(), poolclass=NullPool)
        event.listen(writable, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return readable, writable

    def _connected(self) -> sqlite3.Connection:
        """Connect to the file; where nobody may write beside it, as to one that does not change."""
        path = Path(self.url.database or "").resolve()
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            log = Path(f"{path}-wal")
            if not path.is_file() or (log.is_file() and log.stat().st_size):  # what was written last is in there
                raise
            connection.close()
            connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # what was committed outlives a power cut
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def _bring_up_to_date(self) -> None:
        with self._readable.connect() as readable:
            found = _version(readable)
        if found == head():
            return
        if found is not None and found > head():
            raise GradebookError(f"{self.name} was written by a newer version of this program: use that one, or a copy of before")
        if self.is_file:
            with closing(self._connected()) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                if found is not None:
                    with closing(sqlite3.connect(f"{self.url.database}.before-{head()}")) as copy:
                        connection.backup(copy)
        with self._writable.begin() as writable:
            if _version(writable) == found:  # nobody else was faster
                _migrate(writable)

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """Tell errors of the database in a sentence."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            intact = "; what was written before is intact" if done == "written" else ""
            raise GradebookError(f"{self.name} cannot be {done}: {_reason(error)}{intact}") from error


def _url(where: str | Path) -> URL:
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError, NoSuchModuleError) as error:
        raise GradebookError(f"{where!r} is no URL of a database: write postgresql://user@host/database, or the name of a file") from error
    if backend not in ("sqlite", "postgresql"):
        raise GradebookError(f"a gradebook is kept in SQLite or PostgreSQL, not in {backend}: write postgresql://…, or the name of a file")
    return url


def _lock_of_writers(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS})")


def _version(connection: Connection) -> str | None:
    """Return the number of the last migration that a database went through, None where it went through none.

    Raises:
        GradebookError: it holds something else.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if tables:
            raise GradebookError("the gradebook's database holds something else: name another one")
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _migrate(connection: Connection) -> None:
    from alembic import command  # slow to import, and needed once in the life of a gradebook
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


SENTENCES: tuple[tuple[str, str], ...] = (
    (r"disk is full", "the disk is full, make room and start once more"),
    (r"readonly database|read-only", "it may only be read, let yourself write the file and its folder"),
    (r"database is locked", f"another program has been writing it for {BUSY_SECONDS} seconds, wait until that ends"),
    (r"file is not a database|malformed", "it is damaged or not a gradebook, restore it from a copy"),
    (r"unable to open database file", "there is no such file, or nobody may read it or write into its folder"),
    (r"disk I/O error", "the disk does not answer as it should, check it"),
)


def _reason(error: BaseException) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    message = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    return next((sentence for pattern, sentence in SENTENCES if re.search(pattern, message)), message)
