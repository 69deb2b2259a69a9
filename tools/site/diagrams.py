"""Flow charts without scripts: a chain of boxes in frames, as text that wraps on narrow screens.

Pages keep Mermaid's notation, which code hosts draw; here only chains are understood.
"""

import html
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

BLOCK = re.compile(r'<div class="diagram">(.*?)</div>', re.DOTALL)
NODE = re.compile(r'(\w+)\["(.*?)"\]')
LINE = re.compile(
    r'flowchart TB|subgraph \w+ \["(.*?)"\]|end|\w+(\[".*?"\])?( --> \w+(\[".*?"\])?)*'
)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draws the charts of a page."""
    return BLOCK.sub(lambda found: drawn(html.unescape(found.group(1)), page.file.src_uri), content)


def drawn(chart: str, where: str) -> str:
    """The boxes of a chart in their order, those of one subgraph in one frame.

    Raises:
        PluginError: If the chart is no chain.
    """
    parts: list[str] = []
    arrows = 0
    nodes: list[str] = []
    for line in filter(None, map(str.strip, chart.splitlines())):
        found = LINE.fullmatch(line)
        if not found:
            raise PluginError(f"{where}: a chart has the line {line!r}, which is not understood")
        arrows += line.count("-->")
        if line.startswith("subgraph"):
            parts.append(f'<li class="frame"><span>{html.escape(found.group(1))}</span><ol>')
        elif line == "end":
            parts.append("</ol></li>")
        else:
            for name, label in NODE.findall(line):
                nodes.append(name)
                boxes = "".join(f"<b>{html.escape(b)}</b>" for b in re.split(r" \| |, ", label))
                parts.append(f"<li>{boxes}</li>")
    if arrows != len(nodes) - 1:
        raise PluginError(
            f"{where}: a chart with {len(nodes)} boxes and {arrows} arrows is no chain"
        )
    return f'<ol class="chart" aria-label="Each box uses those below it">{"".join(parts)}</ol>'
