"""The application: routes, errors, boundary and what runs beside them. Everything it touches comes in `Deps`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from api import errors
from api.boundary import Boundary
from api.deps import Background, Deps
from api.problems import Problem
from api.routes import artifacts, events, health, metrics, operations, runs, setup
from api.web.pages import login, now, run, run_list, start
from api.web.pages import operations as operations_page
from api.web.render import STATIC

log = structlog.get_logger("api")

ROUTERS = (runs.router, events.router, artifacts.router, operations.router, setup.router, metrics.router, health.router)
PAGES = (login.router, now.router, run_list.router, start.router, run.router, operations_page.router)
RESTART_SECONDS = 2.0
"""A background task that failed is started again after this long."""


def create_app(deps: Deps) -> FastAPI:
    """Production and tests alike; `deps` from api/wiring.py."""
    app = FastAPI(
        title="Millwright",
        summary="Durable LLM and coding-agent pipelines on repositories.",
        description="Errors are RFC 9457 problem documents. See docs/api.md.",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.deps = deps
    errors.install(app)
    for router in ROUTERS:
        app.include_router(router)
    for router in PAGES:
        app.include_router(router, include_in_schema=False)
    app.mount("/ui/static", GZipMiddleware(_Static(directory=STATIC)))
    app.add_middleware(Boundary, host_names=deps.settings.host_names, max_body_bytes=deps.settings.max_body_bytes)
    _document_problems(app)
    return app


class _Static(StaticFiles):
    """Addresses carry a content hash, so that a browser may keep a file for good."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_cacheable(message: object) -> None:
            assert isinstance(message, dict)
            if message["type"] == "http.response.start" and message["status"] == 200:
                fresh = b"public, max-age=31536000, immutable" if scope["query_string"] else b"no-cache"
                message["headers"] = [*message["headers"], (b"cache-control", fresh)]
            await send(message)

        await super().__call__(scope, receive, send_cacheable)


def _document_problems(app: FastAPI) -> None:
    """OpenAPI: every documented error names the one Problem schema; FastAPI's own validation shape is not ours."""
    generate = app.openapi

    def with_problems() -> dict[str, object]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = with_problems  # type: ignore[method-assign]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    deps: Deps = app.state.deps
    tasks = [asyncio.create_task(_keep_running(name, work), name=name) for name, work in deps.background.items()]
    try:
        yield
    finally:
        deps.stream.stopping.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_running(name: str, work: Background) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("background_failed", task=name)
        await asyncio.sleep(RESTART_SECONDS)
