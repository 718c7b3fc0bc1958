"""Leads of Wikipedia articles: requests, refusals, and text from HTML. The wiki is a server on this machine."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.response import addinfourl

import pytest

from pathlen.errors import InvalidText
from pathlen.passages.article import Reference, parsed
from pathlen.passages.choose import chosen
from pathlen.passages.passage import Passage
from pathlen.passages.wikipedia import lead
from pathlen.records.files import read

# She is invented.
ARTICLE = """<div class="mw-content-ltr mw-parser-output" lang="en" dir="ltr">
<div class="shortdescription nomobile noexcerpt noprint" style="display:none">Invented clockmaker</div>
<style data-mw-deduplicate="x">.mw-parser-output .infobox{float:right}</style>
<div role="note" class="hatnote navigation-not-searchable"><p>Not to be confused with <a>Aurel Tamm</a>.</p></div>
<table class="infobox vcard"><tbody><tr><td><p>Born 1801</p><table><tr><td><p>Inner</p></td></tr></table><p>After</p></td></tr>
</tbody></table>
<p class="mw-empty-elt">
</p>
<p><span class="noexcerpt"><span id="coordinates"><a>Coordinates</a>: 58°N 26°E</span></span></p>
<p><b>Aurelia Tamm</b> (<span class="IPA nopopups noexcerpt" lang="et-fonipa">[tamː]</span>
<span class="nowrap">(<span class="unicode haudio"><a>listen</a></span>)</span>; 1801&#160;&ndash; 1877) built
clocks<sup id="cite_ref-1" class="reference"><a href="#cite_note-1"><span>&#91;</span>1<span>&#93;</span></a></sup>, and
sold them<sup class="noprint Inline-Template">[<i>citation needed</i>]</sup> in the 19<sup>th</sup> century.</p>
<figure typeof="mw:File/Thumb"><figcaption><p>A clock</p></figcaption></figure>
<p>Her pendulums swing in
<span class="mwe-math-element"><span class="mwe-math-mathml-inline" style="display: none;"><math alttext="{\\displaystyle T=2s}">
<semantics><mi>T</mi><annotation encoding="application/x-tex">T=2s</annotation></semantics></math></span><img
class="mwe-math-fallback-image-inline" alt="{\\displaystyle T=2s}" src="x"></span>, she wrote;<br>friends &amp; rivals agreed.
<span class="mw-editsection">[edit]</span></p>
<ul><li>a list</li></ul>
<div class="mw-references-wrap"><ol class="references"><li><p>A long note.</p></li></ol></div>
<!-- <p>a comment</p> -->
</div>"""
TEXT = (
    "Aurelia Tamm ([tamː]; 1801 – 1877) built clocks, and sold them in the 19th century.\n"
    "Her pendulums swing in {\\displaystyle T=2s}, she wrote; friends & rivals agreed."
)
REFERENCE = "wikipedia:Aurelia_Tamm@4711"


def answer(
    html: str = ARTICLE, title: str = "Aurelia Tamm", revision: int = 4711, pageid: int = 12
) -> dict[str, dict[str, object]]:
    return {"parse": {"title": title, "pageid": pageid, "revid": revision, "text": html}}


def page(**fields: object) -> dict[str, object]:
    return {"batchcomplete": True, "query": {"pages": [fields]}}


def refusal(code: str, info: str = "No.") -> dict[str, object]:
    return {"error": {"code": code, "info": info}}


class Wiki(ThreadingHTTPServer):
    """Gives prepared answers one after the other, and records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[dict[str, str]] = []  # parameters of each request
        self.lines: list[str] = []  # paths of requests, with their parameters
        self.agents: list[str | None] = []
        self.waited: list[float] = []  # seconds between tries
        self.closing = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def will_answer(self, content: object, status: int = 200, **headers: str) -> None:
        """Prepare the next answer."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers.append((status, {"Content-Length": str(len(raw)), **given}, raw))

    def read(self, reference: str = REFERENCE, timeout: float = 10.0) -> Passage:
        return lead(reference, sleep=self.waited.append, timeout=timeout)

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that closed their connections."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Wiki

    def do_GET(self) -> None:
        self.server.lines.append(self.path)
        self.server.asked.append({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
        self.server.agents.append(self.headers["User-Agent"])
        if not self.server.answers:
            self.server.closing.wait(20)
            return
        status, headers, raw = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Print no log."""


@pytest.fixture
def wiki(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiki]:
    with Wiki() as server:
        monkeypatch.setenv("PATHLEN_WIKIPEDIA", f"http://{server.host}/{{language}}/api.php")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


# References.


@pytest.mark.parametrize(
    ("text", "language", "title", "revision"),
    [
        ("wikipedia:Friedrich_Nietzsche@12", "en", "Friedrich Nietzsche", 12),
        ("wikipedia:Friedrich Nietzsche@12", "en", "Friedrich Nietzsche", 12),
        ("wikipedia:de:Friedrich_Nietzsche@12", "de", "Friedrich Nietzsche", 12),
        ("wikipedia:simple:Clock@12", "simple", "Clock", 12),
        ("wikipedia:zh-min-nan:Clock@12", "zh-min-nan", "Clock", 12),
        ("wikipedia:De:Clock@12", "en", "De:Clock", 12),
        ("wikipedia:Clocks:_A_Life@12", "en", "Clocks: A Life", 12),
        ("wikipedia:Meet_@_noon@12", "en", "Meet @ noon", 12),
        ("wikipedia:Caf%C3%A9@12", "en", "Café", 12),
        ("wikipedia:時計@999999999999999999", "en", "時計", 999_999_999_999_999_999),
        ("wikipedia:Clock", "en", "Clock", None),
    ],
)
def test_a_reference_names_language_title_and_revision(
    text: str, language: str, title: str, revision: int | None
) -> None:
    assert parsed(text) == Reference(language=language, title=title, revision=revision)
    assert parsed(str(parsed(text))) == parsed(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wikipedia:", "must name an article.*the title is ''"),
        ("wikipedia:@12", "the title is ''"),
        ("wikipedia:de:_@12", "the title is ''"),
        ("wikipedia::de:Clock@12", "the title is ':de:Clock'"),
        ("wikipedia:Clock|Bell@12", r"the title is 'Clock\|Bell', and holds '\|'"),
        ("wikipedia:Clock#History@12", "and holds '#'"),
        ("wikipedia:Clock%00@12", r"and holds '\\x00'"),
        ("wikipedia:Caf%E9@12", "and holds '\ufffd'"),
        ("wikipedia:Clock\udce9@12", r"and holds '\\udce9'"),
        (f"wikipedia:{'Ü' * 128}@12", "must name an article.*the title is 'Ü*'"),
        ("wikipedia:Clock@", "must be a whole number above 0, but '' was given"),
        ("wikipedia:Clock@0", "but '0' was given"),
        ("wikipedia:Clock@-1", "but '-1' was given"),
        ("wikipedia:Clock@1.5", "but '1.5' was given"),
        (
            "wikipedia:Clock@latest",
            "the revision after the last @ must be .* but 'latest' was given in 'wikipedia:Clock@l",
        ),
        ("wikipedia:Clock@٣", "but '٣' was given"),
        (f"wikipedia:Clock@{'9' * 5000}", "must be a whole number above 0"),
    ],
)
def test_an_invalid_reference_is_refused_before_any_request(wiki: Wiki, text: str, message: str) -> None:
    with pytest.raises(InvalidText, match=message):
        wiki.read(text)
    assert wiki.asked == []


