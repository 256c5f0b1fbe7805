"""index.html: every job at a glance, in one plain page that opens from disk and reloads itself."""

from collections.abc import Sequence
from html import escape
from string import Template
from urllib.parse import quote

from daemon.contract.status import Status
from daemon.outbox.views import Health

_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5"><meta name="color-scheme" content="light dark">
<title>Multiplane</title>
<style>
:root { --ground: #f6f5f2; --card: #fff; --ink: #23211d; --soft: #76726a; --line: #e3e0d8; --good: #2f7d4f; --bad: #b3372f;
  --busy: #2b64b4; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #191817; --card: #232220; --ink: #ebe8e1; --soft: #9c978c; --line: #37342f;
  --good: #6fc393; --bad: #ee8a80; --busy: #86b3f1; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 68rem; padding: 2.5rem 1.5rem 4rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; font-weight: 650; margin: 0 } h2 { font-size: 1.05rem; margin: 2.5rem 0 .75rem }
.soft { color: var(--soft) } .note { color: var(--bad); margin: .5rem 0 0 }
.jobs { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem; padding: 0; list-style: none }
.job { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; overflow: hidden; display: flex;
  flex-direction: column }
.job img { width: 100%; height: 11rem; object-fit: cover; object-position: top; display: block;
  border-bottom: 1px solid var(--line) }
.job div { padding: .8rem 1rem 1rem } .job p { margin: .25rem 0 } bdi { overflow-wrap: anywhere; font-weight: 600 }
.state { font-size: .82rem; font-weight: 650 } .completed { color: var(--good) } .failed { color: var(--bad) }
.processing { color: var(--busy) } .pending, .cancelled { color: var(--soft) }
progress { width: 100%; accent-color: var(--busy) } a { color: inherit }
table { border-collapse: collapse; width: 100% } td { padding: .4rem .8rem .4rem 0; border-top: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere }
</style>
<header><h1>Multiplane</h1><p class="soft">$summary</p>$problem</header>
<main>$jobs$waiting</main>
</html>
""")


def render(statuses: Sequence[Status], health: Health) -> str:
    """The page. Every name and sentence is text in it, whatever it contains."""
    problem = f'<p class="note">{escape(" ".join(filter(None, (health.problem, health.hint))))}</p>' if health.problem else ""
    cards = "".join(map(_card, statuses)) or '<li class="soft">Nothing yet: drop a picture into the inbox.</li>'
    return _PAGE.substitute(
        summary=escape(_summary(health)),
        problem=problem,
        jobs=f'<h2>Jobs</h2><ul class="jobs">{cards}</ul>',
        waiting=_waiting(health),
    )


def _summary(health: Health) -> str:
    state = {"running": "Running", "paused": "Paused", "offline": "Offline", "stopped": "Stopped", "starting": "Starting"}
    parts = [state.get(health.state, "Refused to start"), f"{health.pending} pending", f"{len(health.processing)} in work"]
    return " · ".join([*parts, f"version {health.version}"])


def _card(status: Status) -> str:
    folder = quote(status.job_id)
    name = escape(status.source.image if status.source else status.job_id)
    lines = [f'<p><bdi>{name}</bdi></p><p class="state {status.state}">{_state(status)}</p>']
    if status.progress:
        percent = round(status.progress.fraction * 100)
        lines.append(f'<progress max="100" value="{percent}" aria-label="{percent} %"></progress>')
    if status.error:
        lines.append(f"<p>{escape(status.error.message)}</p><p class='soft'>{escape(status.error.hint)}</p>")
    lines += [f"<p class='soft'>{escape(warning)}</p>" for warning in status.warnings]
    kinds = {output.kind: output.path for output in status.outputs}
    picture = ""
    links = [("preview", "Preview"), ("psd", "PSD"), ("manifest", "Manifest")]
    if "contact_sheet" in kinds:
        target = quote(kinds.get("preview", kinds["contact_sheet"]))
        sheet = quote(kinds["contact_sheet"])
        picture = f'<a href="{folder}/{target}"><img loading="lazy" alt="" src="{folder}/{sheet}"></a>'
    anchors = [f'<a href="{folder}/{quote(kinds[kind])}">{text}</a>' for kind, text in links if kind in kinds]
    lines.append(f'<p class="soft">{" · ".join([f"<a href={chr(34)}{folder}/{chr(34)}>Folder</a>", *anchors])}</p>')
    return f'<li class="job">{picture}<div>{"".join(lines)}</div></li>'


def _state(status: Status) -> str:
    if status.state == "processing" and status.progress:
        return escape(f"{status.progress.stage} · {status.progress.fraction:.0%}")
    if status.state == "pending" and status.queue_position:
        return f"pending · number {status.queue_position} in the queue"
    if status.state == "completed" and status.processing_seconds is not None:
        return f"completed · {status.processing_seconds:.1f} s"
    return status.state


def _waiting(health: Health) -> str:
    if not health.waiting_total:
        return ""
    rows = "".join(f"<tr><td><bdi>{escape(item.path)}</bdi></td><td>{escape(item.reason)}</td></tr>" for item in health.waiting)
    more = health.waiting_total - len(health.waiting)
    rest = f'<p class="soft">… and {more} more</p>' if more > 0 else ""
    return f"<h2>Waiting in the inbox</h2><table>{rows}</table>{rest}"
