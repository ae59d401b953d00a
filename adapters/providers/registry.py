"""Every provider kind and its adapter: the one list that the composition root and the contract tests read."""

from collections.abc import Mapping
from pathlib import Path

from adapters.providers.scripted import ScriptedProvider
from domain.models.policy import ProviderKind
from domain.models.ports import ModelProvider
from domain.secrets import SecretResolver


def providers(*, scripts: Path, secrets: SecretResolver) -> Mapping[ProviderKind, ModelProvider]:
    """One adapter per kind. `scripts`: the folder of shipped scripts; `secrets` resolves credentials at each call."""
    return {ProviderKind.SCRIPTED: ScriptedProvider(scripts)}
