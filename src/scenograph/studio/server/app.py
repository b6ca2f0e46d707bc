"""The routes of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from scenograph.errors import UserError
from scenograph.studio.server.notes import notes_caught
from scenograph.studio.server.pages import page_files
from scenograph.studio.server.problems import ServiceError, of_status, of_validation
from scenograph.studio.server.schemas import (
    ChecksAsked,
    ChecksReply,
    CropsAsked,
    CropsReply,
    DescriptionReply,
    ErrorReply,
    ExportAsked,
    HealthReply,
    Id,
    JobAsked,
    JobReply,
    LabelMapAsked,
    LabelMapReply,
    LayoutAsked,
    ModelsReply,
    OriginalLabelMapAsked,
    PictureAsked,
    PictureReply,
    RecordAsked,
    RecordReply,
    RefineAsked,
    SceneAsked,
    SceneReply,
    SearchAsked,
    SearchReply,
    SketchesAsked,
    SketchesReply,
    TextAsked,
    VocabularyReply,
)
from scenograph.studio.server.security import LOOPBACK, Guard
from scenograph.studio.server.service import CLOSING, Service
from scenograph.version import __version__

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": about}
    for status, about in {
        400: "The scene or the body is wrong.",
        409: "A newer request of the same session replaced this one.",
        413: "Too large.",
        422: "The request has another form.",
        429: "The queue is full: ask again after Retry-After seconds.",
        503: "The service is shutting down.",
    }.items()
}
FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}, "description": "The file."}}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "queued, progress, preview, then done or failed."}
}


def create_app(service: Service, hosts: Iterable[str] | None = LOOPBACK, token: str | None = None) -> Guard:
    """The service as an ASGI application.

    Args:
        service: Is started and closed with the application.
        hosts: Names under which clients may ask for it; None for any, which only a token makes safe.
        token: What clients must know, if anything.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with notes_caught(service.offer.paths):
            service.start()
            yield
            service.close(CLOSING)

    app = FastAPI(
        title="Scenograph studio",
        version=__version__,
        description="Scene graphs, layouts and text to pictures.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_errors(app, service)
    _add_models(app, service)
    _add_scenes(app, service)
    _add_pictures(app, service)
    _add_label_maps(app, service)
    _add_jobs(app, service)
    _add_service(app, service)
    return Guard(app, service.metrics, hosts, token)


def _add_errors(app: FastAPI, service: Service) -> None:
    """One form for all errors."""

    @app.exception_handler(ServiceError)
    @app.exception_handler(UserError)
    async def refused(request: Request, error: Exception) -> JSONResponse:
        return service.problem(error).response()

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return of_validation(error).response()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        return of_status(error.status_code, str(error.detail)).response()

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return service.problem(error).response()


def _add_models(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", responses=ERRORS)
    async def models(request: Request) -> ModelsReply:
        """What can be asked for, by id."""
        return await service.at_desk(lambda _: service.offer.describe(), None, request)

    @app.get("/v1/vocabulary", responses=ERRORS)
    async def vocabulary(
        request: Request,
        layout: Annotated[Id | None, Query()] = None,
        image: Annotated[Id | None, Query()] = None,
    ) -> VocabularyReply:
        """The names that scenes may use, of a pair of models."""
        return await service.at_desk(lambda _: service.offer.describe_names(layout, image), None, request)


def _add_scenes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/texts", responses=ERRORS)
    async def texts(asked: TextAsked, request: Request) -> SceneReply:
        """A text as a scene."""
        return await service.at_desk(service.scenes.text, asked, request)

    @app.post("/v1/descriptions", responses=ERRORS)
    async def descriptions(asked: SceneAsked, request: Request) -> DescriptionReply:
        """A scene in words."""
        return await service.at_desk(service.scenes.description, asked, request)

    @app.post("/v1/checks", responses=ERRORS)
    async def checks(asked: ChecksAsked, request: Request) -> ChecksReply:
        """Contradictions with their smallest repair, unknown categories, and which relations the boxes show."""
        return await service.at_desk(service.scenes.checks, asked, request)

    @app.post("/v1/refine", responses=ERRORS)
    async def refine(asked: RefineAsked, request: Request) -> SceneReply:
        """Boxes moved as little as needed so that every spatial relation holds."""
        return await service.at_desk(service.scenes.refine, asked, request)

    @app.post("/v1/records", responses=ERRORS)
    async def records(asked: RecordAsked, request: Request) -> RecordReply:
        """What a picture was made from."""
        return await service.at_desk(service.scenes.record, asked, request)

    @app.post("/v1/crops", responses=ERRORS)
    async def crops(asked: CropsAsked, request: Request) -> CropsReply:
        """Crops of a memory for an object."""
        return await service.by_model(service.scenes.crops, asked, request)

    @app.post("/v1/search", responses=ERRORS)
    async def search(asked: SearchAsked, request: Request) -> SearchReply:
        """Scenes of a collection like one."""
        return await service.by_model(service.scenes.search, asked, request)

    @app.post("/v1/sketches", responses=ERRORS)
    async def sketches(asked: SketchesAsked, request: Request) -> SketchesReply:
        """What a sketch may show."""
        return await service.by_model(service.sketches.names, asked, request)


def _add_pictures(app: FastAPI, service: Service) -> None:
    @app.post("/v1/layouts", responses=ERRORS)
    async def layouts(asked: LayoutAsked, request: Request) -> SceneReply:
        """The scene with a box for every object."""
        return await service.layout(asked, request)

    @app.post("/v1/pictures", responses=ERRORS)
    async def pictures(asked: PictureAsked, request: Request) -> PictureReply:
        """A picture of the scene; objects without boxes are placed."""
        return await service.picture(asked, request)

    @app.post("/v1/exports", responses=ERRORS | FILE, response_class=Response)
    async def exports(asked: ExportAsked, request: Request) -> Response:
        """A file of the scene: layers, annotations, drawings or the scene itself."""
        made = await service.export(asked, request)
        headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
        return Response(made.content, headers=headers, media_type=made.media_type)


def _add_label_maps(app: FastAPI, service: Service) -> None:
    @app.post("/v1/label-maps", responses=ERRORS)
    async def label_maps(asked: LabelMapAsked, request: Request) -> LabelMapReply:
        """The picture of a label map, by a SPADE model."""
        return await service.by_model(service.label_maps.picture, asked, request)

    @app.post("/", responses=ERRORS, response_class=JSONResponse)
    async def original(asked: OriginalLabelMapAsked, request: Request) -> JSONResponse:
        """The same in the form of Scene Designer's service: numbers (1, 3, H, W) in [-1, 1]."""
        return JSONResponse(await service.by_model(service.label_maps.numbers, asked, request))


def _add_jobs(app: FastAPI, service: Service) -> None:
    @app.post("/v1/jobs", responses=ERRORS)
    async def begin(asked: JobAsked, request: Request) -> JobReply:
        """Begin work whose progress is to be watched."""
        return JobReply(id=(await service.begin(asked, request)).id)

    @app.get("/v1/jobs/{job}/events", responses=ERRORS | EVENTS, response_class=StreamingResponse)
    async def events(job: str) -> StreamingResponse:
        """The events of a job, from the first on."""
        return StreamingResponse(service.jobs.find(job).events(), media_type="text/event-stream")

    @app.delete("/v1/jobs/{job}", responses=ERRORS)
    async def cancel(job: str) -> JobReply:
        """Cancel a job."""
        service.cancel(job)
        return JobReply(id=job)


def _add_service(app: FastAPI, service: Service) -> None:
    pages = page_files()

    @app.get("/healthz")
    async def health() -> HealthReply:
        """Whether the service works."""
        return HealthReply(status="closing" if service.closing else "ok", ready=service.ready)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """What was done, for Prometheus."""
        return PlainTextResponse(service.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return pages["docs.html"].response(request)

    @app.get("/{path:path}", include_in_schema=False)
    async def page(path: str, request: Request) -> Response:
        found = pages.get(path or "index.html")
        if found is None and not path:
            found = pages["docs.html"]
        if found is None:
            raise ServiceError(404, "not_found", "there is nothing at this address")
        return found.response(request)
