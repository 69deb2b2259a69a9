"""Notebooks as pages: text as it stands, code in fences, outputs as they were when it last ran."""

import base64
import html
import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

Cell = dict[str, Any]


class Notebook(File):
    """A notebook that MkDocs takes for a page, so that links to it and the order of pages hold."""

    def is_documentation_page(self) -> bool:
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Puts a page, its pictures and a file to download in the place of every notebook."""
    for file in [f for f in files if f.src_uri.endswith(".ipynb")]:
        path = Path(file.abs_src_path)
        text, pictures = page_of(json.loads(path.read_text()), path.name)
        files.remove(file)
        files.append(Notebook.generated(config, file.src_uri, content=text))
        for name, picture in pictures.items():
            place = f"{Path(file.src_uri).parent}/{name}"
            files.append(File.generated(config, place, content=picture))
        download = f"{Path(file.src_uri).parent}/download/{path.name}"
        files.append(File.generated(config, download, content=path.read_bytes()))
    return files


def page_of(notebook: Cell, name: str) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its pictures by name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                picture = f"{Path(name).stem}-{number}.png"
                pictures[picture] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![{cell['metadata']['alt']}]({picture})")
            elif words := "".join(data["text/plain"]).rstrip():
                parts.append(f'<pre class="output">{html.escape(words)}</pre>')
    title, _, rest = parts[0].partition("\n")
    hint = f'Download <a href="download/{name}">this page as a notebook</a>.'
    parts[0] = f'{title}\n\n<p class="download">{hint}</p>\n{rest}'
    return "\n\n".join(parts) + "\n", pictures
