"""What a person should know of a run though nothing failed: on its page and in the API."""

from adapters.store.warnings import PostgresWarnings
from domain.identity.words import Role
from tests.api.recorded import Recorder
from tests.api.served import Served
from tests.api.web.test_pages import page, words

SHARED = "Not protected: Commands share this machine's network, so they can reach <ports>."


async def test_it_is_on_the_page_and_in_the_api(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    assert "To know" not in words(await page(api, f"/ui/runs/{opened.id}"))
    warnings = PostgresWarnings(recorder.database, lambda _: None)
    for _ in range(2):
        await warnings.warn(recorder.organization.id, opened.id, SHARED)
    html = await page(api, f"/ui/runs/{opened.id}")
    assert "To know Not protected: Commands share this machine&#39;s network" in words(html)
    assert "<ports>" not in html
    answer = await api.client.get(f"/runs/{opened.id}", headers=api.ours.header(Role.VIEWER))
    assert answer.json()["warnings"] == [SHARED]
