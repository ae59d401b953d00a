"""What a message holds in OpenAI's formats: a text, or parts, of which text is all that can be carried across."""

from adapters.gateway.reading import items, obj, text
from adapters.gateway.untranslatable import Refusals


def joined_text(content: object, path: str, refusals: Refusals, *, kinds: tuple[str, ...]) -> str:
    """The text of all parts of these kinds; any other kind is refused by name."""
    if isinstance(content, str) or content is None:
        return text(content)
    found: list[str] = []
    for index, part in enumerate(map(obj, items(content))):
        if part.get("type") in kinds:
            found.append(text(part.get("text")) or text(part.get("refusal")))
        else:
            refusals.add(f"{path}[{index}] of type {part.get('type')}")
    return "\n".join(found)
