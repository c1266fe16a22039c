"""The reports over HTTP, beside the wearer's page: ``GET /report/day`` and ``GET /report/week``."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from processing.types import NS_PER_S
from sensor_gateway.report.figures import day_figures, week_figures
from sensor_gateway.report.page import content_policy, day_page, week_page
from sensor_gateway.web.desk import Desk


class Reports:
    """The two pages, bound to the desk of the wearer's page."""

    def __init__(self, desk: Desk, timezone: str) -> None:
        self._desk, self._source, self._timezone = desk, desk.source, timezone

    def routes(self) -> list[Route]:
        return [Route("/report/day", self.day), Route("/report/week", self.week)]

    async def day(self, request: Request) -> Response:
        return await run_in_threadpool(self._page, request, await self._desk.wearer(request), week=False)

    async def week(self, request: Request) -> Response:
        return await run_in_threadpool(self._page, request, await self._desk.wearer(request), week=True)

    def _page(self, request: Request, wearer: str, *, week: bool) -> Response:
        query = request.query_params
        now_ns = self._source.clock.utc_ns()
        try:
            zone = ZoneInfo(query.get("tz") or self._timezone)
            asked = query.get("day")
            day = (
                date.fromisoformat(asked)
                if asked
                else datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(zone).date()
            )
        except (KeyError, ValueError, OSError):
            raise HTTPException(400, "Use tz=Area/City and day=YYYY-MM-DD, e.g. tz=Europe/Berlin.") from None
        store = self._source.store()
        if store is None:
            raise HTTPException(404, "Nothing is stored yet; wear the clip for a while, then open the report again.")
        if week:
            html = week_page(week_figures(store, wearer, day, zone), zone, now_ns)
        else:
            html = day_page(day_figures(store, wearer, day, zone), zone, now_ns)
        return HTMLResponse(html, headers={"content-security-policy": content_policy(), "cache-control": "no-store"})
