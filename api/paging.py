"""Query parameters of a list: limit and offset for the first pages, a cursor for deep ones."""

from typing import Annotated

from fastapi import Query

from domain.errors import InvalidInput

MAX_OFFSET = 10_000
MAX_LIMIT = 500

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Lines on this page.")]
Offset = Annotated[
    int, Query(ge=0, description=f"Lines left out before it; at most {MAX_OFFSET:,}. Deeper pages need `cursor`.")
]
Cursor = Annotated[
    str | None, Query(max_length=500, description="`next_cursor` of the page before; instead of `offset`.")
]


def check_paging(offset: int, cursor: str | None) -> None:
    """Raises InvalidInput that names the field."""
    if offset > MAX_OFFSET:
        raise InvalidInput(
            f"offset is {offset:,}; it may be {MAX_OFFSET:,} at most.",
            hint="Go on with `cursor=<next_cursor of the page before>`, or narrow the list by status.",
            field="offset",
        )
    if cursor is not None and offset:
        raise InvalidInput("Give `offset` or `cursor`, not both.", hint="Leave `offset` out.", field="cursor")
