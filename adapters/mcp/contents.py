"""What a tool answered, as text for a model: other content is said by its type, and nothing is longer than the cap."""

import json

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

MOST_CHARACTERS = 48_000
"""Of one result: about 12,000 tokens."""


def text_of(result: CallToolResult) -> str:
    """All of a result, not yet redacted or cut."""
    said = [_block(block) for block in result.content]
    if not said and result.structured_content is not None:
        said = [json.dumps(result.structured_content, ensure_ascii=False)]
    return "\n".join(said)


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Beginning and end, with a line between them that says how much is missing."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]}\n[... {len(text) - head - tail:,} characters left out ...]\n{text[-tail:]}"


def _block(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent():
            return f"[image, {block.mime_type}, {_size(block.data)}: not shown]"
        case AudioContent():
            return f"[audio, {block.mime_type}, {_size(block.data)}: not shown]"
        case ResourceLink():
            return f"[resource {block.uri}: {block.description or block.title or block.name}]"
        case EmbeddedResource():
            return _resource(block)


def _resource(block: EmbeddedResource) -> str:
    inner = block.resource
    if isinstance(inner, BlobResourceContents):
        return f"[resource {inner.uri}, {inner.mime_type or 'of unknown type'}, {_size(inner.blob)}: not shown]"
    return f"[resource {inner.uri}]\n{inner.text}"


def _size(base64_text: str) -> str:
    return f"{len(base64_text) * 3 // 4 - base64_text[-2:].count('='):,} bytes"
