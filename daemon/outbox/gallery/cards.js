// One job as a card or a row.

function queued(job) {
  const name = make("b", "", link(held(nameOf(job)), `${job.id}/`, "Folder"));
  const words = make("p", "", due(job));
  if (job.batch) words.append(" · ", held(batchName(job)));
  if (job.error) words.append(job.retry && works() ? " · " : " · earlier attempt: ", said(job.error[0]));
  return make("li", "", name, words);
}

function due(job) {
  if (!works()) return "Pending";
  if (job.retry) return `Next attempt at ${exact.format(Date.parse(job.retry))}${job.attempts ? ` (attempt ${job.attempts + 1} of ${job.of})` : ""}`;
  if (state.live.state === "paused" || state.live.state === "offline") return `Pending, ${state.live.state}`;
  if (job.waits) return `Waits for ${job.waits}`;
  return job.position === 1 ? "Next" : job.position ? `Number ${job.position} in line` : "Pending";
}

function runningCard(job) {
  const bar = Object.assign(document.createElement("progress"), { max: 1 });
  bar.setAttribute("aria-label", `Progress of ${nameOf(job)}`);
  const title = make("h3", "", held(nameOf(job)));
  title.title = nameOf(job);
  const meta = make("p", "meta", make("bdi")); // filled in by `progress`
  if (job.batch) meta.append(" · ", held(batchName(job)));
  const links = make("p", "links", link("Folder", `${job.id}/`, "Folder"));
  return make("li", "card processing", make("div", "well", stack(), bar), make("div", "words", title, meta, links));
}

function progress(node, job) {
  const bar = node.querySelector("progress");
  const alive = works();
  if (job.fraction === undefined && alive) bar.removeAttribute("value");
  else bar.value = job.fraction ?? 0;
  const parts = [job.stage ?? "Starting"];
  if (job.fraction !== undefined) parts.push(percent(job.fraction));
  if (job.left !== undefined && alive) parts.push(left(job.left));
  if (job.machine) parts.push(`on ${job.machine}`);
  if (job.attempts) parts.push(unbroken(`attempt ${job.attempts} of ${job.of}`));
  if (!alive) parts.push(unbroken(LAST_HEARD));
  set(node.querySelector(".meta").firstChild, parts.join(" · "));
}

function endedCard(job) {
  const title = make("h3", "", held(nameOf(job)));
  title.title = `${nameOf(job)}\n${job.id}`;
  const words = make("div", "words", title, make("p", "meta", about(job)), linksOf(job));
  if (job.error) title.after(make("p", "hint", said(job.error[1])));
  if (job.warnings) words.append(notes(job.warnings));
  if (state.live?.redo) words.append(again(job));
  const card = make("li", `card ${job.state}`, well(job), words);
  card.id = `card-${job.id}`;
  const code = words.querySelector(".hint code");
  if (code) words.querySelector(".links").append(copier(code));
  if (estimate(job)) words.querySelector(".meta").after(Object.assign(make("p", "badge", "Estimated depth"), { title: ESTIMATED }));
  return card;
}
const ESTIMATED = "Depth was estimated without a model, so the layers may cut through things.";

/** The depth that the job asked for, if its depth was estimated and no later job of its picture did better; otherwise undefined. */
const estimate = (job) => (job.redone ? undefined : job.estimated);

/** Marks the jobs that others redo, so that each picture counts as estimated only as long as its best result is. */
function markRedone(all) {
  const better = new Map(all.filter((job) => job.redoOf && job.state === "completed").map((job) => [job.redoOf, job.id]));
  for (const job of all) job.redone = better.get(job.id);
}

/** How to make another result of the picture: by hand, or by a command to copy. */
function again(job) {
  const byHand = make("p", "", "In Finder or another file manager: drag this job's folder into a preset's folder in the inbox, such as ",
    make("code", "", "oil painting"), ". Drag a copy to keep the job where it is.");
  const byCommand = make("p", "", "In a terminal, for six layers:");
  const box = make("details", "notes again", make("summary", "", "Make another result"), byHand, byCommand, typed(state.live.redo.join(job.id)));
  if (job.redone) box.append(make("p", "", "Redone: ", link("the newer job", `${job.redone}/`, "Redone")));
  if (job.redoOf) box.append(make("p", "", "Made again from ", link("an earlier job", `${job.redoOf}/`, "Earlier")));
  return box;
}

/** A command, with a button that copies it. */
function typed(command) {
  const code = make("code", "", command);
  return make("p", "typed", code, copier(code));
}

/** A button that copies the text of an element. */
function copier(code) {
  const button = Object.assign(make("button", "ghost", "Copy"), { type: "button" });
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", () => copy(code, button));
  return button;
}

async function copy(code, button) {
  getSelection().selectAllChildren(code);
  let copied = true;
  // A page opened from disk may not always use the clipboard. Then try the older way; if that fails, the text stays selected.
  try { await navigator.clipboard.writeText(code.textContent); } catch { copied = document.execCommand("copy"); }
  set(button, copied ? "Copied" : "Selected");
  setTimeout(() => set(button, "Copy"), 2000);
}

