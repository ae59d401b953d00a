"""The first organization, its admin, the machine's API key and a policy. Safe to repeat."""

import secrets
from uuid import UUID

from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import Database
from adapters.store.identity import PostgresAccounts
from domain.base import Frozen
from domain.errors import NotFound
from domain.identity.words import Role
from domain.models.policy import Policy, ProviderKind, ProviderSettings

LOCAL_KEY = "local"
"""Name of the key that the command line of this machine uses."""
ACTOR = "bootstrap"


class Wanted(Frozen):
    """What there should be."""

    organization: str = "default"
    login: str = "admin"
    providers: tuple[ProviderSettings, ...] = ()
    """Providers that the environment names, beside the scripted one."""
    default_model: str | None = None
    """`provider:model` for every role."""
    reissue: bool = False
    """Make a new key and password also when there are some: the old ones are lost."""


class Bootstrapped(Frozen):
    """Secrets are only in it when they were made now."""

    organization: str
    organization_id: UUID
    login: str
    api_key: str | None = None
    password: str | None = None


async def bootstrap(database: Database, wanted: Wanted) -> Bootstrapped:
    catalogue, accounts = PostgresCatalogue(database), PostgresAccounts(database)
    try:
        org_id = await catalogue.organization(wanted.organization)
    except NotFound:
        org_id = await accounts.create_organization(wanted.organization)
    await _policy(catalogue, org_id, wanted)
    made = Bootstrapped(organization=wanted.organization, organization_id=org_id, login=wanted.login)
    if not wanted.reissue and await _has_key(database, org_id):
        return made
    password = secrets.token_urlsafe(18)
    user_id = await accounts.save_user(org_id, wanted.login, Role.ADMIN, password=password)
    if await _has_key(database, org_id):
        await accounts.revoke_api_keys(org_id, LOCAL_KEY)
    key = await accounts.create_api_key(org_id, LOCAL_KEY, Role.ADMIN, user_id=user_id)
    return made.model_copy(update={"api_key": key, "password": password})


async def _has_key(database: Database, org_id: UUID) -> bool:
    found = await database.one(
        "SELECT true FROM api_key WHERE org_id = %s AND name = %s AND revoked_at IS NULL LIMIT 1", org_id, LOCAL_KEY
    )
    return found is True


async def _policy(catalogue: PostgresCatalogue, org_id: UUID, wanted: Wanted) -> None:
    """The scripted provider from the start; a named one is added when the policy does not know it, and follows an
    endpoint that is named with the same credential. Nothing else of what an admin set is touched."""
    policy = await catalogue.policy(org_id)
    named = {provider.name: provider for provider in wanted.providers}
    missing = [each for each in (_scripted(), *named.values()) if policy.provider(each.name) is None]
    providers = (*(_at_endpoint(known, named.get(known.name)) for known in policy.providers), *missing)
    models = {"default": wanted.default_model} if wanted.default_model else {}
    if providers != policy.providers or not models.items() <= policy.default_models.items():
        changed = {"providers": providers, "default_models": {**policy.default_models, **models}}
        await catalogue.save_policy(org_id, Policy.model_validate(policy.model_dump() | changed), actor=ACTOR)


def _at_endpoint(known: ProviderSettings, named: ProviderSettings | None) -> ProviderSettings:
    if named is None or named.base_url is None or known.credential != named.credential:
        return known
    return known.model_copy(update={"base_url": named.base_url})


def _scripted() -> ProviderSettings:
    return ProviderSettings(
        name="scripted", kind=ProviderKind.SCRIPTED, price_in_usd_per_million=0, price_out_usd_per_million=0
    )
