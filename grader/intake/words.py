"""What platforms write, made fit to work with: names, times, text in HTML."""

import datetime
import re
import unicodedata
import zoneinfo
from html import unescape

__all__ = ["cleaned", "moment", "separator", "text_of"]

REORDERING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # what makes a text look like another
MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)? ?(\S*)")
YEARS = range(1990, 2200)
BLOCKS = ("div", "h1", "h2", "h3", "li", "p", "pre", "tr")  # each of which has lines of its own
# The standard library's parser takes quadratic time for what nobody writes but an attacker.
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*>|<[!?][^<>]*>")
NOT_TEXT = ("head", "script", "style", "title")


def cleaned(name: str) -> str:
    r"""Return a name as it is compared: composed (NFC), in one line, without characters that only move or reorder others.

    >>> cleaned("Jose\u0301  Nova\u0301k\u202e\n") == "José Novák"
    True
    """
    text = unicodedata.normalize("NFC", REORDERING.sub("", name))
    return " ".join("".join(" " if unicodedata.category(character) in ("Cc", "Cs") else character for character in text).split())


def moment(text: str, otherwise: datetime.tzinfo | None = None) -> datetime.datetime | None:
    """Return the time that a text tells, which is aware; None where it tells none.

    Args:
        text: as in ISO 8601, or with a blank before the time and before the zone, which may have a name.
        otherwise: the zone of a time without one; None: there is no telling.

    >>> moment("2021-02-05 19:58:19.352440 Z").isoformat(), moment("2015-02-02 15:58:23 Europe/Prague").isoformat()
    ('2021-02-05T19:58:19+00:00', '2015-02-02T15:58:23+01:00')
    >>> moment("2021-02-05 19:58"), moment("yesterday"), moment("2021-02-30 10:00 UTC")
    (None, None, None)
    """
    match = MOMENT.fullmatch(text.strip())
    zone = None if match is None else _zone(match[7]) if match[7] else otherwise
    if match is None or zone is None or int(match[1]) not in YEARS:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None


def separator(table: str) -> str:
    """Return what separates the cells of a table, as its headings show: programs for spreadsheets write what their language has.

    >>> separator("name;email,private\\n1,2,3"), separator("")
    (';', ',')
    """
    return max(",;\t", key=table.partition("\n")[0].count)


def _zone(name: str) -> datetime.tzinfo | None:
    if name in ("Z", "UTC"):
        return datetime.UTC
    if match := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        minutes = int(match[2]) * 60 + int(match[3])
        return datetime.timezone(datetime.timedelta(minutes=-minutes if match[1] == "-" else minutes)) if minutes < 24 * 60 else None
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None


def text_of(html: str) -> str:
    """Return the text that a browser would show, line by line: what somebody wrote or pasted into an editor of a platform.

    >>> text_of("<html><body><p>def f(x):<br>&nbsp;&nbsp;return x &lt; 1</p></body></html>")
    'def f(x):\\n  return x < 1\\n'
    """
    parts: list[str] = []
    hidden = verbatim = 0  # how many elements we are in whose text is not shown, or in which line ends are
    end = 0
    html = _without_comments(html)
    for tag in TAG.finditer(html):
        _show(parts, html[end : tag.start()], hidden, verbatim)
        step, name, end = -1 if tag[1] else 1, (tag[2] or "").lower(), tag.end()
        hidden = max(0, hidden + step * (name in NOT_TEXT))
        verbatim = max(0, verbatim + step * (name == "pre"))
        if name == "br" or (name in BLOCKS and parts and not parts[-1].endswith("\n")):
            parts.append("\n")
    _show(parts, html[end:], hidden, verbatim)
    return "".join(parts).replace("\N{NO-BREAK SPACE}", " ").strip("\n") + "\n"


def _show(parts: list[str], text: str, hidden: int, verbatim: int) -> None:
    shown = text if verbatim else re.sub(r"[\r\n]+[ \t]*", " " if text.strip() else "", text)
    if shown and not hidden:
        parts.append(unescape(shown))


def _without_comments(html: str) -> str:
    first, *others = html.split("<!--")
    return first + "".join(other.partition("-->")[2] for other in others)
