"""The service apart from HTTP: queues, works and jobs, and how a route waits for its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from scenograph.errors import UserError
from scenograph.studio.server.exports import WITHOUT_MODELS, ExportedFile, export_drawn, export_scene
from scenograph.studio.server.jobs import Job, Jobs
from scenograph.studio.server.label_maps import LabelMapWork
from scenograph.studio.server.limits import read_scene
from scenograph.studio.server.metrics import Metrics
from scenograph.studio.server.offer import Offer
from scenograph.studio.server.picture_work import PictureWork, Task
from scenograph.studio.server.problems import ServiceError, of_user_error, of_validation
from scenograph.studio.server.scene_work import SceneWork
from scenograph.studio.server.schemas import (
    ExportAsked,
    JobAsked,
    JobKind,
    LayoutAsked,
    PictureAsked,
    PictureReply,
    RefineAsked,
    SceneReply,
)
from scenograph.studio.server.sketch_work import SketchWork
from scenograph.studio.server.work_queue import Ticket, WorkQueue, one_by_one

log = logging.getLogger(__name__)

MOST_WAITING = 64
"""Requests that wait in each queue."""
LONGEST = 120.0
"""Seconds after which a request that is not answered is given up."""
CLOSING = 15.0
"""Seconds that work which has been taken up may take to finish at the end."""
KINDS: dict[JobKind, type[BaseModel]] = {"picture": PictureAsked, "layout": LayoutAsked, "refine": RefineAsked}
Asked = TypeVar("Asked")
Reply = TypeVar("Reply")


class Service:
    """Two threads: one runs models, the other answers what needs none and reads requests for the first.

    Args:
        offer: The models.
        most_waiting: Requests that may wait in each queue.
    """

    def __init__(self, offer: Offer, most_waiting: int = MOST_WAITING) -> None:
        self.offer, self.metrics, self.jobs = offer, Metrics(), Jobs()
        self.desk, self.models = (WorkQueue(name, most_waiting, self.metrics) for name in ("desk", "models"))
        self.scenes, self.drawing, self.label_maps = SceneWork(offer), PictureWork(offer), LabelMapWork(offer)
        self.sketches = SketchWork(offer)
        self.closing = False
        self._first: Ticket | None = None

    def start(self) -> None:
        """Start the threads, and load the models that the page begins with."""
        self.desk.start()
        self.models.start()
        self._first = self.models.put(Ticket(one_by_one(lambda _: self.offer.load_first()), None))
        self._first.future.add_done_callback(_say_if_failed)

    def close(self, seconds: float = 0.0) -> None:
        """Refuse what waits and what comes, and wait for what has been taken up."""
        self.closing = True
        self.desk.close(seconds)
        self.models.close(seconds)

    @property
    def ready(self) -> bool:
        """Whether the first models are loaded."""
        return self._first is not None and self._first.future.done()

    def metrics_text(self) -> str:
        """For Prometheus."""
        return self.metrics.text({queue.name: len(queue) for queue in (self.desk, self.models)})

    async def at_desk(self, work: Callable[[Asked], Reply], asked: Asked, request: Request) -> Reply:
        """What the desk's thread answers."""
        found: Reply = await self._answer(self.desk, Ticket(one_by_one(work), asked), request)
        return found

    async def by_model(self, work: Callable[[Asked], Reply], asked: Asked, request: Request) -> Reply:
        """What the model thread answers."""
        found: Reply = await self._answer(self.models, Ticket(one_by_one(work), asked), request)
        return found

    async def layout(self, asked: LayoutAsked, request: Request) -> SceneReply:
        """A scene with all boxes."""
        ticket = self._layout_ticket(asked, await self.at_desk(self.drawing.prepare, asked, request))
        found: SceneReply = await self._answer(self.models, ticket, request)
        return found

    async def picture(self, asked: PictureAsked, request: Request) -> PictureReply:
        """A picture."""
        task = await self.at_desk(self.drawing.prepare, asked, request)
        ticket = Ticket(self.drawing.pictures, task, task.together, _session("picture", asked.session))
        found: PictureReply = await self._answer(self.models, ticket, request)
        found.milliseconds.wait = round(1000 * ticket.waited)
        return found

    async def export(self, asked: ExportAsked, request: Request) -> ExportedFile:
        """A file."""
        if asked.kind in WITHOUT_MODELS:
            return await self.at_desk(lambda one: export_scene(one.kind, read_scene(one.scene)), asked, request)
        task = await self.at_desk(self.drawing.prepare, asked, request)
        return await self.by_model(lambda one: export_drawn(asked.kind, *self.drawing.encoded(one)), task, request)

    async def begin(self, asked: JobAsked, request: Request) -> Job:
        """Begin a job."""
        try:
            inner = KINDS[asked.kind].model_validate(asked.request)
        except ValidationError as error:
            raise of_validation(error, "request") from error
        job = Job()
        self.jobs.add(job)
        try:
            queue, job.ticket = await self._job_ticket(job, inner, request)
            queue.put(job.ticket)
        except BaseException:
            self.jobs.forget(job)
            raise
        job.ticket.future.add_done_callback(lambda future: self._finish(job, future))
        return job

    def cancel(self, name: str) -> None:
        """Cancel a job. Raises ``ServiceError`` if there is none."""
        job = self.jobs.find(name)
        job.cancel()
        if (ticket := job.ticket) is not None:
            self.desk.cancel(ticket)
            self.models.cancel(ticket)

    def problem(self, error: BaseException) -> ServiceError:
        """The answer for an exception; what is not the client's fault is logged."""
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, UserError):
            return of_user_error(error, self.offer.paths)
        log.error("a request failed", exc_info=error)
        return ServiceError(500, "internal", "the service failed; its log says why")

    def _layout_ticket(self, asked: LayoutAsked, task: Task) -> Ticket:
        return Ticket(self.drawing.layouts, task, task.together, _session("layout", asked.session))

    async def _job_ticket(self, job: Job, asked: BaseModel, request: Request) -> tuple[WorkQueue, Ticket]:
        """The ticket of a job, and the queue that it is for."""
        if isinstance(asked, RefineAsked):
            ticket, queue = Ticket(one_by_one(self.scenes.refine), asked), self.desk
        else:
            assert isinstance(asked, LayoutAsked | PictureAsked)
            task, queue = await self.at_desk(self.drawing.prepare, asked, request), self.models
            if isinstance(asked, LayoutAsked):
                ticket = self._layout_ticket(asked, task)
            else:
                watched = one_by_one(lambda one: self.drawing.watched(one, job.say, job.check))
                ticket = Ticket(watched, task, session=_session("picture", asked.session))
        ticket.moved = lambda place: job.say("queued", {"position": place})
        return queue, ticket

    def _finish(self, job: Job, future: Future[Any]) -> None:
        """Tell a job's last event, and let its scene go, which may be large."""
        ticket, job.ticket = job.ticket, None
        if future.cancelled():
            return  # which who cancelled it told
        if (error := future.exception()) is not None:
            job.say("failed", self.problem(error).body)
            return
        reply = future.result()
        if isinstance(reply, PictureReply) and ticket is not None:
            reply.milliseconds.wait = round(1000 * ticket.waited)
        job.say("done", reply.model_dump())

    async def _answer(self, queue: WorkQueue, ticket: Ticket, request: Request) -> Any:
        """The result of a ticket; it leaves the queue if the client vanishes, or after :data:`LONGEST`."""
        queue.put(ticket)
        future = asyncio.wrap_future(ticket.future)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # as nobody else may ask for it
        gone = asyncio.ensure_future(_vanished(request))
        try:
            await asyncio.wait({future, gone}, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
            if future.done() and not future.cancelled():
                return future.result()
            if gone.done():
                raise ServiceError(499, "vanished", "the client closed the connection")
            raise ServiceError(504, "too_slow", f"no answer within {LONGEST:g} s; ask for less, or begin a job")
        except (ServiceError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise self.problem(error) from error
        finally:
            gone.cancel()
            if not future.done():
                queue.cancel(ticket)


def _say_if_failed(loaded: Future[Any]) -> None:
    if (error := loaded.exception()) is not None and not isinstance(error, ServiceError):  # which says it is the end
        log.error("the models that the page begins with cannot be loaded", exc_info=error)


async def _vanished(request: Request) -> None:
    """Returns when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _session(kind: str, session: str | None) -> tuple[str, str] | None:
    return None if session is None else (kind, session)
