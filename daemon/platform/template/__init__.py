"""A template: a process that has loaded what workers need, and forks them. Only on Linux.

On macOS a process that has loaded the system's frameworks must not fork without starting another program, because those
frameworks use threads and Mach ports that do not survive a fork. There, `POSSIBLE` is False, no template is ever started, and a
warm worker alone saves the time of the imports.
"""

import sys

from daemon.platform.template.linux import Template, TemplateLost

POSSIBLE = sys.platform == "linux"

__all__ = ["POSSIBLE", "Template", "TemplateLost"]
