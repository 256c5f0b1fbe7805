// Drawing the page, and what people can do on it.

const STEP = 60; // cards put on the page at a time
const UNFINISHED = "Unfinished"; // the running jobs, while no daemon is known to work on them
const LAST_HEARD = "as of the last report"; // beside what may be out of date
const ROWS = 4; // rows of the queue and of the waiting list before they are expanded

const state = {
  live: null, chunks: new Map(), stamps: new Map(), epoch: null, next: -1, allowed: AUTOMATIC,
  filter: "all", words: [], limit: STEP, unfolded: new Set(), folded: new Set(),
  order: [], open: null, pushed: false, last: null, sought: null, top: null,
  opened: Date.now(), heard: null, heardAt: 0,
};

const FILTERS = [
  ["all", "All", () => true],
  ["work", "In progress", (job) => job.state === "processing" || job.state === "pending"],
  ["completed", "Completed", (job) => job.state === "completed"],
  ["failed", "Failed", (job) => job.state === "failed"],
  ["cancelled", "Cancelled", (job) => job.state === "cancelled"],
];

/** Every job once: the live ones first, then the ended ones, most recent first. */
function jobs() {
  const found = new Map();
  for (const job of state.live?.jobs ?? []) found.set(job.id, job);
  for (const number of [...state.chunks.keys()].sort((a, b) => b - a)) {
    const chunk = state.chunks.get(number);
    for (let k = chunk.length - 1; k >= 0; k--) if (!found.has(chunk[k].id)) found.set(chunk[k].id, chunk[k]);
  }
  return [...found.values()];
}

const plain = (text) => text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase(); // a Mac writes é as two characters
const searched = new WeakMap();
function matches(job) {
  if (!state.words.length) return true;
  if (!searched.has(job)) searched.set(job, plain(`${nameOf(job)} ${job.id} ${job.batch ?? ""} ${job.batchName ?? ""}`));
  const text = searched.get(job);
  return state.words.every((word) => text.includes(word));
}

function render() {
  const all = jobs();
  markRedone(all);
  const hits = all.filter(matches);
  const shows = FILTERS.find(([key]) => key === state.filter)[2];
  const shown = hits.filter(shows);
  const ended = shown.filter((job) => job.state !== "processing" && job.state !== "pending");
  renderHealth(all);
  renderModel(all);
  renderFilters(all, hits);
  renderNow(shown.filter((job) => job.state === "processing"));
  renderBatches();
  renderQueue(shown.filter((job) => job.state === "pending"));
  renderWaiting();
  const groups = grouped(ended, all);
  state.order = groups.flatMap((group) => group.jobs);
  renderHistory(groups);
  $("older").hidden = state.next < 0 || state.stamps.size < state.allowed || ended.length > state.limit;
  renderEmpty(all, shown);
  renderViewer();
  settle();
  set($("found"), state.words.length || state.filter !== "all" ? `${count(shown.length, "job")} shown` : "");
}
const STATES = { starting: "Starting", running: "Running", paused: "Paused", offline: "Offline", stopped: "Stopped", refused: "Refused to start" };

function silentSince(live) {
  if (!live || live.state === "stopped" || live.state === "refused") return null;
  const alive = Date.parse(live.alive_at);
  const since = state.heardAt || Math.min(alive, state.opened);
  return Date.now() - since > SILENT ? alive : null;
}

/** Whether what the page knows about the running jobs is current. */
const works = () => Boolean(state.live) && silentSince(state.live) === null && !["stopped", "refused"].includes(state.live.state);

