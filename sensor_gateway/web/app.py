"""The wearer's page as an ASGI application, and the server that runs it inside the gateway or alone.

    app = create_app(store_path, hub, settings, SystemClock(), on_command=gateway.on_command)
    await serve(app, settings.web.host, settings.web.port)

``hub`` is the gateway's live hub; None serves what the store holds, polled once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from processing.rules.study import Study
from sensor_gateway.clock import Clock
from sensor_gateway.commands.command import OnCommand
from sensor_gateway.config import Settings
from sensor_gateway.live import LiveHub
from sensor_gateway.status.refusals import Refusals
from sensor_gateway.web.api import ERRORS, Api
from sensor_gateway.web.api_coaching import CoachingApi
from sensor_gateway.web.api_review import ReviewApi
from sensor_gateway.web.api_setup import OnGuidance, SetupApi
from sensor_gateway.web.desk import Desk
from sensor_gateway.web.guard import Guard, PageLimits
from sensor_gateway.web.reports import Reports
from sensor_gateway.web.sign_in import SignIn
from sensor_gateway.web.source import Source
from sensor_gateway.web.tokens import Tokens

MAX_CONNECTIONS: Final = 200
MAX_HEAD_BYTES: Final = 16 * 1024
STATIC: Final = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may open the page, how much one client may ask, and where refusals are counted."""

    tokens: Tokens | None = None
    refusals: Refusals = field(default_factory=lambda: Refusals("page"))
    limits: PageLimits = field(default_factory=PageLimits)


def create_app(
    store_path: str | Path,
    hub: LiveHub | None,
    settings: Settings,
    clock: Clock,
    on_command: OnCommand | None = None,
    study: Study | None = None,
    guidance: OnGuidance | None = None,
    access: Access | None = None,
) -> Starlette:
    """The page of this gateway's wearers. The store at ``store_path`` is opened read-only when it first exists.

    ``on_command`` takes the wearer's answers and neutral captures; without it both are refused with 503. ``study``
    gives the programme, quiet hours, and the time after which an unanswered prompt is no longer offered; ``guidance`` says how
    a wearer's running step of the guided set-up goes. ``access``: tokens and limits; without it whoever reaches the page is
    wearer and therapist in one.
    """
    access = access or Access()
    wearers = tuple(dict.fromkeys(s.wearer for s in settings.sensors))
    source = Source(Path(store_path), hub, clock, wearers, (study or Study()).prompt.expire_s)
    fan = hub or LiveHub()
    desk = Desk(source, study or Study(), on_command)
    api = Api(desk, fan, settings.site.timezone)
    entries = [
        *CoachingApi(desk).routes(),
        *ReviewApi(desk).routes(),
        *SetupApi(desk, guidance or (lambda _: None)).routes(),
        *Reports(desk, settings.site.timezone).routes(),
        *(SignIn(access.tokens).routes() if access.tokens else ()),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        source.close()

    app = Starlette(
        routes=[*api.routes(), *entries, Mount("/", StaticFiles(directory=STATIC, html=True))],
        middleware=[
            Middleware(Guard, settings.web, access.tokens, access.refusals, access.limits),
            Middleware(GZipMiddleware, minimum_size=1000),
        ],
        exception_handlers=ERRORS,
        lifespan=lifespan,
    )
    app.state.hub = fan
    return app


class PageServer(uvicorn.Server):
    """uvicorn that leaves the process's signals to whoever runs it, and says when it listens."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: Starlette,
    host: str,
    port: int,
    on_ready: Callable[[str], None] | None = None,
    tls: tuple[Path, Path] | None = None,
) -> None:
    """Serve until cancelled, then end open streams and stop. Port 0 takes a free one; ``on_ready`` gets the address.

    Where all addresses of the machine are listened on, that is its name in the home's network, which a phone can open.
    ``tls`` are certificate and key. Raises ``OSError`` naming the address when it is taken, or the files that fail.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, for asyncio switches Nagle's delay off only then: 40 ms for each answer on a kept connection.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as e:
            raise OSError(
                e.errno, f"the page cannot listen on {host}:{port} ({e.strerror}); choose another 'web.port'"
            ) from None
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        if ip_address(listener.getsockname()[0]).is_unspecified:
            name = socket.gethostname()
            shown = name if "." in name else f"{name}.local"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
            proxy_headers=False,  # who asks is who connects: a header could say anything
            ws="none",
            http="h11",  # the one that bounds a request's head
        )
        try:
            config.load()
        except OSError as e:
            raise OSError(f"keys 'web.certificate', 'web.key': {e.strerror or e}; give both as PEM") from None
        server = PageServer(config)
        serving = asyncio.ensure_future(server.serve([listener]))
        if on_ready:
            listener.listen()
            on_ready(f"http{'s' if tls else ''}://{shown}:{listener.getsockname()[1]}/")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            app.state.hub.close()
            await serving
            raise
