"""index.html: every job at a glance, on one page that opens from disk and keeps itself up to date.

The page is static and needs no server. Its data are scripts next to it in `.gallery/`, because a page opened from disk may load
scripts from there, but may not fetch files: `live.js` for what changes, `history-N.js` for what has ended. The folder's name
begins with a dot because no job id does, so no job can take it, and because nobody needs to see it.
"""

from daemon.outbox.gallery.gallery import FOLDER, Gallery
from daemon.outbox.gallery.page import render

__all__ = ["FOLDER", "Gallery", "render"]
