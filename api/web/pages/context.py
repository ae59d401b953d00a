"""What every page of a signed-in person is given."""

from typing import Any

from fastapi.responses import HTMLResponse

from api.deps import SignedIn
from api.web.render import page
from domain.identity.words import Role


def signed_in_page(template: str, caller: SignedIn, here: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """`here` is the address of the menu's entry that the page belongs to."""
    return page(
        template,
        {
            "principal": caller.principal,
            "csrf_token": caller.csrf_token,
            "can_operate": caller.principal.role.allows(Role.OPERATOR),
            "here": here,
            **context,
        },
        status=status,
    )
