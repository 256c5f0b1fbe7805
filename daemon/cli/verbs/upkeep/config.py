"""config: shows every setting that applies, and where it is set."""

import os
from typing import Any

from rich.table import Table
from rich.text import Text

from daemon.cli.answers import Configuration, Setting
from daemon.cli.common import Home, Json, err, give_up, out, print_json, printable, settings_of
from daemon.errors import Refusal
from daemon.settings import Settings
from daemon.settings.loading import origins
from daemon.settings.sources import SHIPPED, user_file_of


def config(home: Home = None, json: Json = False) -> None:
    """Show every setting that applies, and where it is set."""
    settings = settings_of(home)
    try:
        found = _found(settings)
    except Refusal as refusal:
        give_up(refusal)
    if json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("setting", "value", "set in"):
        table.add_column(heading, overflow="fold")
    for one in found.settings:
        place = "default" if one.is_default else one.origin + (f", line {one.line}" if one.line else "")
        style = "dim" if one.is_default else ""
        table.add_row(*(Text(printable(part), style=style) for part in (one.key, _shown(one.value), place)))
    out.print(table, soft_wrap=False)
    where = found.user_file or "nowhere: MULTIPLANE_CONFIG is empty"
    err.print(f"Your own settings go into {printable(where)}; {SHIPPED} explains each.", markup=False)


def _found(settings: Settings) -> Configuration:
    values = settings.model_dump(mode="json")
    paths, own = settings.paths, user_file_of(os.environ)
    return Configuration(
        home=str(paths.home),
        inbox=str(paths.inbox),
        outbox=str(paths.outbox),
        state=str(paths.state),
        models=str(paths.models),
        deliveries=str(paths.deliveries) if paths.deliveries else None,
        user_file=os.path.abspath(own) if own else None,
        settings=tuple(
            Setting(key=f"{group}.{key}", value=values[group][key], origin=origin, line=line, is_default=origin == str(SHIPPED))
            for (group, key), (origin, line) in origins(os.environ).items()
        ),
    )


def _shown(value: Any) -> str:  # noqa: ANN401 - a value of any setting
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, list) else str(value)
