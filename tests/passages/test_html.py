"""Text from the HTML of leads, as Wikipedia renders it and as it should not."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from pathlen.errors import InvalidText
from pathlen.passages.html import plain


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One.</p><p>Two.</p>", "One.\nTwo."),
        ("<p>One <b>bold <i>both</b> plain</i>.<p>Two", "One bold both plain.\nTwo"),
        ("<p>One<div>no paragraph</div>none either<p>Two</p>", "One\nTwo"),
        ("One<p>Two</p>Three", "Two"),
        ("<p>a\n b&nbsp;c&#8201;d<br>e<br/>f<wbr>g</p>", "a b c d e fg"),
        ("<p>1 &lt; 2 &amp;amp; &eacute; &#x1F570; &nothing &unknown;</p>", "1 < 2 &amp; é 🕰 ¬hing &unknown;"),
        ("<p>so&shy;ft&#8203; &#65279;w&#8288;ord\x01</p>", "soft word"),
        ("<p dir=rtl>\u200fשעון (&rlm;‎clock&lrm;) می\u200cخواهم</p>", "שעון (clock) می\u200cخواهم"),
        ("<p>a<script>document.write('<p>b</p>')</script>c<style>p{}</style></p>", "ac"),
        ("<p>a<script>x = '</p>' + '<p>'</script>b</p>", "ab"),
        ("<p onclick='x()'>a<img src=x onerror=y alt=z>b<iframe src=x>c</iframe></p>", "ab"),
        ("<p>a<!-- </p><p> -->b</p>", "ab"),
        ("<table><tr><td><p>a<table><tr><td></p>b</table><p>c</td></tr></table></p><p>d</p>", "d"),
        ("<table><tr><td><p>a</div></p></table></section><p>b</p>", "b"),
        ("<div><table><tr><td></div><p>a</p></td></tr></table><p>b</p></div>", "b"),
        ("<table><tr><td><table></td></tr></table><p>a</p></table><p>b</p>", "b"),
        ("<i><p>a</i>b</p>", "ab"),
        ("<p>a<span hidden>b</span><span style='Display : NONE'>c</span><i style='color:red'>d</i></p>", "ad"),
        ("<p>a<span style='display:none'>b</p><p>c</p>", "a\nc"),
        ("<p>a<span><p>b</span>c</p>", "a\nbc"),
        ("<p class='noexcerpt'>a</p><div class='x navbox y'><p>b</p></div><nav><p>c</p></nav><p>d</p>", "d"),
        ("<blockquote><p>Said.</p></blockquote><section><p>More.</p></section>", "Said.\nMore."),
        ("<p>CO<sub>2</sub>, m<sup>2</sup>, x<sup class='mw-ref reference'>[1]</sup>.</p>", "CO2, m2, x."),
        (
            "<p>a (<span class=noprint>b</span>) c <span class=noprint>d</span>, e [<b class=geo>f</b> ] g</p>",
            "a c, e g",
        ),
        ("<p>a () b ( <i class=geo>c</i><i class=geo>d</i> e) f</p>", "a () b ( e) f"),
        ("<p>a <i class=geo>b</i> <i class=geo>c</i> <i class=geo>d</i> e</p>", "a e"),
        ("<p>mot<sup class=reference>1</sup> ; autre</p>", "mot ; autre"),
        ("<p><ruby>時計<rp>(</rp><rt>とけい</rt><rp>)</rp></ruby></p>", "時計"),
        ("<p><span class='IPA noexcerpt'>/a/</span><span class=noexcerpt><i class=IPA>/b/</i></span></p>", "/a/"),
        ("<p>a <math alttext='x^2'><mi>x</mi><mspace/></math>b</p>", "a x^2b"),
        ("<p>a <img class='mwe-math-fallback-image-inline' alt='y'> b</p>", "a y b"),
        ("<p>a<span class='mwe-math-element'><img class='mwe-math-fallback-image-inline' alt='y'>z</span></p>", "ay"),
        ("<p>a<span class=geo><math alttext='x'></math></span>b</p>", "ab"),
        ("<p>a<span class='mwe-math-element'><math alttext='x'></p><p>b</p>", "ax\nb"),
        ("</p></table></span><p>a</i></td></p>", "a"),
        ("<P CLASS='x'>a<SUP CLASS=reference>1</SUP></P>", "a"),
        ("<p>a" + "<b>" * 2000 + "b</p>", "ab"),
    ],
)
def test_paragraphs_become_text(html: str, text: str) -> None:
    assert plain(html, "it") == text


@pytest.mark.parametrize(
    ("html", "tag"),
    [
        ("<p>a</p><table><tr><td><p>b</p>", "table"),
        ("<p>a</p><div class=hatnote><p>b</p>", "div"),
        ("<p>a<script>b</p><p>c</p>", "script"),
    ],
)
def test_html_that_ends_inside_an_element_that_is_left_out_is_refused(html: str, tag: str) -> None:
    with pytest.raises(InvalidText, match=f"the HTML of it must be whole, but it ends inside <{tag}>"):
        plain(html, "it")


def test_an_error_of_the_parser_is_reported_as_invalid_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("unknown status keyword")

    monkeypatch.setattr(HTMLParser, "feed", fail)
    with pytest.raises(InvalidText, match="the HTML of it can't be read: unknown status keyword"):
        plain("<![bad[", "it")
