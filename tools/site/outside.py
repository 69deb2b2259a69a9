"""Files that lie beside the folder of pages: the page for contributors comes in, links to others
become their names.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page for contributors, whose links begin at the root."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    text = LINK.sub(lambda link: link[1] if (ROOT / link[2]).parent == ROOT else link[0], text)
    text = text.replace("](docs/", "](")
    files.append(File.generated(config, "contributing.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Takes away links that lead out of the folder of pages."""
    folder = ROOT / "docs" / Path(page.file.src_uri).parent

    def inside(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        place = (folder / target).resolve()
        if place == ROOT / "CONTRIBUTING.md":
            up = "../" * page.file.src_uri.count("/")
            return f"[{text}]({up}contributing.md{anchor or ''})"
        known = "://" in target or place.is_relative_to(ROOT / "docs")
        return link.group() if known or not place.exists() else f"`{text.strip('`')}`"

    return LINK.sub(inside, markdown)
