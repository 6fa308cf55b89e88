"""Text that may hold secrets, made fit to be shown. Logs, answers and messages go by here.

Three degrees: `masked` for a camera's address, any part of it may be secret; `redacted` for text
that operators read; `for_clients` for text that anybody may read.
"""

import re

HIDDEN = "***"

# DOTALL: an address is one, whatever is in it.
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.IGNORECASE
)
_USER = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):")
# The words that paths of cameras are made of. Any other word may be a password.
_PLAIN_SEGMENT = re.compile(
    r"(?:(?:stream(?:s|ing|ing-?channels)?|live|ch|channels?|cam(?:era)?s?|main|sub|media|video|"
    r"profile|h26[45]|mp4|mpeg4?|m?jpe?g|mjpg|unicast|multicast|axis-media|onvif(?:-media)?|"
    r"track|trackid|index|isapi|cgi-bin)[-_]?)?\d{0,3}(?:\.(?:m3u8|mjpe?g|mjpg|jpe?g|sdp|amp|mp4|ts|"
    r"cgi))?",
    re.IGNORECASE,
)

# Bounded where a regular expression would try each length of name from each position.
_NAME = (
    r"(?P<name>(?:pass(?:w(?:or)?d|phrase|code)?|pwd|pswd|secret|token|(?:api|access|private)[_-]?key"
    r"|credentials?|signature|auth)\w{0,8})"
)
_VALUE = r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
_NAMED_SECRETS = tuple(
    re.compile(expression + _VALUE, re.IGNORECASE)
    for expression in (
        rf"{_NAME}(?P<is>[\"']?\s?=\s?|[\"']\s?:\s?)",
        # A colon alone also stands in sentences ("did not pass: ..."), so only after a noun.
        r"(?P<name>passw(?:or)?d|pwd|secret|token|api[ _-]?key)(?P<is>:\s?)",
    )
)
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,15})://(?P<rest>[^\s\"'<>`|]*)", re.IGNORECASE)
_SECRET_IN_PATH = re.compile(rf"{_NAME}=.*", re.IGNORECASE)
_HEADER = re.compile(r"(?P<name>\b(?:bearer|basic|digest))\s[^\s,\"']{8,}", re.IGNORECASE)
_OWN_KEY = re.compile(r"(?P<prefix>vo_[a-z0-9]{8})_[A-Za-z0-9_-]+")

# Most lines of a log hold none of these, and looking once is cheap.
_HINT = re.compile(r"[=:]|vo_|bearer|basic|digest", re.IGNORECASE)

_WORD = re.compile(r"[^\s\"'<>`|,;()]+")
_LONGEST_WORD = 200
_PLACE = re.compile(
    r"://"
    r"|^[~.]{0,2}/[^/]+/"  # a path
    r"|\w\.(?:c|cc|cpp|cxx|cu|h|hpp|py|pyx|rs|go|so)\b"  # a source file
    r"|\d{1,3}(?:\.\d{1,3}){3}"  # IPv4
    r"|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}"  # IPv6
    r"|[a-z0-9]:\d{2,5}$",  # host:port
    re.IGNORECASE,
)


def masked(address: str) -> str:
    """Return the address of a camera fit to be shown: its host, and a path of plain words.

    A password may stand before the host, in the query or, as cameras have it, in the path
    (`/user=admin&password=...`, `/live/admin/...`). So nothing is shown that is not known to be
    harmless. The address of a file is shown whole.
    """
    if address.startswith("file:"):
        return address
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return HIDDEN
    scheme = match["scheme"]
    before_at, at, after = match["rest"].rpartition("@")
    if re.search(r"[/?#]", before_at):
        # The @ ends a password, or lies in a path: what follows it may be a secret too.
        return f"{scheme}://{HIDDEN}"
    # A name without a password may be a token.
    user = _USER.match(before_at)
    credentials = (f"{user['name']}:{HIDDEN}@" if user else f"{HIDDEN}@") if at else ""
    host, path, rest = _parted(after)
    shown = host if _HOST.fullmatch(host) else HIDDEN
    return f"{scheme}://{credentials}{shown}{_plain_path(path)}{rest and f'?{HIDDEN}'}"


def redacted(text: str) -> str:
    """Return text without the credentials in it: for logs, the command line, Dagster, the catalog.

    Passwords in addresses, values named like a secret (`password=...`, `"token": ...`), headers
    of authorization, and API keys. A server's address stays: its operator needs it.
    """
    if not _HINT.search(text):
        return text
    if "://" in text:
        text = _URL.sub(_without_secrets, text)
    text = _OWN_KEY.sub(rf"\g<prefix>_{HIDDEN}", text)
    text = _HEADER.sub(rf"\g<name> {HIDDEN}", text)
    for named in _NAMED_SECRETS:
        text = named.sub(_without_value, text)
    return text


def for_clients(text: str) -> str:
    """Return text without credentials, addresses of servers, and paths of this machine."""
    return _WORD.sub(_without_place, redacted(text))


def without_credentials(address: str) -> str:
    """Return the address of a server without name and password, still fit for use."""
    scheme, separator, rest = address.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _parted(after: str) -> tuple[str, str, str]:
    """Split what follows the credentials: host, path, and the rest from ? or # on."""
    before_query, _, _ = re.sub(r"[?#]", "\0", after).partition("\0")
    host, slash, path = before_query.partition("/")
    return host, slash + path, after[len(before_query) :]


def _plain_path(path: str) -> str:
    is_plain = all(map(_PLAIN_SEGMENT.fullmatch, path.split("/")))
    return path if is_plain else f"/{HIDDEN}"


def _without_secrets(url: re.Match[str]) -> str:
    scheme, rest = url["scheme"], url["rest"]
    if scheme.lower() in {"rtsp", "rtsps"}:
        return masked(url[0])
    _, at, after = rest.rpartition("@")
    host, path, query = _parted(after)
    credentials = f"{HIDDEN}@" if at else ""
    path = _SECRET_IN_PATH.sub(rf"\g<name>={HIDDEN}", path)
    return f"{scheme}://{credentials}{host}{path}{query and f'?{HIDDEN}'}"


def _without_value(match: re.Match[str]) -> str:
    quote = match["value"][0] if match["value"][0] in "\"'" else ""
    return f"{match['name']}{match['is']}{quote}{HIDDEN}{quote}"


def _without_place(match: re.Match[str]) -> str:
    # A word that ends with two colons may be an address of IPv6; one is the sentence's.
    word = match[0].rstrip(".")
    word = word if word.endswith("::") else word.rstrip(".:")
    if len(word) <= _LONGEST_WORD and not _PLACE.search(word):
        return match[0]
    return f"{HIDDEN}{match[0][len(word) :]}"
