"""What workspaces keep for all of their runs."""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table

from adapters.store.tables.base import TENANT, document, metadata, moment, org_id, text, uuid

base_pack = Table(
    "base_pack",
    metadata,
    org_id(),
    uuid("workspace_id"),
    text("base_commit"),
    text("sha256"),
    Column("size_bytes", BigInteger, nullable=False),
    moment("created_at"),
    PrimaryKeyConstraint("workspace_id", "base_commit"),
    info=TENANT,
)
"""A base commit with its files and without its history, in the artifact store. Written once."""

baseline = Table(
    "baseline",
    metadata,
    org_id(),
    uuid("workspace_id"),
    text("base_tree"),
    text("key"),
    document("document"),
    moment("created_at"),
    PrimaryKeyConstraint("workspace_id", "base_tree", "key"),
    info=TENANT,
)
"""What a verification command says of a base tree (domain.runs.baseline.Baseline); `key`: of command and set-up."""
