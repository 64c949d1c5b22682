"""The demo's table and its report, on made-up measurements."""

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from demo_made_up import measured
from subquad.demo import needs, table


def test_summary():
    exact, auto, torch = table.summary(measured())
    assert exact["seconds"] == "4.00"
    assert (auto["perplexity"], auto["times exact"]) == ("6.500 (+4.00 %)", "4.00")
    assert (auto["pairs computed"], auto["screened"]) == ("47.5 %", "10.0 %")
    assert auto["error true: median, 95 %, worst"].endswith(", 0.200")
    assert (torch["perplexity"], torch["times exact"]) == ("", "0.80")


def test_growth():
    made_up = measured()
    made_up.growth.pop()  # the slowest may stop earlier
    assert table.growth(made_up) == [
        {"tokens": "2,048", "auto": "0.500 s", "exact": "2.000 s", "torch": "2.000 s", "exact / auto": "4.0"},
        {"tokens": "4,096", "auto": "1.000 s", "exact": "4.000 s", "torch": "", "exact / auto": "4.0"},
    ]


def test_heads_within_a_tolerance():
    assert table.within(measured(), 1.25) == 0.75
    assert table.within(measured(), 2) == 1


def test_worst_heads_come_first():
    assert [(row["layer"], row["head"]) for row in table.worst(measured(), 2)] == [("0", "1"), ("0", "0")]


def test_aligned():
    assert table.aligned([{"a": "1", "bb": ""}, {"a": "333", "bb": "x"}]) == "\n".join(
        ["| a   | bb |", "| --- | -- |", "| 1   |    |", "| 333 | x  |"]
    )


class Page(HTMLParser):
    """Pictures and what else a page would fetch."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.links, self.opened = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.opened.append(tag)
        if tag == "img":
            self.pictures.append((values["alt"], values["src"]))
        self.links += [values[name] for name in ("href", "src") if not values.get(name, "data:").startswith("data:")]


@pytest.fixture(scope="module")
def page():
    pytest.importorskip("matplotlib", reason="the extra subquad[demo] is not installed")
    from subquad.demo import report

    return report.page(measured(), {"processor": "one & only"})


def test_the_report_stands_alone(page):
    parsed = Page(page)
    assert parsed.links == []
    assert "link" not in parsed.opened
    assert "script" not in parsed.opened
    assert len(parsed.pictures) == 4


def test_its_pictures_have_words(page):
    for alt, source in Page(page).pictures:
        assert len(alt) > 20
        kind, _, data = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")


def test_its_text_is_escaped(page):
    assert "a &lt;text&gt;" in page
    assert "one &amp; only" in page
    assert re.search(r"75\.0 % of the heads", page)


def test_missing_packages_are_named():

    with pytest.raises(ModuleNotFoundError, match=r"no_such_module_.*subquad\[demo\]"):
        needs.needed("no_such_module_")
    assert needs.found("no_such_module_") is None
    assert needs.found("json").__name__ == "json"
