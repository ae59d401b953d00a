"""The servers that tests share: one PostgreSQL and one Temporal per pytest process, started on first use.

`database` is fresh for each test, `module_database` for each module, both already migrated; `empty_database` has no
table. All children die with pytest, also when it is killed.
"""

from collections.abc import Generator, Iterator

import pytest

from cli.stack.ports import any_free
from cli.stack.postgres import Postgres
from cli.stack.temporal import TemporalServer
from tests.support import no_skips
from tests.support.databases import Database, make_template, new_database
from tests.support.scratch import scratch_folder
from tests.support.temporal_program import temporal_program


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if no_skips.running_in_ci():
        no_skips.fail_instead_of_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if no_skips.running_in_ci():
        no_skips.fail_instead_of_skip(report)
    return report


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """An empty server; `admin_url(database)` and `app_url(database)` give addresses."""
    with (
        scratch_folder("postgres") as folder,
        Postgres(folder / "postgres", any_free(), fast=True, data_root=folder).running() as server,
    ):
        yield server


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: Postgres) -> str:
    return make_template(postgres_server)


@pytest.fixture
def database(postgres_server: Postgres, _migrated_template: str) -> Iterator[Database]:
    """A migrated database for one test."""
    with new_database(postgres_server, _migrated_template) as made:
        yield made


@pytest.fixture(scope="module")
def module_database(postgres_server: Postgres, _migrated_template: str) -> Iterator[Database]:
    """A migrated database shared by the tests of one module."""
    with new_database(postgres_server, _migrated_template) as made:
        yield made


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[Database]:
    """A database without tables, for tests of the migrations themselves."""
    with new_database(postgres_server) as made:
        yield made


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[TemporalServer]:
    """A real server in memory with the local stack's settings; `.address` is host:port, `.binary` the CLI."""
    with scratch_folder("temporal") as folder:
        server = TemporalServer(binary=temporal_program(), port=any_free(), folder=folder, metrics_port=any_free())
        with server.running():
            yield server