def test_without_a_revision_the_error_names_the_current_one(wiki: Wiki) -> None:
    wiki.will_answer(page(pageid=12, title="Aurelia Tamm", lastrevid=4712))
    with pytest.raises(
        InvalidText, match="must be pinned to a revision, because .* 'wikipedia:de:Tamm' names none; at prese"
    ) as caught:
        wiki.read("wikipedia:de:Tamm")
    assert str(caught.value).endswith("at present it is wikipedia:de:Aurelia_Tamm@4712")
    assert wiki.asked[0]["titles"] == "Tamm"


def test_without_a_revision_and_a_network_the_error_says_where_to_find_the_number(wiki: Wiki) -> None:
    wiki.will_answer(b"", 500)
    with pytest.raises(
        InvalidText, match="names none; the number stands after oldid= in the address of .* permanent link"
    ):
        wiki.read("wikipedia:Aurelia_Tamm")
    assert len(wiki.asked) == 1
    assert wiki.waited == []


@pytest.mark.parametrize("flag", ["missing", "invalid"])
def test_without_a_revision_the_error_says_if_there_is_no_such_article(wiki: Wiki, flag: str) -> None:
    wiki.will_answer(page(title="Tamn", **{flag: True}))
    with pytest.raises(InvalidText, match="names none; and 127.0.0.1:[0-9]* has no such article"):
        wiki.read("wikipedia:Tamn")


# Answers.