function renderHealth(all) {
  const { live } = state;
  const since = silentSince(live);
  const word = since !== null ? "Silent" : live ? STATES[live.state] : "No response yet";
  const parts = [word];
  if (live?.running) parts.push(`${live.running} ${works() ? "in progress" : "unfinished"}`);
  if (live?.pending) parts.push(`${live.pending.toLocaleString()} queued`);
  $("health").dataset.state = since !== null ? "silent" : live?.state ?? "";
  set($("health"), parts.join(" · "));
  const busiest = live?.jobs.find((job) => job.state === "processing" && job.fraction !== undefined);
  document.title = busiest && works() ? `${percent(busiest.fraction)} · Multiplane` : "Multiplane";
  const banner = $("banner");
  let text = null;
  const problem = since === null && live?.problem;
  if (since !== null) text = `Multiplane hasn't responded since ${moment(since)}.`;
  else if (!live && Date.now() - state.opened > 1500) text = "Multiplane hasn't responded yet.";
  else if (problem) text = [problem, live.hint].filter(Boolean).join(/[.!?]$/.test(problem) ? " " : ". ");
  else if (live?.state === "stopped") text = `Multiplane stopped at ${moment(Date.parse(live.alive_at))}.`;
  banner.hidden = text === null;
  banner.classList.toggle("bad", live?.state === "refused");
  if (text !== null && banner.dataset.text !== text) {
    banner.dataset.text = text;
    const sentence = make("p", "", problem ? said(text) : `${text} To start it, run this in a terminal:`);
    banner.replaceChildren(sentence, ...(problem ? [...sentence.querySelectorAll("code")].map(copier) : [typed(START)]));
  }
  const foot = live ? [`Multiplane ${live.version}`, `started ${moment(Date.parse(live.started_at))}`] : [];
  const taken = all.reduce((sum, job) => sum + (job.bytes ?? 0), 0);
  if (taken) foot.push(`${state.next >= 0 ? "more than " : ""}${bytes(taken)} of results`);
  if (live?.fault) foot.push(`watching the inbox failed and was repaired: ${unmarked(live.fault)}`);
  set($("foot"), foot.join(" · "));
}

/** While the depth of some pictures was only estimated: shows the command that fetches a model, or redoes them with it. */
function renderModel(all) {
  const estimated = all.some((job) => estimate(job) === "auto" && job.state === "completed");
  const command = estimated ? state.live?.fetch ?? state.live?.guessed : undefined;
  $("model").hidden = !command;
  if (!command) return;
  set($("model").querySelector("code"), command);
  set($("model").querySelector("p"), state.live.fetch ? NO_MODEL : WITH_MODEL);
}
const NO_MODEL = "No depth model is installed, so photos without depth of their own are cut by an estimate. To fetch one, run this in a terminal; photos you drop afterwards get real depth.";
const WITH_MODEL = "Some photos were cut by an estimate, before there was a depth model. To make new results of them with the model, run this in a terminal; the old results stay.";

$("model").querySelector("button").addEventListener("click", ({ target }) => copy($("model").querySelector("code"), target));

function renderFilters(all, hits) {
  const nav = $("filters");
  nav.hidden = all.length === 0;
  for (const [key, label, belongs] of FILTERS) {
    let button = nav.querySelector(`[data-filter=${key}]`);
    if (!button) {
      button = nav.appendChild(make("button", "", make("bdi", "", label), make("span")));
      button.type = "button";
      button.dataset.filter = key;
      button.addEventListener("click", () => choose(key));
    }
    if (key === "work") set(button.firstChild, works() ? label : UNFINISHED);
    const number = hits.filter(belongs).length;
    button.hidden = key !== "all" && key !== state.filter && !all.some(belongs);
    button.setAttribute("aria-pressed", String(key === state.filter));
    set(button.lastChild, number.toLocaleString() + (state.next >= 0 && key !== "work" ? "+" : ""));
  }
}
/** Makes these items the children of `parent`, in this order; a child whose text hasn't changed stays as it is. */
function arrange(parent, items) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map((item) => item.key));
  for (const [key, entry] of known) if (!wanted.has(key)) { entry.node.remove(); known.delete(key); }
  let at = parent.firstElementChild;
  for (const item of items) {
    let entry = known.get(item.key);
    if (!entry || (entry.says !== item.says && !item.change)) {
      const node = item.make();
      if (entry) {
        const focused = entry.node.contains(document.activeElement) && document.activeElement.dataset.role;
        if (at === entry.node) at = node;
        entry.node.replaceWith(node);
        if (focused) node.querySelector(`[data-role="${focused}"]`)?.focus();
      }
      entry = { node, says: item.says };
      known.set(item.key, entry);
    } else if (entry.says !== item.says) entry.says = item.says;
    item.change?.(entry.node);
    if (entry.node === at) at = at.nextElementSibling;
    else parent.insertBefore(entry.node, at);
  }
}

function renderNow(running) {
  $("now").hidden = running.length === 0;
  $("now").classList.toggle("still", !works());
  set($("now-title"), works() ? "In progress" : UNFINISHED);
  $("now").style.setProperty("--cards", running.length);
  arrange($("running"), running.map((job) => ({ key: job.id, says: "", make: () => runningCard(job), change: (node) => progress(node, job) })));
}

