"""People and keys of two organizations, made through the record's own functions."""

from dataclasses import dataclass, field
from uuid import UUID

from adapters.store.bootstrap import Wanted, bootstrap
from adapters.store.database import Database
from adapters.store.identity import PostgresAccounts
from domain.identity.words import Role

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Organization:
    id: UUID
    name: str
    keys: dict[Role, str] = field(default_factory=dict)
    """Role -> API key."""

    def header(self, role: Role = Role.OPERATOR) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}


async def make_organization(database: Database, name: str) -> Organization:
    """With a policy that knows the scripted provider, a key for each role, and a user `<role>@<name>` for each."""
    made = await bootstrap(database, Wanted(organization=name, login=f"owner@{name}", default_model="scripted:demo"))
    accounts = PostgresAccounts(database)
    organization = Organization(made.organization_id, name)
    for role in Role:
        organization.keys[role] = await accounts.create_api_key(organization.id, str(role), role)
        await accounts.save_user(organization.id, f"{role}@{name}", role, password=PASSWORD)
    return organization
