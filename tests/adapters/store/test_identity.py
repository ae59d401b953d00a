"""Keys, sessions, passwords: found by their hash, never stored."""

import json
from uuid import UUID

import pytest

from adapters.store.bootstrap import Wanted, bootstrap
from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import open_database
from adapters.store.identity import PostgresAccounts
from domain.errors import Conflict, InvalidInput, NotFound
from domain.identity.words import Role
from domain.models.policy import Policy, ProviderKind, ProviderSettings
from tests.adapters.store.record import Record
from tests.support.databases import Database, migrate

PASSWORD = "correct horse battery"


async def test_an_api_key_is_found_until_it_is_revoked(record: Record) -> None:
    accounts = PostgresAccounts(record.database)
    key = await accounts.create_api_key(record.org_id, "ci", Role.OPERATOR)

    found = await accounts.by_api_key(key)

    assert found is not None
    assert (found.org_id, found.actor, found.role) == (record.org_id, "key:ci", Role.OPERATOR)
    assert await accounts.by_api_key(key + "x") is None
    assert key not in json.dumps(record.rows("SELECT * FROM api_key"), default=str)
    await accounts.revoke_api_keys(record.org_id, "ci")
    assert await accounts.by_api_key(key) is None
    with pytest.raises(NotFound):
        await accounts.revoke_api_keys(record.org_id, "ci")


async def test_a_session_begins_with_the_right_password_and_ends_with_log_out(record: Record) -> None:
    accounts = PostgresAccounts(record.database)
    await accounts.save_user(record.org_id, "ada", Role.VIEWER, password=PASSWORD)

    assert await accounts.log_in("ada", "wrong") is None
    assert await accounts.log_in("bob\x00", PASSWORD) is None
    session = await accounts.log_in("ada", PASSWORD)

    assert session is not None
    token, principal = session
    assert (principal.actor, principal.role, principal.organization) == ("ada", Role.VIEWER, record.org)
    assert await accounts.by_session(token) == principal
    stored = json.dumps(record.rows("SELECT * FROM login_session, app_user"), default=str)
    assert token not in stored and PASSWORD not in stored
    await accounts.log_out(token)
    assert await accounts.by_session(token) is None


async def test_sessions_end_by_time_by_a_new_password_and_with_the_user(record: Record) -> None:
    accounts = PostgresAccounts(record.database)
    await accounts.save_user(record.org_id, "ada", Role.ADMIN, password=PASSWORD)

    async def new_token() -> str:
        session = await accounts.log_in("ada", PASSWORD)
        assert session is not None
        return session[0]

    token = await new_token()
    record.rows("UPDATE login_session SET expires_at = now() RETURNING 1")
    assert await accounts.by_session(token) is None
    token = await new_token()
    await accounts.save_user(record.org_id, "ada", Role.ADMIN, password=PASSWORD)
    assert await accounts.by_session(token) is None
    token = await new_token()
    record.rows("UPDATE app_user SET disabled_at = now() RETURNING 1")
    assert await accounts.by_session(token) is None
    assert await accounts.log_in("ada", PASSWORD) is None


async def test_a_short_password_and_a_taken_name_are_refused(record: Record) -> None:
    accounts = PostgresAccounts(record.database)
    with pytest.raises(InvalidInput):
        await accounts.save_user(record.org_id, "ada", Role.ADMIN, password="short")
    with pytest.raises(Conflict):
        await accounts.create_organization(record.org)


@pytest.mark.parametrize(("has", "needs"), [(Role.VIEWER, Role.OPERATOR), (Role.OPERATOR, Role.ADMIN)])
def test_roles_allow_what_those_before_them_may(has: Role, needs: Role) -> None:
    assert needs.allows(has) and has.allows(has) and not has.allows(needs)


async def test_bootstrap_makes_what_is_missing_and_tells_secrets_once(record: Record) -> None:
    provider = ProviderSettings(name="openai", kind=ProviderKind.OPENAI_COMPATIBLE, credential="env:KEY")
    wanted = Wanted(organization="first", providers=(provider,), default_model="openai:gpt-5-mini")

    made = await bootstrap(record.database, wanted)
    again = await bootstrap(record.database, wanted)

    accounts = PostgresAccounts(record.database)
    assert made.api_key is not None and made.password is not None
    principal = await accounts.by_api_key(made.api_key)
    assert principal is not None and principal.role is Role.ADMIN and principal.organization == "first"
    assert await accounts.log_in("admin", made.password) is not None
    assert (again.api_key, again.password) == (None, None)
    policy = await record.catalogue.policy(made.organization_id)
    assert (policy.version, [p.name for p in policy.providers]) == (1, ["scripted", "openai"])
    assert policy.default_models == {"default": "openai:gpt-5-mini"}

    reissued = await bootstrap(record.database, wanted.model_copy(update={"reissue": True}))
    assert reissued.api_key is not None and await accounts.by_api_key(reissued.api_key) is not None
    assert await accounts.by_api_key(made.api_key) is None


async def test_a_policy_changes_by_versions_and_never_over_anothers_change(record: Record) -> None:
    first = await record.catalogue.save_policy(record.org_id, Policy(version=0), actor="ada")
    assert first.version == 1
    with pytest.raises(Conflict):
        await record.catalogue.save_policy(record.org_id, Policy(version=0), actor="bob")
    assert (await record.catalogue.policy(record.org_id)).version == 1


async def test_the_command_prints_one_line_with_the_secrets_once(empty_database: Database) -> None:
    local = ("--provider", "local", "--provider-url", "http://x")
    claude = ("--provider", "anthropic", "--provider-kind", "anthropic", "--provider-credential", "env:KEY")
    made = migrate(empty_database.admin_url, empty_database.app_url, *local, *claude)
    async with open_database(empty_database.app_url, max_connections=1) as database:
        policy = await PostgresCatalogue(database).policy(UUID(made["organization_id"]))
    assert [(each.name, each.kind.value, each.base_url, each.credential) for each in policy.providers[1:]] == [
        ("local", "openai_compatible", "http://x", None),
        ("anthropic", "anthropic", None, "env:KEY"),
    ]
    assert made["event"] == "store.migrated"
    assert made["api_key"].startswith("mw_") and made["password"] and made["organization"] == "default"
    again = migrate(empty_database.admin_url, empty_database.app_url)
    assert again["api_key"] is None and again["organization_id"] == made["organization_id"]


async def test_a_provider_follows_the_endpoint_that_is_named(record: Record) -> None:
    catalogue = PostgresCatalogue(record.database)
    provider = ProviderSettings(name="openai", kind=ProviderKind.OPENAI_COMPATIBLE, credential="env:KEY")
    first = await bootstrap(record.database, Wanted(organization="third", providers=(provider,)))
    moved = provider.model_copy(update={"base_url": "http://127.0.0.1:1/v1"})
    await bootstrap(record.database, Wanted(organization="third", providers=(moved,)))
    await bootstrap(record.database, Wanted(organization="third", providers=(provider,)))
    policy = await catalogue.policy(first.organization_id)
    assert policy.version == 2
    assert policy.provider("openai") == moved
