"""Signing in to the page: a plain form, ``POST /api/sign-in {token}`` for a cookie, ``POST /api/sign-out``.

The form lies beside this file and not among the page's static files: the service worker must not keep it.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from sensor_gateway.web.desk import body_of
from sensor_gateway.web.tokens import COOKIE, Tokens

FILES = Path(__file__).parent
WRONG = "This token is not known here. Ask whoever set up your gateway for yours."


class SignInBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/sign-in``."""

    token: str


class SignIn:
    """The handlers, for a page that has tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [
            Route("/sign-in", lambda _: FileResponse(FILES / "sign_in.html")),
            Route("/sign-in.js", lambda _: FileResponse(FILES / "sign_in.js")),
            Route("/api/sign-in", self.sign_in, methods=["POST"]),
            Route("/api/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def sign_in(self, request: Request) -> Response:
        body = await body_of(request, SignInBody)
        who = self._tokens.by_secret(body.token.strip())
        if who is None:
            request.state.refusals.note("sign-in", request.state.client, "a wrong token")
            raise HTTPException(403, WRONG)
        value, lasts_s = self._tokens.cookie(who, int(time.time()))
        answer = JSONResponse({"role": who.role, "wearer": who.wearer})
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, value, lasts_s, path="/", secure=secure, httponly=True, samesite="strict")
        return answer

    async def sign_out(self, request: Request) -> Response:
        answer = JSONResponse({"signed_out": True})
        answer.delete_cookie(COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict")
        return answer
