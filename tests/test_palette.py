"""Colors of labels: each has its own as long as there are enough, and the other label is gray."""

from __future__ import annotations

import re

from block.palette import COLORS, GRAY, PALETTE, assign_colors, choose_color, format_css


def test_a_color_is_used_again_only_when_none_is_free() -> None:
    used: list[int] = []
    for _ in range(2 * COLORS):
        used.append(choose_color([*used, GRAY]))
    assert used == [*range(COLORS), *range(COLORS)]


def test_known_labels_keep_their_colors_and_the_other_label_is_gray() -> None:
    colors = assign_colors(["speech", "dog", "music", "dog"], "noise", {"music": 0, "noise": 3})
    assert colors == {"music": 0, "noise": GRAY, "speech": 1, "dog": 2}
    many = assign_colors([str(number) for number in range(COLORS)], "other", {})
    assert sorted(many.values()) == list(range(COLORS + 1))


def test_the_style_sheet_has_each_color_for_light_and_dark_pages() -> None:
    css = format_css()
    for number, color in enumerate(PALETTE):
        rules = re.findall(rf"\.c{number} {{ --label: (#\w+); --edge: (#\w+);", css)
        dark = (color.dark_fill, color.dark_edge)
        assert rules == [(color.fill, color.edge), dark, dark]
    assert css.count("{") == css.count("}")
