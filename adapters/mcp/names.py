"""Names of servers' tools as models see them: `<server>__<tool>`, in the letters that every provider takes."""

import re
from hashlib import sha256

MOST_CHARACTERS = 64
"""The shortest limit on a tool's name among the providers' interfaces."""
SEPARATOR = "__"
_NOT_TAKEN = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST_CHARACTERS = 8


def offered_name(server: str, tool: str) -> str:
    """The same tool has the same name in every execution. One that had to be changed (other characters, too long)
    ends with a digest of its own name, so that two tools never get one name."""
    plain = f"{server}{SEPARATOR}{_NOT_TAKEN.sub('_', tool)}"
    if plain.endswith(SEPARATOR + tool) and len(plain) <= MOST_CHARACTERS:
        return plain
    digest = sha256(tool.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{plain[: MOST_CHARACTERS - _DIGEST_CHARACTERS - 1]}_{digest}"
