// What the page shows is in its address, so that Back, a reload and a bookmark lead to the same jobs.

/** The part of the address after #: filter, search, folded lists and the job in the viewer. */
function written() {
  const parts = new URLSearchParams();
  if (state.filter !== "all") parts.set("show", state.filter);
  if ($("search").value) parts.set("find", $("search").value);
  if (state.folded.size) parts.set("fold", [...state.folded].join(","));
  if (state.open) parts.set("job", state.open);
  return parts.size ? `#${parts}` : location.pathname;
}

/** Puts what the page shows into its address; `isStep`: Back returns to what it showed before. */
function remember(isStep = false) {
  const kept = { top: scrollY, limit: state.limit };
  history[isStep ? "pushState" : "replaceState"](kept, "", written());
}

/** Shows what the address says. `at=ID` leads to a job's card. */
function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  state.filter = FILTERS.some(([key]) => key === parts.get("show")) ? parts.get("show") : "all";
  $("search").value = parts.get("find") ?? "";
  state.words = plain($("search").value).split(/\s+/).filter(Boolean);
  state.folded = new Set((parts.get("fold") ?? "").split(",").filter(Boolean));
  state.open = parts.get("job");
  state.sought = parts.get("at") ?? state.last;
  [state.pushed, state.last] = [false, null];
  state.limit = history.state?.limit ?? STEP;
  state.top = history.state?.top ?? null;
  render();
}

/** Goes to the place on the page where the person was, or to the job that the address names, once it is drawn. */
function settle() {
  if (state.sought) {
    const place = state.order.findIndex((job) => job.id === state.sought);
    if (place < 0) {
      if (state.live && state.next < 0) state.sought = null; // there is no such job
      return;
    }
    if (place >= state.limit) {
      state.limit = place + STEP;
      soon();
      return;
    }
    const card = document.getElementById(`card-${state.sought}`);
    state.sought = state.top = null;
    card.scrollIntoView({ block: "nearest" });
    card.querySelector("a")?.focus({ preventScroll: true, focusVisible: true });
    remember();
  } else if (state.top !== null && document.documentElement.scrollHeight >= state.top + innerHeight) {
    scrollTo(0, state.top);
    state.top = null;
  }
}

history.scrollRestoration = "manual"; // the jobs come later than the page, so a browser would not know where to go
addEventListener("popstate", recall);
let resting = null;
addEventListener("scroll", () => {
  clearTimeout(resting);
  resting = setTimeout(() => { if (state.top === null) remember(); }, 300);
}, { passive: true });
for (const event of ["wheel", "touchstart", "keydown"]) addEventListener(event, () => { state.top = null; }, { passive: true });
