"""Which provider kind speaks which format, at which address, and how it wants its key."""

from dataclasses import dataclass

from adapters.gateway.headers import Headers
from adapters.providers.anthropic import API_VERSION, messages_url
from adapters.providers.prices import OPENAI_URL
from domain.gateway.wire import WireFormat
from domain.models.policy import ProviderKind, ProviderSettings

_JSON = ("content-type", "application/json")


@dataclass(frozen=True)
class Upstream:
    """Where calls of one format go unchanged."""

    address: str
    key_header: str
    key_prefix: str = ""
    always: Headers = ()
    """Headers that the provider cannot do without, where the client sent none."""
    tells_role: bool = False
    """Role and turn go along, as with every call to such an endpoint: a scripted server answers by them."""

    def url(self, operation: str, query: str) -> str:
        below = f"/{operation}" if operation else ""
        return f"{self.address}{below}{'?' if query else ''}{query}"

    def headers(self, key: str | None, sent: Headers) -> Headers:
        names = {name for name, _ in sent}
        found = tuple((name, value) for name, value in self.always if name not in names)
        return found if key is None else (*found, (self.key_header, f"{self.key_prefix}{key}"))


def upstream(settings: ProviderSettings, format: WireFormat) -> Upstream | None:
    """None: this provider does not speak it, so that the call is translated."""
    match settings.kind, format:
        case ProviderKind.OPENAI_COMPATIBLE, WireFormat.OPENAI_CHAT:
            return _openai(settings, "/chat/completions")
        case ProviderKind.OPENAI_COMPATIBLE, WireFormat.OPENAI_RESPONSES if _speaks_responses(settings):
            return _openai(settings, "/responses")
        case ProviderKind.ANTHROPIC, WireFormat.ANTHROPIC_MESSAGES:
            version = ("anthropic-version", API_VERSION)
            return Upstream(f"{messages_url(settings)}/v1/messages", "x-api-key", always=(_JSON, version))
    return None


def _speaks_responses(settings: ProviderSettings) -> bool:
    """Most compatible servers do not; OpenAI does."""
    if settings.speaks_responses is not None:
        return settings.speaks_responses
    return (settings.base_url or OPENAI_URL).rstrip("/") == OPENAI_URL


def _openai(settings: ProviderSettings, path: str) -> Upstream:
    base = (settings.base_url or OPENAI_URL).rstrip("/")
    return Upstream(base + path, "authorization", "Bearer ", always=(_JSON,), tells_role=True)
