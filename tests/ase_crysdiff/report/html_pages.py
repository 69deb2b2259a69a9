"""Reads pages as a browser that loads nothing would."""

from html.parser import HTMLParser

#: Elements that have no end.
VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """Every element that opens closes, in order; nothing is loaded from anywhere.

    Args:
        html: The page.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.seen, self.links, self.ids = [], [], [], []
        self.text, self.scripts, self.headings, self.unnamed = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        assert "src" not in names
        assert not any(name.startswith("on") for name in names)
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))
        if tag == "svg" and not names.get("aria-label"):
            self.unnamed.append(names)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        (self.scripts if inside == "script" else self.text).append(data)

    @property
    def words(self) -> str:
        """All text, in one line."""
        return " ".join(" ".join(self.text).split())
