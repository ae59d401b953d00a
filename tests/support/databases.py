"""Fresh databases on the test server, cheaply: migrations run once, into a template that is then copied."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from cli.stack.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "migrated_template"


@dataclass(frozen=True)
class Database:
    """URLs as in production: `app_url` for the role under row-level security, `admin_url` for its owner."""

    name: str
    admin_url: str
    app_url: str


def migrate(admin_url: str, app_url: str, *arguments: str) -> dict[str, Any]:
    """`python -m adapters.store migrate`, as `up` runs it; returns the JSON line that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "adapters.store", "migrate", *arguments],
        env={**os.environ, "MILLWRIGHT_ADMIN_DATABASE_URL": admin_url, "DATABASE_URL": app_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"migrate failed:\n{done.stdout}\n{done.stderr}"
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def make_template(server: Postgres) -> str:
    """The migrated database that others are copied from; made on first use."""
    with psycopg.connect(server.admin_url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(server.admin_url(TEMPLATE), server.app_url(TEMPLATE))
    return TEMPLATE


@contextmanager
def new_database(server: Postgres, template: str = "template0") -> Iterator[Database]:
    """A database of its own (`template0`: an empty one), dropped at the end with whoever is still connected."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(server.admin_url("postgres"), autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield Database(name, server.admin_url(name), server.app_url(name))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
