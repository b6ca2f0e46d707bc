"""What the site needs beyond the pages in this folder: the files of the repository that they link to, and notebooks.

GitHub shows the pages as they are, and a link from them may lead to any file of the repository. The site has a page
for each of these files.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([\w.]+)</code>")
NOT_SEARCHED = "---\nsearch:\n  exclude: true\n---\n"
COMMANDS = "docs/coming-from.md"
BESIDE = re.compile(r"^\[Its commands beside ours\]\([\w./-]*coming-from\.md#([\w-]+)\)\.$", re.MULTILINE)
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".json": "json"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give headings the anchors that they have on GitHub."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page links to, and for those that these link to."""
    pages = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    waiting = [*pages, *(path.name for path in ROOT.glob("[A-Z]*.md"))]
    seen = {*waiting}
    while waiting:
        path = waiting.pop()
        uri = page_of(path)
        if path not in pages:
            pages[path] = text_of(ROOT / path)
            files.append(File.generated(config, uri, content=pages[path]))
        for target in LINK.findall("".join(CODE.split(pages[path])[::2])):
            found = resolve(origin_of(uri), target)
            if found and found not in seen and not found.startswith("docs/") and (ROOT / found).exists():
                seen.add(found)
                waiting.append(found)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to their pages; show an original's commands where one leads."""
    uri = page.file.src_uri
    linked = with_site_links(markdown, origin_of(uri), uri)
    return BESIDE.sub(lambda found: f"{found[0]}\n\n{commands_beside(found[1], uri)}", linked)


def with_site_links(markdown: str, origin: str, uri: str) -> str:
    """The text of a file of the repository with the links that it needs on a page of the site."""

    def moved(match: re.Match[str]) -> str:
        name, mark, anchor = match[0].partition("#")
        path = resolve(origin, name) if name else origin
        if path is None:
            return match[0]
        page = "" if page_of(path) == uri and mark else posixpath.relpath(page_of(path), posixpath.dirname(uri) or ".")
        return page + mark + anchor

    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def commands_beside(anchor: str, uri: str) -> str:
    """The table of an original's commands beside ours, for a page of the site."""
    text = (ROOT / COMMANDS).read_text(encoding="utf-8")
    sections = dict(section.split("\n", 1) for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    (section,) = (body for title, body in sections.items() if title.lower().replace(" ", "-") == anchor)
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return with_site_links("\n".join(rows), COMMANDS, uri)


def on_page_content(html: str, **event: object) -> str:
    """Turn the roles of docstrings, such as ``:class:`~package.Name```, into links."""

    def linked(match: re.Match[str]) -> str:
        name = f"<code>{match[1].rpartition('.')[2]}</code>"
        return f'<autoref optional identifier="{match[1]}">{name}</autoref>' if "." in match[1] else name

    return ROLE.sub(linked, html).replace("::</p>", ":</p>")


def resolve(origin: str, target: str) -> str | None:
    """The path in the repository that a link leads to; none for the web and for places on the same page."""
    name = target.partition("#")[0]
    if not name or re.match(r"\w+:", name):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), name))


def page_of(path: str) -> str:
    """Where the site has a file or folder of the repository, relative to the folder of pages."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"repository/{path}/index.md"
    return f"repository/{path}" if path.endswith(".md") else f"repository/{path}.md"


def origin_of(uri: str) -> str:
    """The inverse of :func:`page_of`; a folder ends in a slash."""
    path = uri.removeprefix("repository/")
    if path == uri:
        return f"docs/{uri}"
    if (ROOT / path).is_file():
        return path
    return path.removesuffix("index.md") if path.endswith("/index.md") else path.removesuffix(".md")


def text_of(path: Path) -> str:
    """A file or folder of the repository as Markdown."""
    title = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        names = sorted(
            one.relative_to(path).as_posix() for pattern in ("*.*", "*/README.md") for one in path.glob(pattern)
        )
        lines = (f"- [{name}]({name})" if name.endswith(".md") else f"- {name}" for name in names)
        return f"{NOT_SEARCHED}# {title}\n\n" + "\n".join(lines)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    if path.suffix == ".ipynb":
        return notebook(json.loads(text))
    return f"{NOT_SEARCHED}# {title}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"


def notebook(content: dict) -> str:
    """The cells of a notebook and what they show, as Markdown."""
    parts = []
    for cell in content["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [shown(output) for output in cell.get("outputs", [])]
    return "\n\n".join(parts)


def shown(output: dict) -> str:
    """What a cell shows: its picture, or else its text."""
    data = {kind: "".join(value) for kind, value in output.get("data", {}).items()}
    for kind in ("image/png", "image/svg+xml"):
        if kind in data:
            code = data[kind].strip() if kind == "image/png" else base64.b64encode(data[kind].encode()).decode()
            return f'<img alt="What the cell shows" src="data:{kind};base64,{code}">'
    return f"```text\n{data.get('text/plain', ''.join(output.get('text', '')))}\n```"
