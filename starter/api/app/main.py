"""The API: `uvicorn app.main:app`. Its documentation is at `/docs`, and needs no network."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from driftq import DriftqError
from driftq.fastapi import driftq_router, error_answer
from fastapi import FastAPI, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from app.broker import driftq
from app.routes import runs
from app.settings import CORS_ORIGINS


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Closes the connections to the broker at the end."""
    yield
    await driftq.aclose()


app = FastAPIOffline(title="DriftQ starter", version="0.1.0", lifespan=lifespan)
app.add_middleware(
    CORSMiddleware,
    allow_origins=CORS_ORIGINS,
    allow_methods=["*"],
    allow_headers=["*"],
)

# Ours first: POST /runs, its events, replay and emit. The other routes of a run are the package's.
# An app with users passes `scope=` here, and a run of another tenant is a 404.
app.include_router(runs.router)
app.include_router(
    driftq_router(driftq, workflows=runs.WORKFLOWS, routes=("list", "get", "steps", "dlq", "cancel"))
)


@app.get("/healthz", tags=["health"])
async def healthz() -> Response:
    """Whether the app reaches its broker."""
    try:
        health = await driftq.health()
    except DriftqError as error:
        body = {"ok": False, "driftq": None, "message": str(error)}
        return JSONResponse(body, status_code=503, headers={"Retry-After": "1"})
    return JSONResponse({"ok": True, "driftq": health.model_dump()})


@app.get("/debug/dlq/peek", tags=["debug"])
async def peek_dlq(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
    """The newest open dead letters, untouched."""
    page = await driftq.list_dead_letters(limit=limit)
    return {"count": len(page.items), "items": [item.model_dump(exclude_unset=True) for item in page.items]}


@app.exception_handler(DriftqError)
async def broker_said_no(_request: Request, error: DriftqError) -> Response:
    """The broker's refusals are the app's: 404, 409, 503 …"""
    return error_answer(error)


@app.exception_handler(RequestValidationError)
async def not_valid(_request: Request, error: RequestValidationError) -> Response:
    """FastAPI's 422, with the `error` and `message` that every other refusal has."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    body = {"error": "INVALID_ARGUMENT", "message": f"{place}: {first['msg']}", "detail": error.errors()}
    return JSONResponse(jsonable_encoder(body), status_code=422)
