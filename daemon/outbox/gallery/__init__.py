"""index.html: every job at a glance, in one plain page that opens from disk and keeps itself up to date.

The page is static and asks no server. What it shows lies beside it in `.gallery/`, in scripts, because a page opened from disk
may load scripts from there but not fetch files: `live.js` for what changes, `history-N.js` for what has ended. The folder's name
begins with a dot because no job id does, so that no job can ever take it, and because nobody needs to see it.
"""

from daemon.outbox.gallery.feed import FOLDER, Gallery
from daemon.outbox.gallery.page import render

__all__ = ["FOLDER", "Gallery", "render"]
