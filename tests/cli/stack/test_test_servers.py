"""The servers that every other test stands on."""

import psycopg
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from cli.stack.postgres import Postgres
from cli.stack.temporal import TemporalServer
from tests.support.databases import Database


def test_the_server_is_a_recent_postgres_with_utf8(postgres_server: Postgres) -> None:
    with psycopg.connect(postgres_server.admin_url()) as connection:
        assert connection.info.server_version >= 180_000
        assert connection.execute("SELECT upper('ä€')").fetchone() == ("Ä€",)


def test_an_empty_database_has_no_table(empty_database: Database) -> None:
    with psycopg.connect(empty_database.admin_url) as connection:
        count = connection.execute("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
        assert count.fetchone() == (0,)


async def test_temporal_keeps_closed_workflows_for_thirty_days(temporal_server: TemporalServer) -> None:
    client = await Client.connect(temporal_server.address)
    answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    assert answer.config.workflow_execution_retention_ttl.ToTimedelta().days == 30
