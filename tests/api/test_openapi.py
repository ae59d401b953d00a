"""The OpenAPI document is complete: every operation is told, with its errors and examples."""

from pathlib import Path
from typing import Any

import pytest_asyncio

from api.problems import KIND_OF
from tests.api.served import Served


@pytest_asyncio.fixture
async def document(api: Served) -> dict[str, Any]:
    answer = await api.client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, each) for path, methods in document["paths"].items() for method, each in methods.items()]


async def test_every_operation_is_described_and_documents_its_errors(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation.get("description"), f"{method} {path} says nothing"
        if path in ("/healthz", "/readyz"):
            continue
        assert {"401", "503"} <= set(operation["responses"]), f"{method} {path}"
        assert operation["security"], f"{method} {path}"
        if method == "post":
            assert {"403", "413", "422"} <= set(operation["responses"]), f"{method} {path}"
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, f"{method} {path} {status}"


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [each for value in node.values() for each in references(value)]
        return [each for value in node for each in references(value)] if isinstance(node, list) else []

    missing = {each for each in references(document) if each.rsplit("/", 1)[-1] not in schemas}
    assert missing == set()
    assert "HTTPValidationError" not in schemas, "our errors are problem documents"
    for name in ("Problem", "StartBody", "CancelBody"):
        assert schemas[name]["examples"], name


async def test_the_kinds_of_problems_are_in_the_docs() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
    assert [kind for kind in KIND_OF.values() if f"`{kind}`" not in text] == []
