// What the daemon reports, read again and again from the scripts beside the page.

const FOLDER = ".gallery/";
const POLL = 2000; // ms
const AUTOMATIC = 25; // chunks of 200 jobs that are loaded without asking

globalThis.multiplane = {
  live(told) { state.live = told; },
  history(number, jobs) { state.chunks.set(number, jobs); },
};

const read = (name) => new Promise((done) => {
  const script = make("script");
  const finish = (fine) => { script.remove(); done(fine); };
  script.onload = () => finish(true);
  script.onerror = () => finish(false);
  script.src = `${FOLDER}${name}?${Date.now()}`; // the query string bypasses the browser's cache
  document.head.append(script);
});

async function poll() {
  await read("live.js");
  const { live } = state;
  if (live && live.alive_at !== state.heard) {
    // The clocks of two machines may differ, so only a change counts: if `alive_at` has changed, the daemon is alive.
    if (state.heard !== null) state.heardAt = Date.now();
    state.heard = live.alive_at;
  }
  if (live) await follow(live.history);
  render();
}

/** Reads the newest chunk if there is a new one, and every chunk that has changed. */
async function follow({ epoch, last, stamps }) {
  if (epoch !== state.epoch) {
    state.epoch = epoch;
    state.chunks.clear();
    state.stamps.clear();
    state.next = last;
  }
  const newest = state.stamps.size ? Math.max(...state.stamps.keys()) : last;
  const wanted = new Set([last]);
  for (let number = newest; number < last; number++) wanted.add(number);
  for (const number of state.stamps.keys()) wanted.add(number);
  for (const number of [...wanted].sort((a, b) => b - a)) {
    const stamp = stamps[number] ?? 0;
    if (state.stamps.get(number) === stamp) continue;
    if (await read(`history-${number}.js`)) state.stamps.set(number, stamp);
  }
  state.next = Math.min(...state.stamps.keys(), last) - 1;
}

/** Reads older chunks, newest first, up to the number that is loaded without asking. */
async function fill() {
  while (state.next >= 0 && state.stamps.size < state.allowed) {
    const { epoch, next } = state;
    const fine = await read(`history-${next}.js`);
    if (epoch !== state.epoch || !fine) return;
    state.stamps.set(next, state.live.history.stamps[next] ?? 0);
    state.next = next - 1;
    soon();
  }
  soon();
}

let planned = false;
function soon() {
  if (planned) return;
  planned = true;
  setTimeout(() => { planned = false; render(); }, 60);
}

let turn = null;
async function round() {
  clearTimeout(turn);
  if (!document.hidden) {
    await poll();
    await fill();
  }
  clearTimeout(turn);
  turn = setTimeout(round, POLL);
}
