"""Brings a database to the newest schema, and makes the role that the product works under."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection, create_engine

from domain.errors import InvalidInput, Unavailable

APP_ROLE = "millwright_app"
"""Neither superuser nor allowed to bypass row-level security; the grants of the migrations name it."""
LOCK = 0x6D696C6C
"""Advisory lock of one migration at a time."""


def migrate(admin_url: str, app_url: str | None, revision: str = "head") -> str:
    """Steps up to `revision` (or down, when it is `down:<revision>`); returns the revision now in place.

    Raises Unavailable when the database does not answer, InvalidInput for an application role that could see past
    row-level security, Conflict when a step down would lose rows.
    """
    password = _app_password(app_url) if app_url else None
    try:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            _ensure_role(connection, password)
    except psycopg.OperationalError as error:
        raise Unavailable(
            f"PostgreSQL does not answer: {error}", hint="Is it running, and is MILLWRIGHT_ADMIN_DATABASE_URL right?"
        ) from error
    engine = create_engine(_sqlalchemy_url(admin_url))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
            connection.commit()
            return _step(connection, revision)
    finally:
        engine.dispose()


def _step(connection: Connection, revision: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    if revision.startswith("down:"):
        command.downgrade(config, revision.removeprefix("down:"))
    else:
        command.upgrade(config, revision)
    connection.exec_driver_sql(f"GRANT SELECT ON alembic_version TO {APP_ROLE}")
    connection.commit()
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return str(row[0]) if row else "base"


def _app_password(app_url: str) -> str | None:
    parts = urlsplit(app_url)
    if parts.username != APP_ROLE:
        raise InvalidInput(
            f"DATABASE_URL is of the role `{parts.username}`; the product works as `{APP_ROLE}`.",
            hint=f"Give postgresql://{APP_ROLE}:<password>@host:port/database; the role is made with that password.",
            field="DATABASE_URL",
        )
    return unquote(parts.password) if parts.password is not None else None


def _ensure_role(connection: psycopg.Connection, password: str | None) -> None:
    found = connection.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = %s", (APP_ROLE,)).fetchone()
    role = sql.Identifier(APP_ROLE)
    if found is None:
        try:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS").format(role))
        except psycopg.errors.DuplicateObject:
            found = (False, False)
        except psycopg.errors.InsufficientPrivilege as error:
            raise InvalidInput(
                f"The migrating role may not create the role {APP_ROLE}.",
                hint=f"Let an administrator run: CREATE ROLE {APP_ROLE} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '...'",
                field="MILLWRIGHT_ADMIN_DATABASE_URL",
            ) from error
    if found is not None and any(found):
        raise InvalidInput(
            f"The role {APP_ROLE} is a superuser or bypasses row-level security.",
            hint=f"Run: ALTER ROLE {APP_ROLE} NOSUPERUSER NOBYPASSRLS",
            field="DATABASE_URL",
        )
    if password is not None and not _works(connection, password):
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))


def _works(connection: psycopg.Connection, password: str) -> bool:
    """Whether the role can log in already: an owner that may not alter it then need not."""
    info = connection.info
    try:
        with psycopg.connect(
            host=info.host, port=info.port, dbname=info.dbname, user=APP_ROLE, password=password, connect_timeout=5
        ):
            return True
    except psycopg.OperationalError:
        return False


def _sqlalchemy_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return url if "+" in scheme else f"postgresql+psycopg://{rest}"
