"""The report as a file, and in a browser."""

import base64
import json
import re

import numpy as np
import pytest
from chromium import Page, browser
from test_reading import model_for

from minirnn import analysis
from minirnn.analysis.graphemes import graphemes
from minirnn.analysis.reading import read_along
from minirnn.data import Vocabulary

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")

TEXT = ('"나는" (학생)이다.\n  \u1112\u1161\u11ab e\u0301 👩‍👩‍👧 🇰🇷 </script> & <b>\n' * 8)[:400]
RECORDS = [{"step": step, "loss": 2.0 / (step + 1), "val_loss": 2.0 if step == 5 else None} for step in range(10)]


@pytest.fixture(scope="module")
def tokenizer():
    return Vocabulary(TEXT)


@pytest.fixture(scope="module")
def path(tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    options = {
        "title": "한국어 <1>",
        "source": "a & b",
        "scores": {"bits_per_char": 1.5, "steps": 10},
        "records": RECORDS,
    }
    return analysis.write_report(path, model_for(tokenizer), tokenizer, TEXT, **options)


def data_of(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_its_data_and_asks_nobody_for_anything(path):
    page = path.read_text()
    assert "<title>한국어 &lt;1&gt;</title>" in page
    assert "{{" not in page
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "href"))
    assert "default-src 'none'" in page
    data = data_of(page)
    assert "".join(text for text, _, _ in data["spans"]) == TEXT
    assert [layer["name"] for layer in data["layers"]] == ["1: LSTMCell", "2: LSTMCell"]
    assert [array["name"] for array in data["layers"][0]["arrays"]] == ["h", "c", "keep", "write", "show"]
    assert [found["what"] for found in data["layers"][0]["tracking"]] == list(analysis.PROPERTIES)
    assert page.count("<figure class=") == 7  # saturation, flow and singular values of two cells, and the curves


def test_what_was_read_is_in_the_page_as_bytes(path, tokenizer):
    reading, data = read_along(model_for(tokenizer), tokenizer, TEXT), data_of(path.read_text())
    unpacked = lambda text, low, high: low + np.frombuffer(base64.b64decode(text), np.uint8) / 255 * (high - low)
    assert np.abs(unpacked(data["probabilities"], 0, 1) - np.ravel(reading.probabilities)).max() < 0.5 / 255 + 1e-9
    assert data["each"] == reading.likeliest.shape[1]
    assert data["read"] == reading.tokens.tolist()
    for layer, values in zip(data["layers"], reading.cells.values(), strict=True):
        for array in layer["arrays"]:
            step = (array["high"] - array["low"]) / 255
            shown = unpacked(array["values"], array["low"], array["high"]).reshape(-1, array["units"])
            assert np.abs(shown - values[array["name"]]).max() < 0.5 * step + 1e-6


@pytest.mark.slow
def test_the_page_of_a_large_model_and_a_long_text_stays_below_3_mb(tokenizer):
    import minirnn

    rng = np.random.default_rng(0)
    layers = minirnn.Embedding(len(tokenizer), 8, rng=rng), minirnn.GRU(8, 256, rng=rng)
    model = minirnn.Sequential(*layers, minirnn.Linear(256, len(tokenizer), rng=rng))
    page = analysis.report_html(model, tokenizer, TEXT * 20, tokens=100_000)
    assert 2e6 < len(page.encode()) < 3e6


def test_a_network_without_gates_has_no_picture_of_them(tokenizer):
    import minirnn

    rng = np.random.default_rng(0)
    layers = minirnn.Embedding(len(tokenizer), 3, rng=rng), minirnn.RNN(3, 4, rng=rng)
    page = analysis.report_html(
        minirnn.Sequential(*layers, minirnn.Linear(4, len(tokenizer), rng=rng)), tokenizer, TEXT
    )
    assert "Saturation" not in page
    assert "Singular values" in page


