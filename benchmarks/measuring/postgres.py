"""A database of its own for each run: a journal belongs to one consumer group, and each run has a new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier

from benchmarks.measuring.model import NotAvailableError

SERVER: Final = "BENCH_POSTGRES_DSN"
"""postgresql://... of a server where databases may be made; a password stands there or in ~/.pgpass."""


@contextmanager
def fresh_database() -> Iterator[str]:
    """Yield the address of an empty database, and drop it afterwards. Raises NotAvailableError."""
    server, name = os.environ.get(SERVER, ""), f"bench_{uuid4().hex}"
    if not server:
        raise NotAvailableError(f"{SERVER} is not set")
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    except psycopg.Error as error:
        raise NotAvailableError(f"{SERVER}: {type(error).__name__}") from None
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