def test_a_lead_is_a_passage_with_its_authors_and_licence(wiki: Wiki) -> None:
    wiki.will_answer(answer())
    (passage,) = chosen([REFERENCE])
    address = "https://en.wikipedia.org/w/index.php?title=Aurelia_Tamm&oldid=4711"
    assert passage == Passage(
        name="aurelia-tamm",
        text=TEXT,
        origin=f"{address} (read from {wiki.host})",
        licence="CC BY-SA 4.0",
        attribution="Wikipedia contributors, “Aurelia Tamm”, revision 4711",
    )
    assert wiki.lines[0].startswith("/en/api.php?")
    parameters = {"action": "parse", "oldid": "4711", "section": "0", "format": "json", "formatversion": "2"}
    assert parameters.items() <= wiki.asked[0].items()
    assert "text" in wiki.asked[0]["prop"].split("|")


def test_wikipedia_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATHLEN_WIKIPEDIA", raising=False)
    asked: list[str] = []

    def urlopen(request: urllib.request.Request, timeout: float) -> addinfourl:
        asked.append(request.full_url)
        return addinfourl(io.BytesIO(json.dumps(answer()).encode()), Message(), request.full_url, 200)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    origin = lead("wikipedia:de:Aurelia_Tamm@4711").origin
    assert origin == "https://de.wikipedia.org/w/index.php?title=Aurelia_Tamm&oldid=4711"
    assert asked[0].startswith("https://de.wikipedia.org/w/api.php?action=parse&oldid=4711&section=0&prop=text")


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "en.wikipedia.org", "http://", "http://[", "ftp://example.org"]
)
def test_only_http_addresses_are_accepted(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("PATHLEN_WIKIPEDIA", address)
    with pytest.raises(InvalidText, match="PATHLEN_WIKIPEDIA must be an address that starts with http, but"):
        lead(REFERENCE)


def test_a_request_has_a_user_agent_of_this_package(wiki: Wiki) -> None:
    wiki.will_answer(answer())
    wiki.read()
    assert wiki.agents[0] is not None
    assert wiki.agents[0].startswith("pathlen/")
    assert "Python-urllib" not in wiki.agents[0]


def test_a_second_reading_comes_from_the_cache(wiki: Wiki) -> None:
    wiki.will_answer(answer())
    first = wiki.read()
    assert wiki.read() == first
    assert wiki.read("wikipedia:aurelia Tamm@4711") == first
    assert len(wiki.asked) == 1


@pytest.mark.parametrize("other", ["wikipedia:Aurelia_Tamm@4712", "wikipedia:de:Aurelia_Tamm@4711"])
def test_another_revision_or_language_is_requested_separately(wiki: Wiki, other: str) -> None:
    wiki.will_answer(answer())
    wiki.will_answer(answer("<p>Another.</p>", revision=parsed(other).revision or 0))
    wiki.read()
    assert wiki.read(other).text == "Another."


def test_a_refused_answer_is_not_cached(wiki: Wiki) -> None:
    wiki.will_answer(answer("<p></p>"))
    wiki.will_answer(answer())
    with pytest.raises(InvalidText):
        wiki.read()
    assert wiki.read().text == TEXT


def test_a_revision_of_another_article_is_refused(wiki: Wiki) -> None:
    wiki.will_answer(answer(title="Bruno Okk"))
    wiki.will_answer(page(pageid=99, title="Aurelia Tamm", lastrevid=5))
    with pytest.raises(InvalidText, match="revision 4711 must be one of 'Aurelia Tamm', but it is one of 'Bruno Okk'"):
        wiki.read()


def test_a_revision_is_refused_if_the_named_article_does_not_exist(wiki: Wiki) -> None:
    wiki.will_answer(answer())
    wiki.will_answer(page(title="Nobody", missing=True))
    with pytest.raises(InvalidText, match="must be one of 'Nobody', but it is one of 'Aurelia Tamm'"):
        wiki.read("wikipedia:Nobody@4711")


def test_a_title_that_redirects_to_the_article_is_accepted(wiki: Wiki) -> None:
    wiki.will_answer(answer())
    wiki.will_answer(page(pageid=12, title="Aurelia Tamm", lastrevid=5000))
    section = wiki.read("wikipedia:The_Clockmaker@4711")
    assert (section.name, section.text) == ("aurelia-tamm", TEXT)
    assert {"titles": "The Clockmaker", "redirects": "1"}.items() <= wiki.asked[1].items()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "nosuchrevid",
            "revision 4711 of 'Aurelia Tamm' can't be read .* there is no such revision, or its page was deleted",
        ),
        ("missingtitle", "there is no such page"),
        ("permissiondenied", "the text of this revision is hidden from the public"),
        ("missingcontent-revid", "the text of this revision is missing, or hidden from the public"),
        ("internal_api_error", r"internal_api_error \(No\.\)"),
    ],
)
def test_an_error_of_the_api_is_explained(wiki: Wiki, code: str, message: str) -> None:
    wiki.will_answer(refusal(code))
    with pytest.raises(InvalidText, match=message):
        wiki.read()
    assert wiki.waited == []


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"parse": None},
        {"parse": {"title": "Aurelia Tamm", "pageid": 12, "revid": 4711}},
        answer(revision=4712),
        answer(title="\ud800"),
        answer(html="<p>half a character: \ud800</p>"),
        {"parse": {**answer()["parse"], "text": {"*": ARTICLE}}},
    ],
)
def test_an_incomplete_answer_is_refused(wiki: Wiki, content: object) -> None:
    wiki.will_answer(content)
    with pytest.raises(InvalidText, match="can't be read from 127.0.0.1:[0-9]*: the answer is not whole"):
        wiki.read()


