"""What every table of the record shares: names of constraints, closed words, the organization's mark.

A table with `TENANT` is under forced row-level security (migrations/sql/0001/security.sql); every other one is a
system table, and docs/record.md says why.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, DateTime, Float, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TENANT: dict[str, Any] = {"tenant": True}
"""`info` of a table whose rows belong to one organization (`org_id`) and are seen by it alone."""


def uuid(name: str, *args: Any, nullable: bool = False, **more: Any) -> Column[Any]:
    return Column(name, UUID(as_uuid=True), *args, nullable=nullable, **more)


def org_id() -> Column[Any]:
    """Without a foreign key where rows are written often: each would lock the organization's one row."""
    return uuid("org_id")


def text(name: str, *args: Any, nullable: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Text, *args, nullable=nullable, **more)


def document(name: str, *, nullable: bool = False, **more: Any) -> Column[Any]:
    return Column(name, JSONB, nullable=nullable, **more)


def moment(name: str, *, nullable: bool = False, **more: Any) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable, **more)


def money(name: str, *, nullable: bool = True, **more: Any) -> Column[Any]:
    """US dollars; null is unknown, never zero."""
    return Column(name, Numeric(20, 10), nullable=nullable, **more)


def seconds(name: str, *, nullable: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Float(53), nullable=nullable, **more)


def one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    """The CHECK of a closed word list; a null passes. tests/adapters/store/test_words.py compares both sides."""
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column, info={"column": column, "words": words})
