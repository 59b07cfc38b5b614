"""What a page owes to people who do not see it, or use no mouse: checked in the browser, as rendered.

Names, landmarks, headings, labels, unique ids, tables, and contrast (WCAG 2.2, AA).
"""

from pathlib import Path

from playwright.sync_api import Page

_SCRIPT = Path(__file__).with_suffix(".js").read_text()
_REACHED = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const name = element.getAttribute("aria-label") || element.textContent || element.name || element.tagName;
  return name.trim().slice(0, 60);
}"""


def faults(page: Page) -> list[str]:
    """What is wrong with the page as it is shown now, in words."""
    found: list[str] = page.evaluate(_SCRIPT)
    return found


def tab_order(page: Page, limit: int = 200) -> list[str]:
    """What the tabulator key reaches from the top of the page, in order, by the text or name of each."""
    page.evaluate("document.activeElement?.blur(); window.scrollTo(0, 0)")
    reached: list[str] = []
    for _ in range(limit):
        page.keyboard.press("Tab")
        name = page.evaluate(_REACHED)
        if name is None:
            break
        reached.append(name)
    return reached
