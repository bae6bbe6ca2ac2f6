"""How pages read as a whole: `UPDATE_GOLDEN=1` writes them anew; the difference is for a person to read."""

import os

import pytest

from anomaly import messages
from tests.support.all_pages import GOLDEN_PAGES
from tests.support.paths import GOLDEN


@pytest.mark.parametrize("language", messages.languages())
@pytest.mark.parametrize("name", GOLDEN_PAGES)
def test_the_page_is_the_golden_one_byte_for_byte(name, language):
    rendered = GOLDEN_PAGES[name](language)
    golden = GOLDEN / f"{name}.{language}.{'txt' if name == 'letter' else 'html'}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered, "utf-8", newline="")
    anew = f"UPDATE_GOLDEN=1 pytest {os.path.relpath(__file__)}, then read the difference"
    assert rendered == golden.read_text("utf-8"), f"{golden.name} differs: {anew}"