/** The batches that are not done: how many of how many, and how long the rest takes. */
function renderBatches() {
  const told = state.filter === "all" || state.filter === "work" ? state.live?.batches ?? [] : [];
  const rows = told.filter(([, name]) => state.words.every((word) => plain(name).includes(word)));
  $("batches").hidden = rows.length === 0;
  arrange($("batches").querySelector(".rows"), rows.map(([, name, ended, total, failed, rest], place) => {
    const parts = [`${ended.toLocaleString()} of ${total.toLocaleString()}`];
    if (failed) parts.push(`${failed.toLocaleString()} failed`);
    if (rest !== null && works()) parts.push(left(rest));
    if (!works()) parts.push(LAST_HEARD);
    const bar = () => Object.assign(document.createElement("progress"), { max: total, value: ended, ariaLabel: `Progress of ${name}` });
    return { key: place, says: `${name}\n${parts.join(" · ")}`, make: () => make("li", "", make("b", "", held(name)), make("p", "", parts.join(" · ")), bar()) };
  }));
}

/** A list that shows its first rows, and all known ones when it is expanded. */
function renderRows(section, items, total, what, said = "", reasons = []) {
  const unfolded = state.unfolded.has(section.id), folded = state.folded.has(section.id);
  section.hidden = items.length === 0;
  section.classList.toggle("folded", folded);
  section.querySelector(".fold").setAttribute("aria-expanded", String(!folded));
  set(section.querySelector("h2 .quiet"), total.toLocaleString() + said);
  arrange(section.querySelector(".rows"), unfolded ? items : items.slice(0, ROWS));
  const button = section.querySelector(".all");
  button.hidden = items.length <= ROWS;
  button.setAttribute("aria-expanded", String(unfolded));
  set(button, unfolded ? "Show fewer" : items.length < total ? `Show the first ${items.length}` : `Show all ${items.length}`);
  const more = section.querySelector(".more");
  more.hidden = total <= items.length || (!unfolded && items.length > ROWS);
  const rest = make("p", "", `… and ${(total - items.length).toLocaleString()} more ${what}`);
  reasons.forEach(([reason, count], place) => rest.append(place ? "; " : ": ", `${count.toLocaleString()} `, held(unmarked(reason))));
  if (more.textContent !== rest.textContent) more.replaceChildren(...rest.childNodes);
}

function renderQueue(pending) {
  const total = state.words.length ? pending.length : Math.max(pending.length, state.live?.pending ?? 0);
  const daemon = works() ? state.live.state : "away"; // every row shows it, so it is part of what decides whether a row is drawn again
  renderRows($("queue"), pending.map((job) => ({ key: job.id, says: `${daemon} ${JSON.stringify(job)}`, make: () => queued(job) })), total, total - pending.length === 1 ? "job" : "jobs");
}

function renderWaiting() {
  const told = state.filter === "all" || state.filter === "work" ? state.live?.waiting ?? [] : [];
  const rows = told.filter(([path]) => state.words.every((word) => plain(path).includes(word)));
  renderRows($("waiting"), rows.map(([path, reason], place) => ({
    key: place, says: `${path}\n${reason}`, make: () => make("li", "", make("b", "", held(path)), make("p", "", said(reason))),
  })), state.words.length ? rows.length : state.live?.waiting_total ?? 0, "in the inbox", works() ? "" : ` · ${LAST_HEARD}`, state.live?.waiting_more);
  // A frequent first mistake: a picture directly in the inbox, where it waits for its YAML file.
  $("bare").hidden = !rows.some(([path, reason]) => !path.includes("/") && reason === `waiting for ${path.replace(/\.[^.]*$/, "")}.yaml`);
}

/** The ended jobs that are shown: a batch under its name, single drops under the day on which they ended. */
function grouped(ended, all) {
  const groups = new Map(), whole = new Map();
  for (const { batch } of all) if (batch !== undefined) whole.set(batch, (whole.get(batch) ?? 0) + 1);
  // While there are older jobs to load, some of them may belong to a batch that the oldest loaded ones belong to.
  const oldest = state.next >= 0 ? state.chunks.get(Math.min(...state.chunks.keys())) ?? [] : [];
  const torn = new Set(oldest.map((job) => job.batch));
  for (const job of ended) {
    const day = dayOf(Date.parse(job.ended ?? job.created));
    const key = job.batch === undefined ? `day ${day}` : `batch ${job.batch}`;
    if (!groups.has(key)) groups.set(key, { key, day, batch: job.batch, whole: whole.get(job.batch), torn: torn.has(job.batch), jobs: [] });
    groups.get(key).jobs.push(job);
  }
  return [...groups.values()];
}