@pytest.mark.parametrize("content", [{}, {"query": {}}, {"query": {"pages": []}}, {"query": {"pages": ["x"]}}])
def test_an_incomplete_answer_about_a_title_is_refused(wiki: Wiki, content: object) -> None:
    wiki.will_answer(answer())
    wiki.will_answer(content)
    with pytest.raises(InvalidText, match="the article 'Other' can't be read .* the answer is not whole"):
        wiki.read("wikipedia:Other@4711")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><p>Sign in to this network", "the answer is not JSON"),
        (b"", "the answer is not JSON"),
        (b"\xff\xfe\xfd", "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b"[]", "the answer is not a JSON object"),
    ],
)
def test_an_answer_that_is_not_a_json_object_is_refused(wiki: Wiki, content: bytes, message: str) -> None:
    wiki.will_answer(content)
    with pytest.raises(InvalidText, match=message):
        wiki.read()


# Servers that fail.


def test_the_wait_that_the_server_asks_for_is_observed(wiki: Wiki) -> None:
    wiki.will_answer(b"slow down", 429, Retry_After="7")
    wiki.will_answer(answer())
    assert wiki.read().text == TEXT
    assert wiki.waited == [7.0]


def test_the_server_may_ask_to_wait_until_a_date(wiki: Wiki) -> None:
    wiki.will_answer(b"", 503, Retry_After=format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    wiki.will_answer(b"", 503, Retry_After="Mon, 01 Jan 2001 00:00:00 GMT")
    wiki.will_answer(answer())
    wiki.read()
    assert 25 < wiki.waited[0] <= 30
    assert wiki.waited[1] == 0


def test_a_wait_that_is_too_long_is_an_error(wiki: Wiki) -> None:
    wiki.will_answer(b"", 429, Retry_After="3600")
    with pytest.raises(
        InvalidText, match=r"answers 429 Too Many Requests \(asked once\), and asks to wait 3,600 seconds"
    ):
        wiki.read()
    assert wiki.waited == []


@pytest.mark.parametrize("code", ["maxlag", "ratelimited"])
def test_a_busy_wiki_is_asked_again_later(wiki: Wiki, code: str) -> None:
    wiki.will_answer(refusal(code, "Waiting."), Retry_After="5")
    wiki.will_answer(answer())
    assert wiki.read().text == TEXT
    assert wiki.waited == [5.0]
    assert wiki.asked[0]["maxlag"] == "5"


def test_a_failing_server_is_asked_three_times_with_growing_waits(wiki: Wiki) -> None:
    for _ in range(3):
        wiki.will_answer(b"", 500, Retry_After="soon")
    with pytest.raises(InvalidText, match=r"it answers 500 Internal Server Error \(asked 3 times\)$"):
        wiki.read()
    assert wiki.waited == [1.0, 2.0]
    assert len(wiki.asked) == 3


def test_a_forbidden_request_is_not_repeated(wiki: Wiki) -> None:
    wiki.will_answer(b"", 403)
    with pytest.raises(InvalidText, match="it answers 403 Forbidden"):
        wiki.read()
    assert len(wiki.asked) == 1


def test_a_silent_server_times_out(wiki: Wiki) -> None:
    with pytest.raises(InvalidText, match=r"no connection \(timed out\) \(asked 3 times\)"):
        wiki.read(timeout=0.05)
    assert wiki.waited == [1.0, 2.0]


def test_a_truncated_answer_is_requested_again(wiki: Wiki) -> None:
    wiki.will_answer(b'{"parse": ', Content_Length="1000")
    wiki.will_answer(answer())
    assert wiki.read(timeout=0.5).text == TEXT


def test_an_unreachable_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wiki() as server:
        host = server.host
    monkeypatch.setenv("PATHLEN_WIKIPEDIA", f"http://{host}/api.php")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InvalidText, match=f"can't be read from {host}: no connection .*refused.* \\(asked 3 times\\)"):
        lead(REFERENCE, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("reference", "title", "name", "quoted"),
    [
        ("wikipedia:Jüri_Tõnn@4711", "Jüri Tõnn", "jüri-tõnn", "title=J%C3%BCri_T%C3%B5nn&oldid=4711"),
        ("wikipedia:J%C3%BCri_T%C3%B5nn@4711", "Jüri Tõnn", "jüri-tõnn", "title=J%C3%BCri_T%C3%B5nn&oldid=4711"),
        ("wikipedia:時計@4711", "時計", "時計", "title=%E6%99%82%E8%A8%88&oldid=4711"),
        ("wikipedia:R&D/..?@4711", "R&D/..?", "r-d", "title=R%26D%2F..%3F&oldid=4711"),
        ("wikipedia:हिन्दी@4711", "हिन्दी", "हिन्दी", "title=%E0%A4%B9"),
        ("wikipedia:!!!@4711", "!!!", "wikipedia-4711", "title=%21%21%21&oldid=4711"),
    ],
)
def test_titles_of_any_script_are_quoted_and_named(
    wiki: Wiki, reference: str, title: str, name: str, quoted: str
) -> None:
    wiki.will_answer(answer(title=title))
    section = wiki.read(reference)
    assert section.name == name
    assert quoted in section.origin
    assert "“" + title + "”" in section.attribution
    wiki.will_answer(page(missing=True))
    with pytest.raises(InvalidText, match="no such article"):
        wiki.read(reference.partition("@")[0])
    assert wiki.asked[-1]["titles"] == title
    assert all(line.isascii() and " " not in line for line in wiki.lines)


