"""The pure decision before `begin_call`: may this model be called under this policy, and on which terms."""

from domain.base import Frozen
from domain.models.messages import CallScope, Message, ToolSpec
from domain.models.policy import Policy, ProviderSettings, check
from domain.models.ports import CallTerms
from domain.models.prices import PriceTable, estimated_tokens_in, reservation
from domain.runs.failure import ErrorKind, PhaseError


class Admitted(Frozen):
    provider: ProviderSettings
    terms: CallTerms


def admit(
    policy: Policy,
    prices: PriceTable,
    scope: CallScope,
    model: str,
    messages: tuple[Message, ...],
    max_output_tokens: int,
    tools: tuple[ToolSpec, ...] = (),
) -> Admitted | PhaseError:
    """The provider and terms for `provider:model`, or why not and what to do."""
    provider = check(policy, model)
    if isinstance(provider, PhaseError):
        return provider
    bare = model.partition(":")[2]
    tokens_in = estimated_tokens_in(messages, tools)
    reserve = reservation(prices, provider, bare, tokens_in, max_output_tokens, policy_version=policy.version)
    if reserve is None and (policy.monthly_usd is not None or scope.run_usd is not None):
        whose = "the run" if scope.run_usd is not None else "the organization"
        return PhaseError(
            kind=ErrorKind.POLICY_BLOCKED,
            message=f"Model `{model}` has no known price, and {whose} has a money limit.",
            hint=f"State `price_in_usd_per_million` and `price_out_usd_per_million` for provider `{provider.name}` in "
            "the policy (0 for a local model), choose a model with a known price, or take the money limit away.",
        )
    return Admitted(
        provider=provider,
        terms=CallTerms(
            provider=provider.name,
            model=bare,
            policy_version=policy.version,
            requests_per_minute=provider.requests_per_minute,
            tokens_per_minute=provider.tokens_per_minute,
            concurrent=provider.concurrent,
            monthly_usd=policy.monthly_usd,
            reserve_tokens=tokens_in + max_output_tokens,
            reserve_usd=reserve,
        ),
    )
