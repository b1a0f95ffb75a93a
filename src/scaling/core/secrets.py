"""Keep credentials out of what is shown, logged, raised and pickled.

Two nets, one behind the other: patterns of what looks like credentials, and the very words that this process
has learned from its environment and from the URIs that it was given, however they are written.
"""

import json
import os
import re
from base64 import b64encode
from hashlib import sha256
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
#: A single word that is shorter could be any word of ours; with its user's name before it, it is masked at any length.
SHORTEST = 6
NAMES = r"password|passwd|passphrase|pwd|secret|token|signature|credential|(?:api|access|account)[_-]?key"
_NAMED = re.compile(
    rf"((?:[?&;]user(?:name)?|(?<![a-z])(?:pass|sig)|{NAMES})(?:=|['\"]: ?)['\"]?)([^\s&;'\"]+)", re.IGNORECASE
)
_OUTSIDE = r"\s:/@='\"(\["
_PATTERNS = (
    (re.compile(r"(:/{1,2})[^/\s]\S*@"), rf"\1{HIDDEN}@"),  # up to the last @: a password may hold any character
    # A scheme that is mistyped or missing.
    (re.compile(rf"(?<![^{_OUTSIDE}])[^{_OUTSIDE}]+:[^\s/@]\S*@"), f"{HIDDEN}@"),
    (_NAMED, rf"\1{HIDDEN}"),
    (re.compile(r"\b(Basic|Bearer) [\w+/=.~-]{6,}"), rf"\1 {HIDDEN}"),
)
#: Begins the names of the environment's variables in which whole URIs wait.
VARIABLE = "SCALING_URI_"
_SECRET_VARIABLE = re.compile(r"(?:PASSWORD|PASSWD|SECRET|TOKEN|KEY)$")
_known: set[str] = set()


def mask(text: str, words: bool = True) -> str:
    """Hide all credentials in a text; what no encoding can hold is replaced.

    Args:
        words: whether the words that were learned are hidden, besides what looks like credentials; not in names
            that results are found by, which may hold such a word by chance.

    >>> mask("postgresql://me:secret@db/runs?password=other")
    'postgresql://***@db/runs?password=***'
    """
    text = _valid(text)
    for word in sorted(_known, key=len, reverse=True) if words else ():
        text = text.replace(word, HIDDEN)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def _valid(text: str) -> str:
    """Return a text with the bytes of names, which a locale could not decode, taken for UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")


def learn(uri: str) -> None:
    """Remember the credentials of a URI, well formed or not, so that `mask` knows them wherever they stand."""
    rest = re.sub(r"^[\w+.-]*:?/+", "", uri)
    for part in (rest.partition("/")[0], rest):  # a password may hold slashes, and a path an @
        userinfo, at, _ = part.rpartition("@")
        user, colon, password = userinfo.partition(":")
        if not at or "/" in user or HIDDEN in userinfo:
            continue
        _remember(password if colon else user)
        if password:
            pair = unquote(userinfo)
            _known.update({userinfo, pair, quote(pair, safe=""), b64encode(pair.encode()).decode()})
    for found in _NAMED.finditer(uri):
        _remember(found[2])


def learn_environment() -> None:
    """Remember the secrets that the environment holds: passwords, tokens, keys and URIs with credentials."""
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name):
            _remember(value)
        elif "://" in value:
            learn(value)


def _remember(word: str) -> None:
    plain = unquote(word)
    forms = {word, plain, quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1], json.dumps(plain)[1:-1]}
    _known.update(form for form in forms if len(form) >= SHORTEST)


def lift(uri: str) -> str:
    """Return a URI as it may be shown. The whole one waits in the environment, which processes inherit.

    So no config, override or pickle of a job holds credentials.
    """
    learn(uri)
    shown = mask(uri)
    if shown != uri:
        os.environ[_variable(shown)] = uri
    return shown


def restore(shown: str) -> str:
    """Return the URI that `lift` made this of."""
    return os.environ.get(_variable(shown), shown)


def _variable(shown: str) -> str:
    return f"{VARIABLE}{sha256(shown.encode('utf-8', 'replace')).hexdigest()[:16].upper()}"


def cleanse(error: BaseException) -> None:
    """Mask what an error and those behind it say, in place: whoever prints them later can't tell more."""
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        found = todo.pop()
        if found not in seen:
            seen.append(found)
            others = (found.__cause__, found.__context__, *found.args)
            todo += [other for other in others if isinstance(other, BaseException)]
            found.args = tuple(mask(item) if isinstance(item, str) else item for item in found.args)