@pytest.mark.parametrize("html", ["", "text", "<p> \n</p>", "<p><span class=geo>1</span></p>", "<ul><li>a</li></ul>"])
def test_a_lead_without_text_is_refused(wiki: Wiki, html: str) -> None:
    wiki.will_answer(answer(html))
    with pytest.raises(InvalidText, match="lead section of revision 4711 of 'Aurelia Tamm' has no paragraph"):
        wiki.read()


# In a run.


def test_a_file_named_like_a_reference_is_given_as_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wikipedia:x@1").write_text("Mine.", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert chosen(["./wikipedia:x@1"])[0].text == "Mine."


def test_the_module_is_imported_on_demand_only() -> None:
    modules = "pathlen, pathlen.passages.choose, pathlen.plugin, pathlen.runner.session"
    code = f"import sys, {modules}\nprint('pathlen.passages.wikipedia' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "False\n"


CLAIM = '''
from pathlen import SHIFTED, SIZES, above, claim, pearson


@claim(sizes=SIZES, section="1", expect=above(-0.99), controls=[SHIFTED])
def test_any(measured):
    """They are not each other's negative."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)
'''


def test_claims_run_on_a_lead_and_the_record_names_it(wiki: Wiki, pytester: pytest.Pytester, checkpoint: Path) -> None:
    pytester.makepyfile(test_any=CLAIM)
    wiki.will_answer(
        answer("".join(f"<p>The clock of room {n} stood still and was mended by her.</p>" for n in range(20)))
    )
    options = ("--controls", "none", "--import-mode=importlib", "-p", "no:cacheprovider", "--report", "out")
    for _ in range(2):  # the second run needs no network
        result = pytester.runpytest("test_any.py", "--model", str(checkpoint), "--text", REFERENCE, *options)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["pathlen: 1 texts (aurelia-tamm), *"])
    assert len(wiki.asked) == 1
    (text,) = read(pytester.path / "out" / "tiny.json").texts
    assert text.licence == "CC BY-SA 4.0"
    assert text.attribution == "Wikipedia contributors, “Aurelia Tamm”, revision 4711"
    assert "oldid=4711" in text.origin
    html = (pytester.path / "out" / "tiny.html").read_text("utf-8")
    assert "Wikipedia contributors, “Aurelia Tamm”, revision 4711; licence CC BY-SA 4.0" in html


def test_a_reference_that_cannot_be_read_stops_a_run_at_its_start(wiki: Wiki, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_any=CLAIM)
    wiki.will_answer(refusal("nosuchrevid", "There is no revision with ID 4711."))
    result = pytester.runpytest("test_any.py", "--family", "mini", "--text", REFERENCE, "--import-mode=importlib")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: revision 4711 of 'Aurelia Tamm' can't be read *: there is no such revision, *"]
    )
