"""Who asks: users, API keys, sessions. Only hashes are stored.

An API key or session token is 256 random bits, so a plain SHA-256 is enough; passwords are hashed with Argon2.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from psycopg.errors import UniqueViolation
from uuid6 import uuid7

from adapters.store.database import Connection, Database
from domain.errors import Conflict, InvalidInput, NotFound
from domain.identity.principal import Principal
from domain.identity.words import Role

KEY_PREFIX = "mw_"
"""Makes a leaked key easy to find by secret scanners."""
SESSION_SECONDS = 12 * 3600.0
KEY_USE_SECONDS = 60.0
"""`last_used_at` is written at most this often."""
SHORTEST_PASSWORD = 12

_hasher = PasswordHasher()


class PostgresAccounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_api_key(self, key: str) -> Principal | None:
        async with self._database.system() as connection:
            row = await _row(
                connection,
                "SELECT k.org_id, o.name, 'key:' || k.name, k.role, k.user_id, k.id,"
                " coalesce(k.last_used_at < clock_timestamp() - make_interval(secs => %s), true)"
                " FROM api_key k JOIN organization o ON o.id = k.org_id LEFT JOIN app_user u ON u.id = k.user_id"
                " WHERE k.key_sha256 = %s AND k.revoked_at IS NULL AND u.disabled_at IS NULL",
                KEY_USE_SECONDS,
                _sha256(key),
            )
            if row is None:
                return None
            if row[6]:
                await connection.execute("UPDATE api_key SET last_used_at = clock_timestamp() WHERE id = %s", (row[5],))
        return _principal(row)

    async def by_session(self, token: str) -> Principal | None:
        async with self._database.system() as connection:
            row = await _row(
                connection,
                "SELECT s.org_id, o.name, u.login, m.role, u.id"
                " FROM login_session s JOIN organization o ON o.id = s.org_id JOIN app_user u ON u.id = s.user_id"
                " JOIN membership m ON m.org_id = s.org_id AND m.user_id = s.user_id"
                " WHERE s.token_sha256 = %s AND s.expires_at > clock_timestamp() AND u.disabled_at IS NULL",
                _sha256(token),
            )
        return _principal(row) if row else None

    async def log_in(self, login: str, password: str) -> tuple[str, Principal] | None:
        """A new session's token with its principal, in the user's oldest organization."""
        async with self._database.system() as connection:
            row = await _row(
                connection,
                "SELECT m.org_id, o.name, u.login, m.role, u.id, u.password_hash"
                " FROM app_user u JOIN membership m ON m.user_id = u.id JOIN organization o ON o.id = m.org_id"
                " WHERE u.login = %s AND u.disabled_at IS NULL ORDER BY o.created_at LIMIT 1",
                login.replace("\x00", ""),
            )
        stored = row[5] if row and row[5] else None
        right = await asyncio.to_thread(_matches, stored, password)
        if row is None or stored is None or not right:
            return None
        principal = _principal(row)
        token = secrets.token_urlsafe(32)
        async with self._database.system() as connection:
            await connection.execute(
                "INSERT INTO login_session (token_sha256, org_id, user_id, created_at, expires_at) VALUES"
                " (%s, %s, %s, clock_timestamp(), clock_timestamp() + make_interval(secs => %s))",
                (_sha256(token), principal.org_id, principal.user_id, SESSION_SECONDS),
            )
        return token, principal

    async def log_out(self, token: str) -> None:
        async with self._database.system() as connection:
            await connection.execute("DELETE FROM login_session WHERE token_sha256 = %s", (_sha256(token),))

    async def create_organization(self, name: str) -> UUID:
        """Raises Conflict when the name is taken."""
        org_id = uuid7()
        try:
            async with self._database.system() as connection:
                await connection.execute(
                    "INSERT INTO organization (id, name, created_at) VALUES (%s, %s, clock_timestamp())", (org_id, name)
                )
        except UniqueViolation:
            raise Conflict(
                f"There is an organization `{name}` already.", hint="Choose another name.", field="name"
            ) from None
        return org_id

    async def save_user(self, org_id: UUID, login: str, role: Role, *, password: str | None) -> UUID:
        """Makes the user, or sets the role and (when given) the password of the one with this login."""
        if password is not None and len(password) < SHORTEST_PASSWORD:
            raise InvalidInput(
                f"The password is shorter than {SHORTEST_PASSWORD} characters.",
                hint="Take a longer one.",
                field="password",
            )
        hashed = await asyncio.to_thread(_hasher.hash, password) if password is not None else None
        async with self._database.system() as connection:
            row = await _row(
                connection,
                "INSERT INTO app_user (id, login, password_hash, created_at) VALUES (%s, %s, %s, clock_timestamp())"
                " ON CONFLICT (login) DO UPDATE"
                " SET password_hash = coalesce(excluded.password_hash, app_user.password_hash) RETURNING id",
                uuid7(),
                login,
                hashed,
            )
            assert row is not None, "an upsert returns its row"
            await connection.execute(
                "INSERT INTO membership (org_id, user_id, role) VALUES (%s, %s, %s)"
                " ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role",
                (org_id, row[0], role),
            )
            if password is not None:
                await connection.execute("DELETE FROM login_session WHERE user_id = %s", (row[0],))
        user_id: UUID = row[0]
        return user_id

    async def create_api_key(self, org_id: UUID, name: str, role: Role, *, user_id: UUID | None = None) -> str:
        """The key, which is never shown again."""
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        async with self._database.system() as connection:
            await connection.execute(
                "INSERT INTO api_key (id, org_id, user_id, name, role, key_sha256, hint, created_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, clock_timestamp())",
                (uuid7(), org_id, user_id, name, role, _sha256(key), key[-4:]),
            )
        return key

    async def revoke_api_keys(self, org_id: UUID, name: str) -> None:
        """Every key of this name. Raises NotFound when there is none in use."""
        async with self._database.system() as connection:
            cursor = await connection.execute(
                "UPDATE api_key SET revoked_at = clock_timestamp()"
                " WHERE org_id = %s AND name = %s AND revoked_at IS NULL",
                (org_id, name),
            )
            if cursor.rowcount == 0:
                raise NotFound(f"There is no API key `{name}` in use.", hint="Look at the list of keys.", field="name")


async def _row(connection: Connection, query: str, *arguments: object) -> Sequence[Any] | None:
    return await (await connection.execute(query.encode(), arguments)).fetchone()


def _principal(row: Sequence[Any]) -> Principal:
    names = ("org_id", "organization", "actor", "role", "user_id")
    return Principal.model_validate(dict(zip(names, row[:5], strict=True)))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _matches(stored: str | None, password: str) -> bool:
    """An unknown login takes as long as a known one."""
    nobody = _nobody()
    try:
        return _hasher.verify(stored or nobody, password)
    except (Argon2Error, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    """What the password of an unknown login is compared with. Made with the first login, as dear as a login itself."""
    return _hasher.hash(secrets.token_urlsafe(16))
