"""index.html: a page that shows all jobs, can be opened from disk, and keeps itself up to date.

The page is static and needs no server. Its data are scripts in the folder `.gallery/` next to it: `live.js` for the running and
pending jobs, `history-N.js` for the ended ones. They are scripts because a page opened from disk may load scripts, but may not
fetch files. The folder's name begins with a dot: no job id does, so no job can have this name, and the folder is hidden.
"""

from daemon.outbox.gallery.gallery import FOLDER, Gallery
from daemon.outbox.gallery.page import render

__all__ = ["FOLDER", "Gallery", "render"]
