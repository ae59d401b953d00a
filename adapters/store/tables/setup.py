"""What an organization sets up before it runs anything: policy, workspaces, pipelines."""

from sqlalchemy import Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, UniqueConstraint

from adapters.store.tables.base import TENANT, document, metadata, moment, text, uuid

provider_policy = Table(
    "provider_policy",
    metadata,
    uuid("org_id", ForeignKey("organization.id")),
    Column("version", Integer, nullable=False),
    document("document"),
    text("actor"),
    moment("created_at"),
    PrimaryKeyConstraint("org_id", "version"),
    info=TENANT,
)
"""Every version is kept; the highest is the one that holds."""

workspace = Table(
    "workspace",
    metadata,
    uuid("id", primary_key=True),
    uuid("org_id", ForeignKey("organization.id")),
    text("name"),
    text("repo_path"),
    text("test_command", nullable=True),
    text("setup_command", nullable=True),
    document("setup_inputs"),
    document("env"),
    document("allowed_remotes"),
    document("mcp_servers", server_default="[]"),
    document("models", server_default="{}"),
    moment("created_at"),
    UniqueConstraint("org_id", "name"),
    Index(None, "org_id", "repo_path"),
    info=TENANT,
)

pipeline_version = Table(
    "pipeline_version",
    metadata,
    uuid("id", primary_key=True),
    uuid("org_id", ForeignKey("organization.id")),
    text("name"),
    text("content_hash"),
    document("document"),
    document("phase_kinds"),
    moment("published_at"),
    UniqueConstraint("org_id", "name", "content_hash"),
    Index(None, "org_id", "name", "published_at"),
    info=TENANT,
)
"""`phase_kinds`: {phase: kind}, so that SQL need not know the pipeline's shape."""
