"""The gateway's page: a picture in, an answer out. Its files are in `page/`, and need no build."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import FileResponse, Response

from visionops_assets.services.http.api_pages import NO_SNIFFING

FOLDER = Path(__file__).with_name("page")
FILES_PATH = "/page"
# After an upgrade no old script may be used: browsers ask each time whether it has changed.
_HEADERS = {**NO_SNIFFING, "Cache-Control": "no-cache"}
_PAGE_HEADERS = {
    **_HEADERS,
    # `blob:` is a picture that was just chosen, or a frame that was just made.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _Files(StaticFiles):
    """The page's scripts and styles, checked for changes each time."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Answer with a file, or say that it has not changed."""
        response = super().file_response(*arguments, **options)
        response.headers.update(_HEADERS)
        return response


def add_page(app: FastAPI) -> None:
    """Add the page at `/`. It holds no secret: the API asks for the key."""
    app.mount(FILES_PATH, _Files(directory=FOLDER))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(FOLDER / "index.html", headers=_PAGE_HEADERS)
