"""A route that FastAPI documents and that takes its request apart by itself.

For each request, FastAPI finds out again what the endpoint's signature asks for. That takes nearly
as much CPU time as to read a small image and to ask Triton about it.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_Query = TypeVar("_Query", bound=BaseModel)


def direct(answer: Callable[[Request], Awaitable[Response]]) -> type[APIRoute]:
    """Return a class of route: its endpoint's signature is the documentation, `answer` answers."""

    class DirectRoute(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] not in (self.methods or ()):
                await super().handle(scope, receive, send)  # Which says that it is not allowed.
                return
            response = await answer(Request(scope, receive, send))
            await response(scope, receive, send)

    return DirectRoute


def read_query(model: type[_Query], request: Request) -> _Query:
    """Read the parameters of a request's query.

    Raises:
        RequestValidationError: they do not fit.
    """
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        invalid = error.errors(include_context=False)
        problems = [{**problem, "loc": ("query", *problem["loc"])} for problem in invalid]
        raise RequestValidationError(problems) from None
