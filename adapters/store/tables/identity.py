"""Who may do what. System tables: they are read before the organization is known."""

from sqlalchemy import ForeignKey, Index, PrimaryKeyConstraint, Table

from adapters.store.tables.base import metadata, moment, one_of, text, uuid
from domain.identity.words import Role

organization = Table(
    "organization",
    metadata,
    uuid("id", primary_key=True),
    text("name", unique=True),
    moment("created_at"),
)

app_user = Table(
    "app_user",
    metadata,
    uuid("id", primary_key=True),
    text("login", unique=True),
    text("password_hash", nullable=True),
    moment("created_at"),
    moment("disabled_at", nullable=True),
)

membership = Table(
    "membership",
    metadata,
    uuid("org_id", ForeignKey("organization.id")),
    uuid("user_id", ForeignKey("app_user.id")),
    text("role"),
    PrimaryKeyConstraint("org_id", "user_id"),
    one_of("role", Role),
    Index(None, "user_id"),
)

api_key = Table(
    "api_key",
    metadata,
    uuid("id", primary_key=True),
    uuid("org_id", ForeignKey("organization.id")),
    uuid("user_id", ForeignKey("app_user.id"), nullable=True),
    text("name"),
    text("role"),
    text("key_sha256", unique=True),
    text("hint"),
    moment("created_at"),
    moment("last_used_at", nullable=True),
    moment("revoked_at", nullable=True),
    one_of("role", Role),
    Index(None, "org_id"),
)

login_session = Table(
    "login_session",
    metadata,
    text("token_sha256", primary_key=True),
    uuid("org_id", ForeignKey("organization.id")),
    uuid("user_id", ForeignKey("app_user.id")),
    moment("created_at"),
    moment("expires_at"),
    Index(None, "expires_at"),
)