# ---------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def page(path, tmp_path_factory):
    if browser() is None:
        pytest.skip("no Chromium is installed (Debian's package chromium)")
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page.open(path)
    page.close()


def colours(page):
    return page.evaluate("[...document.querySelectorAll('#text span')].map((e) => e.style.backgroundColor).join(' ')")


def change(page, name, value):
    """Set a control, as a person does."""
    box = f"document.getElementById('{name}')"
    page.evaluate(f"{box}.value = {json.dumps(value)}; {box}.dispatchEvent(new Event('change'))")


def test_it_loads_without_a_complaint_and_every_part_is_there(page, path, tmp_path):
    page.open(path)
    assert page.evaluate("document.querySelectorAll('#text span').length") == len(graphemes(TEXT))
    assert page.evaluate("document.querySelector('#text').textContent.replaceAll('⏎\\n', '\\n')") == TEXT
    assert page.evaluate("document.querySelectorAll('#maps canvas').length") == 5
    assert page.evaluate("[...document.querySelectorAll('.chart')].filter((e) => !e.hidden).length") == 4
    assert page.evaluate("document.querySelector('.chart svg').getBoundingClientRect().width") > 200
    assert page.evaluate("document.querySelector('#tracking tbody').rows.length") == len(analysis.PROPERTIES)
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000  # not an empty page
    assert page.complaints == []


def test_another_unit_has_other_colours_by_key_by_button_and_by_number(page, path):
    page.open(path)
    seen = [colours(page)]
    page.press("ArrowRight")
    seen.append(colours(page))
    page.evaluate("document.getElementById('next').click()")
    seen.append(colours(page))
    change(page, "unit", 3)
    seen.append(colours(page))
    assert len(set(seen)) == 4
    page.press("ArrowRight")
    assert colours(page) == seen[0]  # four units, and round again
    change(page, "layer", 1)
    assert colours(page) not in seen
    assert page.complaints == []


def test_the_place_under_the_pointer_tells_its_value_and_what_was_expected(page, path):
    page.open(path)
    page.hover("#text span[data-k='2']")
    layer = data_of(path.read_text())["layers"][0]["arrays"][0]
    shown = float(page.evaluate("document.getElementById('value').textContent"))
    assert layer["low"] <= shown <= layer["high"]
    assert page.evaluate("document.querySelectorAll('#place li').length") == 6
    page.press("ArrowRight", shift=True)
    assert page.evaluate("document.querySelector('#text span.here').dataset.k") == "3"
    page.press("Escape")
    assert page.evaluate("document.getElementById('place').hidden")


def test_units_that_track_a_property_or_any_text_are_found(page, path):
    page.open(path)
    change(page, "search", "inside quotes")
    best = data_of(path.read_text())["layers"][0]["tracking"][0]["units"][0]
    assert page.evaluate("document.getElementById('unit').value") == str(best)
    change(page, "search", "학생")
    assert page.evaluate("document.querySelector('#text span.match').textContent") == "학"
    assert page.evaluate("document.querySelectorAll('#found button').length") == 4
    change(page, "search", "없다")
    assert "is not in the text" in page.evaluate("document.getElementById('found').textContent")
    assert page.complaints == []


def test_it_works_at_the_width_of_a_telephone(page, path):
    page.open(path, width=360, height=700, mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.querySelector('.chart svg').getBoundingClientRect().right") <= 360
    before = colours(page)
    page.evaluate("document.getElementById('next').click()")
    assert colours(page) != before


def test_characters_are_cut_as_the_browser_cuts_them(page, path):
    page.open(path)
    text = "나는 \u1112\u1161\u11ab\u1100\u1173\u11af e\u0301 👩‍👩‍👧👍🏽 🇰🇷🇯🇵 कि \r\n ❤️‍🔥 a\u200d각"
    cut = f"[...new Intl.Segmenter('ko').segment({json.dumps(text)})].map((s) => s.segment)"
    assert page.evaluate(cut) == graphemes(text)
