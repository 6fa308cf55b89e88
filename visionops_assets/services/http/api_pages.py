"""Makes the FastAPI application of each HTTP service, with its page `/docs`.

The page needs no other machine: its scripts come from the package fastapi-offline, and its
Content-Security-Policy lets it ask no other origin.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse, RedirectResponse

DOCS_PATH = "/docs"
FILES_PATH = "/docs/files"
OPERATION = "operation"
"""Tag of the routes for probes and Prometheus."""
NO_SNIFFING = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_NOTHING_ELSE = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "connect-src 'self'; style-src 'self'; img-src 'self' data:"
)

_ERRORS = """
**Errors** are problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): `detail` says
what was wrong and what to do, programs may rely on `code`.
"""


@dataclass(frozen=True)
class Tag:
    """One group of operations on the page: its name and a sentence about it."""

    name: str
    description: str


_OPERATION = Tag(OPERATION, "Whether the service is well, for probes, and its figures.")


def create_api(
    title: str,
    description: str,
    tags: Sequence[Tag] = (),
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    *,
    root_leads_to_docs: bool = True,
) -> FastAPI:
    """Build an application whose page `/docs` works without the internet.

    Args:
        title: name of the API.
        description: the facts that users of the API need first, in Markdown.
        tags: the groups of operations, in the order of the page; `operation` comes last.
        lifespan: as of `FastAPI`.
        root_leads_to_docs: whether `/` leads to `/docs`; off for a service with a page of its own.
    """
    app = FastAPI(
        title=title,
        description=description + _ERRORS,
        version=version("visionops"),
        openapi_tags=[vars(tag) for tag in (*tags, _OPERATION)],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    # Relative addresses: they hold behind a proxy that adds a prefix, too.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=title,
        swagger_js_url="docs/files/swagger-ui-bundle.js",
        swagger_css_url="docs/files/swagger-ui.css",
        swagger_favicon_url="docs/files/favicon.png",
    )
    html = bytes(page.body)
    headers = {"Content-Security-Policy": _policy(html.decode()), **NO_SNIFFING}
    app.mount(FILES_PATH, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get(DOCS_PATH, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(html, headers=headers)

    if root_leads_to_docs:
        # Somebody who opens the bare address is told what it is. Relative, too.
        @app.get("/", include_in_schema=False)
        async def root() -> RedirectResponse:
            return RedirectResponse("docs", headers=NO_SNIFFING)

    return app


def _policy(html: str) -> str:
    """Return the page's Content-Security-Policy. It allows no inline script but the page's own."""
    hashes = (hashlib.sha256(s.encode()).digest() for s in _INLINE_SCRIPT.findall(html))
    allowed = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in hashes)
    return f"{_NOTHING_ELSE}; script-src 'self' {allowed}"
