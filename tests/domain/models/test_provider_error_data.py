"""The error table against real error shapes that lie beside the project (make data-test)."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.models.provider_errors import classify
from domain.models.retry_after import retry_after

SHAPES = Path(__file__).resolve().parents[4] / "shared" / "data" / "provider_errors" / "errors.jsonl"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHAPES.is_file(), reason="no ../shared/data/provider_errors beside the project"),
]


def test_every_labelled_shape_gets_its_kind_and_waiting_time() -> None:
    wrong = []
    for line in SHAPES.read_text().splitlines():
        shape = json.loads(line)
        body = shape["body"] if isinstance(shape["body"], str) else json.dumps(shape["body"])
        found = classify(shape["status"], shape["headers"], body)
        waits = retry_after(shape["headers"], body, datetime.now(UTC))
        expected = shape["expected"]
        if found is None or found.kind.value != expected["category"] or waits != expected["retry_after_s"]:
            wrong.append((shape["id"], found, waits, expected))
    assert not wrong
