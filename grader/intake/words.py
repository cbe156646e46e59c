"""What platforms write, made fit to work with: names, times, text in HTML."""

import datetime
import re
import unicodedata
import zoneinfo
from html.parser import HTMLParser

__all__ = ["cleaned", "moment", "text_of"]

REORDERING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # what makes a text look like another
MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)? ?(\S*)")
YEARS = range(1990, 2200)
SHORT, LONG = ("br", "div", "li", "tr", "h1", "h2", "h3"), ("p", "pre")  # tags that begin another line
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
    reader = _Text()
    reader.feed(html)
    reader.close()
    return "".join(reader.parts).replace("\N{NO-BREAK SPACE}", " ").strip("\n") + "\n"


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0  # elements whose text is not shown, and in which we are
        self.verbatim = 0  # likewise, those in which line ends are shown

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.hidden += tag in NOT_TEXT
        self.verbatim += tag == "pre"
        if tag == "br" or (tag in (*SHORT, *LONG) and self.parts and not self.parts[-1].endswith("\n")):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in NOT_TEXT and self.hidden > 0
        self.verbatim -= tag == "pre" and self.verbatim > 0
        if tag in LONG and self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        shown = data if self.verbatim else re.sub(r"[\r\n]+[ \t]*", "" if not data.strip() else " ", data)
        if not self.hidden and shown:
            self.parts.append(shown)
