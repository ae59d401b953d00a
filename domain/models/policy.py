"""An organization's policy for model calls, and the pure decision on it."""

from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import Field

from domain.base import Frozen
from domain.runs.failure import ErrorKind, PhaseError


class ProviderKind(StrEnum):
    SCRIPTED = "scripted"
    OPENAI_COMPATIBLE = "openai_compatible"
    ANTHROPIC = "anthropic"


class ProviderSettings(Frozen):
    """One provider of an organization. Secrets are references, never values."""

    name: str
    """The prefix in `provider:model`."""
    kind: ProviderKind
    base_url: str | None = None
    credential: str | None = None
    """`env:NAME` or `file:PATH`; None where the endpoint needs none."""
    speaks_responses: bool | None = None
    """Whether an `openai_compatible` endpoint has the responses API, for agents behind the gateway; None: OpenAI
    itself has, others have not."""
    enabled: bool = True
    allowed_models: tuple[str, ...] = ("*",)
    denied_models: tuple[str, ...] = ()
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent: int | None = Field(default=None, ge=1)
    price_in_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """States a price where the price table has none (a scripted or local model: 0)."""
    price_out_usd_per_million: Decimal | None = Field(default=None, ge=0)


class Policy(Frozen):
    """Version counts up with each change; `begin_call` compares it."""

    version: int
    providers: tuple[ProviderSettings, ...] = ()
    monthly_usd: Decimal | None = None
    default_models: dict[str, str] = {}
    """Role or stage -> `provider:model`; the key `default` is for every other one (domain.models.choice)."""

    def provider(self, name: str) -> ProviderSettings | None:
        return next((p for p in self.providers if p.name == name), None)


def check(policy: Policy, model: str) -> ProviderSettings | PhaseError:
    """The provider that may answer `provider:model`, or why not and what to do."""
    name, _, bare = model.partition(":")
    provider = policy.provider(name)
    known = ", ".join(sorted(p.name for p in policy.providers if p.enabled)) or "none"
    if provider is None:
        return PhaseError(
            kind=ErrorKind.POLICY_BLOCKED,
            message=f"The organization's policy has no provider `{name}` (asked for `{model}`).",
            hint=f"Choose a model of an allowed provider ({known}), or let an admin add `{name}`.",
        )
    if not provider.enabled:
        return PhaseError(
            kind=ErrorKind.POLICY_BLOCKED,
            message=f"Provider `{name}` is switched off for this organization.",
            hint=f"Choose a model of an allowed provider ({known}), or let an admin switch it on.",
        )
    allowed = any(fnmatchcase(bare, pattern) for pattern in provider.allowed_models)
    if not allowed or any(fnmatchcase(bare, pattern) for pattern in provider.denied_models):
        return PhaseError(
            kind=ErrorKind.POLICY_BLOCKED,
            message=f"Model `{bare}` of provider `{name}` is not allowed by the organization's policy.",
            hint=f"Allowed: {_listed(provider.allowed_models)}; denied: {_listed(provider.denied_models)}.",
        )
    return provider


def _listed(patterns: tuple[str, ...]) -> str:
    return ", ".join(patterns) or "none"
