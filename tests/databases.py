"""A PostgreSQL server for tests, where the machine can have one."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Start the server that the wheel pgserver brings; yield its URL. Skips where that is impossible."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a machine without a session of a user
        pgserver = pytest.importorskip("pgserver", reason="the wheel pgserver, which brings a PostgreSQL, is not installed")
        try:
            server = pgserver.get_server(folder, cleanup_mode="delete")
        except Exception as error:
            pytest.skip(f"PostgreSQL does not start on this machine: {type(error).__name__}: {error}")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def emptied(url: str) -> str:
    """Drop everything that a database holds."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url