/** Draws the first cards of the groups, up to the limit. */
function renderHistory(groups) {
  let room = state.limit;
  const shown = [];
  for (const group of groups) {
    if (room <= 0) break;
    shown.push({ ...group, cards: group.jobs.slice(0, room) });
    room -= group.jobs.length;
  }
  arrange($("history"), shown.map((group, place) => ({
    key: group.key, says: "",
    make: () => {
      const section = make("section", "block", make("h2", "", make("bdi"), make("span", "quiet")), make("ul", "grid"));
      section.firstChild.id = `group-${place}-${Math.random().toString(36).slice(2)}`;
      section.setAttribute("aria-labelledby", section.firstChild.id);
      return section;
    },
    change: (section) => {
      const [name, told] = section.firstChild.children;
      set(name, group.batch === undefined ? dayName(group.day) : batchName(group.jobs[0]));
      set(told, tally(group));
      arrange(section.lastChild, group.cards.map((job) => ({ key: job.id, says: JSON.stringify(job), make: () => endedCard(job) })));
    },
  })));
  $("tail").hidden = room > 0;
}

function tally({ batch, day, whole, torn, jobs: list }) {
  const taken = list.reduce((sum, job) => sum + (job.bytes ?? 0), 0);
  const size = taken ? bytes(taken) : null;
  if (batch === undefined) return [count(list.length, "job"), size].filter(Boolean).join(" · ");
  // What the daemon counts includes jobs that this page has not loaded, and pictures that are still in the inbox.
  const known = state.live?.batches.find(([id]) => id === batch);
  const [, , ended = 0, total = 0] = known ?? [];
  const shown = state.filter === "all" && !state.words.length ? Math.max(list.length, ended) : list.length;
  const pictures = Math.max(whole, total);
  const inAll = `${torn && !known ? "at least " : ""}${count(pictures, "picture")}`;
  const told = shown < pictures ? `${shown.toLocaleString()} of ${inAll}` : `Batch of ${inAll}`;
  const failed = list.filter((job) => job.state === "failed").length;
  return [told, failed ? `${failed} failed` : null, size, dayWithin(day)].filter(Boolean).join(" · ");
}

function renderEmpty(all, shown) {
  const box = $("empty");
  const kind = !state.live ? "" : all.length === 0 && state.next < 0 ? "none" : shown.length === 0 ? "filtered" : "";
  box.hidden = kind === "";
  if (box.dataset.kind === kind) return;
  box.dataset.kind = kind;
  if (kind === "none") {
    box.replaceChildren(stack(), make("h2", "", "Nothing here yet"),
      make("p", "quiet", "Drop a photo into the folder ", make("code", "", "photo in 4 layers"), " in the inbox. Its layers appear here."),
      make("p", "quiet", "To choose how it is made, drop ", make("code", "", "photo.jpg"), " and ", make("code", "", "photo.yaml"), " into the inbox itself."));
  } else if (kind === "filtered") {
    const button = Object.assign(make("button", "ghost", "Show all jobs"), { type: "button" });
    button.addEventListener("click", () => { $("search").value = ""; state.words = []; choose("all"); });
    box.replaceChildren(make("h2", "", "No matching jobs"), make("p", "quiet", "None of the jobs on this page match."), button);
  } else box.replaceChildren();
}

function choose(key) {
  state.filter = key;
  state.limit = STEP;
  remember(true);
  render();
}

$("search").addEventListener("input", ({ target }) => {
  state.words = plain(target.value).split(/\s+/).filter(Boolean);
  state.limit = STEP;
  remember();
  render();
});
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.value === "") event.target.blur();
});
for (const name of ["queue", "waiting"]) {
  $(name).querySelector(".all").addEventListener("click", () => {
    if (!state.unfolded.delete(name)) state.unfolded.add(name);
    render();
  });
  $(name).querySelector(".fold").addEventListener("click", () => {
    if (!state.folded.delete(name)) state.folded.add(name);
    remember();
    render();
  });
}
$("older").addEventListener("click", () => { state.allowed += AUTOMATIC; fill(); });
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input")) return;
  event.preventDefault();
  $("search").focus();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) round(); });
new IntersectionObserver((seen) => {
  if (!seen.some((entry) => entry.isIntersecting) || $("tail").hidden) return;
  state.limit += STEP;
  render();
}, { rootMargin: "1200px" }).observe($("tail"));

recall();
round();
