"""The README keeps up with the code."""

import re
from pathlib import Path

import pytest

from xcstore.config import SETTINGS, Setting
from xcstore.ui.shell import TITLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def row(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else "–"
    return f"| `{setting.name}` | {setting.kind} | {default} | {setting.meaning} |"


def test_the_table_of_settings_is_complete_and_right() -> None:
    table = re.search(r"\| name \| accepted \| default \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)+)", README)
    assert table is not None
    wanted = [row(setting) for setting in SETTINGS]
    assert table.group(1).splitlines() == wanted, "paste:\n" + "\n".join(wanted)


@pytest.mark.parametrize("page", sorted(path.stem for path in (ROOT / "pages").glob("*.py")))
def test_each_page_has_a_line(page: str) -> None:
    assert f"| {TITLES[page][0]} |" in README


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_and_pictures_lead_somewhere(target: str) -> None:
    assert target.startswith("https://") or (ROOT / target).exists()


def test_the_test_command_is_what_continuous_integration_calls() -> None:
    assert re.search(r"^make test\b", README, re.MULTILINE)
    assert re.search(r"^make test\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
