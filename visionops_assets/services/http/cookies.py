"""The cookie with the API key of a page of ours, and the rule of who may use it.

Scripts cannot read it (HttpOnly), pages of other sites cannot make the browser send it
(SameSite=Strict), and it goes only to the API (its path). A browser takes all ports of a host for
one site, which shares its cookies. So a request must also say that it comes from a page of this
origin.
"""

from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from visionops_assets.errors import ForbiddenError

NAME = "visionops_key"
PATH = "/v1/"
CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})


def key_in_cookie(request: Request) -> str | None:
    """Return the key in the cookie of a request, or None without one.

    Raises:
        ForbiddenError: another page than ours sent the request.
    """
    key = request.cookies.get(NAME)
    if key is not None:
        check_same_origin(request)
    return key


def check_same_origin(request: Request) -> None:
    """Refuse a request that a page of another origin sends, or makes the browser send.

    On HTTPS and on loopback, browsers say in `Sec-Fetch-Site` where a request comes from. Elsewhere
    there is `Origin`, which every request that changes something has.

    Raises:
        ForbiddenError: it comes from another origin, or does not say where from.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_ours = site == "same-origin"
    elif origin is not None:
        is_ours = urlsplit(origin).netloc == request.headers.get("host")
    else:
        is_ours = request.method in CHANGES_NOTHING
    if not is_ours:
        raise ForbiddenError(
            "Only the page of this service may use its sign-in. Programs send an API key, as "
            "`Authorization: Bearer KEY`."
        )


def keep(response: Response, request: Request, key: SecretStr, lifetime: timedelta) -> None:
    """Let the browser keep a key. If it came over HTTPS, also by a proxy, it goes only there."""
    origin = request.headers.get("origin", "")
    response.set_cookie(
        NAME,
        key.get_secret_value(),
        max_age=int(lifetime.total_seconds()),
        path=PATH,
        secure=request.url.scheme == "https" or origin.startswith("https:"),
        httponly=True,
        samesite="strict",
    )


def forget(response: Response) -> None:
    """Let the browser forget the key."""
    response.delete_cookie(NAME, path=PATH, httponly=True, samesite="strict")
