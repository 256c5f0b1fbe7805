// A job's preview page in a frame, so that the list stays where it is, and with a way to the next job of the list.

const viewer = $("viewer");
const frame = viewer.querySelector("iframe");

/** The jobs that can be viewed: those with a preview among the ones that the filter and the search leave, in the page's order. */
const viewable = () => state.order.filter((job) => job.files?.preview);

/** Opens, changes or closes the viewer, as the address says. */
function renderViewer() {
  const list = viewable();
  const place = list.findIndex((job) => job.id === state.open);
  if (place < 0) {
    if (!viewer.open || (state.open && state.next >= 0)) return; // its job may be in a chunk that is still to be read
    viewer.close();
    return;
  }
  const job = list[place];
  if (frame.dataset.job !== job.id) {
    frame.dataset.job = job.id;
    frame.title = `Layers of ${nameOf(job)}`;
    frame.contentWindow.location.replace(new URL(job.files.preview, location.href)); // not a step for Back
  }
  set($("place"), `${(place + 1).toLocaleString()} of ${list.length.toLocaleString()}`);
  $("previous").disabled = place === 0;
  $("next").disabled = place === list.length - 1;
  if (!viewer.open) viewer.showModal();
}

function view(id) {
  state.open = id;
  state.pushed = true;
  remember(true);
  renderViewer();
}

/** Goes to the next (1) or previous (-1) job. */
function turnTo(step) {
  const list = viewable();
  const job = list[list.findIndex((each) => each.id === state.open) + step];
  if (!job) return;
  state.open = job.id;
  remember();
  renderViewer();
}

viewer.addEventListener("close", () => {
  const last = state.open ?? frame.dataset.job;
  delete frame.dataset.job;
  frame.contentWindow.location.replace("about:blank");
  state.open = null;
  if (state.pushed) {
    // Opening it was a step, so closing it is the step back; otherwise Back would lead to the same list again.
    [state.pushed, state.last] = [false, last];
    history.back();
    return;
  }
  state.sought = last;
  remember();
  render();
});
$("close").addEventListener("click", () => viewer.close());
$("previous").addEventListener("click", () => turnTo(-1));
$("next").addEventListener("click", () => turnTo(1));
viewer.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n" || event.key === "N") turnTo(1);
  if (event.key === "p" || event.key === "P") turnTo(-1);
});
addEventListener("message", ({ source, data }) => {
  if (source !== frame.contentWindow || !viewer.open) return;
  if (data === "close") viewer.close();
  if (data === "next") turnTo(1);
  if (data === "previous") turnTo(-1);
});
// A plain click on a preview opens the viewer. With a modifier, the browser opens the page itself, in a tab or a window.
$("history").addEventListener("click", (event) => {
  const id = event.target.closest("[data-view]")?.dataset.view;
  if (!id || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  view(id);
});
