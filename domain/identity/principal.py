"""Who asks: the answer of every way to log in."""

from uuid import UUID

from domain.base import Frozen
from domain.identity.words import Role


class Principal(Frozen):
    """A user or an API key, in one organization."""

    org_id: UUID
    organization: str
    actor: str
    """What the record shows: a login, or `key:<name>`."""
    role: Role
    user_id: UUID | None = None
