"""``scenograph studio`` and ``scenograph serve``."""

from __future__ import annotations

from typing import Annotated

import typer

PORT = 8765
Folders = list[str] | None

Port = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port to listen on; 0 takes any that is free.")
]
Host = Annotated[
    str, typer.Option("--host", metavar="HOST", help="Address to listen on. Others than this machine's need a token.")
]
Layouts = Annotated[
    Folders, typer.Option("--layout", metavar="NAME=FOLDER", help="Layout model to offer by a name. Repeatable.")
]
Images = Annotated[
    Folders, typer.Option("--image", metavar="NAME=FOLDER", help="Image model to offer by a name. Repeatable.")
]
Memories = Annotated[
    Folders, typer.Option("--memory", metavar="NAME=FOLDER", help="Memory of crops to offer by a name. Repeatable.")
]
Searches = Annotated[
    Folders, typer.Option("--search", metavar="NAME=FOLDER", help="Index of scenes to offer by a name. Repeatable.")
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TEXT",
        envvar="SCENOGRAPH_TOKEN",
        show_envvar=False,
        help="What clients must know; also read from SCENOGRAPH_TOKEN. (default: none on this machine, else a new one)",
    ),
]


def studio(
    port: Port = PORT,
    host: Host = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page in a browser.")] = False,
    layout: Layouts = None,
    image: Images = None,
    memory: Memories = None,
    search: Searches = None,
    token: Token = None,
) -> None:
    """Edit scenes in the browser, and see pictures of them as you edit.

    Ends with Ctrl-C.
    """
    _run(port, host, not no_browser, layout, image, memory, search, token)


def serve(
    port: Port = PORT,
    host: Host = "127.0.0.1",
    layout: Layouts = None,
    image: Images = None,
    memory: Memories = None,
    search: Searches = None,
    token: Token = None,
) -> None:
    """Serve layouts and pictures of scenes over HTTP.

    The page /docs describes all routes. Ends with Ctrl-C.
    """
    _run(port, host, False, layout, image, memory, search, token)


def _run(
    port: int,
    host: str,
    browser: bool,
    layouts: Folders,
    images: Folders,
    memories: Folders,
    searches: Folders,
    token: str | None,
) -> None:
    from scenograph.studio.server.run import run_service  # needs the extra, and torch, which takes a while to import

    run_service(port, host, browser, layouts or [], images or [], memories or [], searches or [], token)
