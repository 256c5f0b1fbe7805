"""Makes index.html: markup, style, scripts and the command that starts the daemon. The jobs are in files of their own."""

import base64
import hashlib
import re
from importlib.resources import files

from daemon.contract.registry import FORMATS
from daemon.outbox.gallery.cards import inert
from daemon.outbox.status_files import SILENT_SECONDS

_SCRIPTS = ("words.js", "feed.js", "cards.js", "viewer.js", "address.js", "page.js")


def render(start: str) -> str:
    """The content of index.html, made from page.html, page.css and the scripts next to this module.

    Args:
        start: the command that starts the daemon.
    """
    folder = files("daemon.outbox.gallery")
    frame, style, *scripts = (folder.joinpath(name).read_text("utf-8") for name in ("page.html", "page.css", *_SCRIPTS))
    # The scripts share names. The braces make a block, so that these names do not become properties of the window.
    formats = f"const FORMATS = {inert([[each.word, each.label] for each in FORMATS])};\n"
    silent = f"const SILENT = {SILENT_SECONDS * 1000:.0f}; // ms without a word, after which the daemon is called silent\n"
    command = f"const START = {inert(start)};\n"
    script = '"use strict";\n{\n' + formats + silent + command + "".join(scripts) + "}\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {"STYLE": style, "SCRIPT": script, "SCRIPT_HASH": digest}
    return re.sub(r"\{\{([A-Z_]+)\}\}", lambda found: parts[found[1]], frame)
