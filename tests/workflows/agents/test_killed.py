"""Agents whose worker dies: the small form of the kill campaign (tests/campaigns/agent_kill.py)."""

from pathlib import Path

import pytest

from cli.stack.temporal import TemporalServer
from tests.campaigns.agent_kill import agent_kill
from tests.support.databases import Database

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(600)]


async def test_killed_at_random_points_and_taken_up_by_another_worker(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    async with agent_kill(database, temporal_server.address, tmp_path, seed=7) as campaign:
        report = await campaign.run(points=6)
    assert report.problems == []
    assert report.points >= 6 and report.runs >= 6
    assert report.elsewhere >= 1, "a worker went on with what the other one had begun"