function about(job) {
  const parts = [];
  if (job.state === "failed") parts.push("Failed");
  if (job.state === "cancelled") parts.push("Cancelled");
  if (job.layers) parts.push(job.layers);
  if (job.mode === "painterly" && job.state === "completed") parts.push("painterly");
  if (job.pruned) parts.push("result removed");
  if (job.seconds !== undefined) parts.push(duration(job.seconds));
  if (job.bytes) parts.push(unbroken(bytes(job.bytes)));
  if (job.attempts) parts.push(`${job.attempts} attempts`);
  if (job.machine) parts.push(`on ${job.machine}`);
  if (job.ended) parts.push(clock.format(Date.parse(job.ended)));
  return parts.join(" · ");
}

function linksOf(job) {
  const links = make("p", "links");
  const formats = FORMATS.map(([word, label]) => [label, job.files?.[word]]);
  const offer = [["Preview", job.files?.preview], ["Folder", `${job.id}/`], ...formats, ["Manifest", job.files?.manifest]];
  for (const [label, href] of offer) {
    if (!href) continue;
    const made = links.appendChild(link(label, href, label));
    made.setAttribute("aria-label", `${label} of ${nameOf(job)}`);
    if (label === "Preview") made.dataset.view = job.id;
    if (label === "PSD") made.download = nameOf(job).replace(/\.[^.]*$/, "") + href.slice(href.lastIndexOf("."));
  }
  return links;
}

function notes(warnings) {
  const list = make("ul", "", ...warnings.map((warning) => make("li", "", said(warning))));
  return make("details", "notes", make("summary", "", count(warnings.length, "note")), list);
}

function well(job) {
  if (job.state === "completed" && job.thumb) return shot(job);
  if (job.error && job.state === "failed") return told(job.error[0]);
  return make("div", "well", job.state === "completed" ? stack() : job.state === "failed" ? "Failed" : "Cancelled");
}

/** A sentence in a frame of the usual height. If it is longer, a button shows all of it. */
function told(sentence) {
  const text = make("p", "", said(sentence));
  const button = Object.assign(make("button", "ghost", "Show all"), { type: "button", hidden: true });
  const box = make("div", "well told", text, button);
  button.addEventListener("click", () => {
    set(button, box.classList.toggle("whole") ? "Show less" : "Show all");
    button.setAttribute("aria-expanded", String(box.classList.contains("whole")));
  });
  new ResizeObserver(() => {
    if (!box.classList.contains("whole")) button.hidden = text.scrollHeight <= text.clientHeight + 1;
  }).observe(text);
  return box;
}

function shot(job) {
  const frame = job.files?.preview ? link("", job.files.preview, "shot") : make("div");
  frame.className = "well shot";
  if (job.files?.preview) {
    frame.dataset.view = job.id;
    frame.tabIndex = -1; // the text link below leads to the same page
    frame.setAttribute("aria-hidden", "true");
  }
  const sheet = frame.appendChild(make("div", "sheet"));
  // The small picture of a painting is the photo that it was made from; its layers over each other are the painting.
  for (const src of job.mode === "painterly" && job.planes ? job.planes : [job.thumb]) {
    const picture = Object.assign(make("img"), { loading: "lazy", decoding: "async", alt: "", draggable: false });
    picture.addEventListener("load", () => {
      fit(sheet, picture.naturalWidth / picture.naturalHeight);
      frame.classList.add("seen"); // no checkerboard until then, since it stands for transparency
    });
    picture.addEventListener("error", () => frame.replaceChildren(stack()), { once: true });
    picture.src = src;
    sheet.append(picture);
  }
  if (job.planes) frame.addEventListener("pointerenter", () => part(frame, sheet, job.planes), { once: true });
  return frame;
}

/** Gives the sheet the shape of a picture (width by height), so that all of it is seen. One of nearly the frame's shape fills the frame. */
function fit(sheet, ratio) {
  if (ratio / FRAME > 1 + SPARE || FRAME / ratio > 1 + SPARE) {
    sheet.style.width = `${Math.min(1, ratio / FRAME) * 100}%`;
    sheet.style.height = `${Math.min(1, FRAME / ratio) * 100}%`;
  }
}
const FRAME = 3 / 2; // as in the style
const SPARE = 0.13; // the share of a picture that its frame may cut off: 4:3 fills it, a square doesn't

/** Spreads the picture into its layers under the pointer. */
async function part(frame, sheet, planes) {
  if (calm.matches || !fine.matches) return;
  const made = planes.map((src, k) => {
    const plane = Object.assign(make("img", "plane"), { src, alt: "", draggable: false });
    plane.style.setProperty("--travel", `${((k / Math.max(1, planes.length - 1) - 1 / 3) * -9).toFixed(2)}px`);
    return plane;
  });
  try {
    await Promise.all(made.map((plane) => plane.decode()));
  } catch {
    return; // the folder was removed; the still picture stays
  }
  sheet.append(...made);
  frame.addEventListener("pointermove", ({ clientX, clientY }) => {
    const box = frame.getBoundingClientRect();
    frame.style.setProperty("--x", ((clientX - box.left) / box.width - 0.5) * 2);
    frame.style.setProperty("--y", ((clientY - box.top) / box.height - 0.5) * 2);
  });
  frame.addEventListener("pointerenter", () => frame.classList.add("deep"));
  frame.addEventListener("pointerleave", () => frame.classList.remove("deep"));
  frame.classList.toggle("deep", frame.matches(":hover"));
}
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const fine = matchMedia("(hover: hover) and (pointer: fine)");
