"""The demo's tokenizer on a tiny vocabulary, and where its text comes from."""

import pytest
from subquad.demo import texts

MERGES = ["t h", "th e", "Ġ the", "Ġ a"]


@pytest.fixture(scope="module")
def tokenizer():
    tokenizers = pytest.importorskip("tokenizers", reason="the extra subquad[demo] is not installed")
    from subquad.demo.tokenizer import Tokenizer

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    return Tokenizer([*alphabet, *(merge.replace(" ", "") for merge in MERGES)], MERGES)


@pytest.mark.parametrize("text", ["", "the end", "  the\n\tthe 1234 a", "dé 日本 \N{GRINNING FACE}", "\x00\x7f"])
def test_round_trip(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_merges_and_digits(tokenizer):
    assert [tokenizer.decode([token]) for token in tokenizer.encode("the the a 2026")] == [
        *("the", " the", " a"),
        *(" ", "2", "0", "2", "6"),
    ]


def test_texts():
    assert (
        texts.standard_library().startswith("# Author: Steven J. Bethard") or "class ArgumentParser" in texts.standard_library()
    )
    assert "while_stmt" in texts.manual()
    assert texts.pages("no such language") == ""


def test_manual_pages_lose_their_requests():
    page = '.\\" a comment\n.TH XZ 1\n.B word\nIt \\fBis\\fR so\\&.\n\n.\n'
    assert texts.without_requests(page) == "XZ 1\nword\nIt is so."
