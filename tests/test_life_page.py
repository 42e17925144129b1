"""engine/LIFE.md says what the engine does."""

from tests.life_page import BLOCKS, PAGE, drawn


def test_the_page_of_the_life_of_orders_is_as_the_engine_has_it():
    page = PAGE.read_text()
    assert [name for name in BLOCKS if f"<!-- {name}: begin -->" not in page] == []
    assert drawn(page) == page, "python -m tests.life_page draws it anew"
