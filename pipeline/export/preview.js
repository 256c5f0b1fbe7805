"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const [view, stage, scene, wipe, wipeAt, histogram] = ["view", "stage", "scene", "wipe", "wipe-at", "histogram"].map($);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const count = data.layers.length;
  const framed = parent !== window; // shown by the page of all jobs, which has its own way back

  // Seen from the upper left, as exploded drawings are: far planes rise to the left, near ones come down to the right.
  const REST = { yaw: 32, pitch: -16 };
  const PERSPECTIVE = 1800; // px, as in the style
  const THUMB = 56 / 39; // a layer's small picture, width by height, as in the style
  const IDLE_AFTER = 2600; // ms without a hand on it until it drifts by itself
  const state = {
    view: "parallax", on: data.layers.map(() => true), drifting: !calm.matches, lastTouch: -Infinity,
    aim: { x: 0, y: 0 }, at: { x: 0, y: 0 }, turn: { yaw: 0, pitch: 0 }, explode: 0, tilt: null,
  };

  // ---- what is on the page -------------------------------------------------------------------------------------------

  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const percent = (share) => (share > 0 && share < 0.01 ? "< 1" : String(Math.round(share * 100))) + " %";
  const picture = (src) => Object.assign(make("img"), { src, alt: "", draggable: false });

  // A result that was dropped once more lies below the newer job, in `earlier`. The page of all jobs lists only that one.
  const place = /\/([^/]+)((?:\/earlier(?:-\d+)?)*)\/result\/preview\.html$/.exec(location.pathname);
  $("back").hidden = framed || !place;
  if (place) $("back").href = `${"../".repeat(place[2].split("/").length + 1)}index.html#at=${place[1]}`;
  for (const node of document.querySelectorAll(".framed")) node.hidden = !framed;
  for (const [name, value] of Object.entries({ w: data.width, h: data.height, zoom: data.zoom, tint: 0.28 / count }))
    document.body.style.setProperty(`--${name}`, value);
  document.body.classList.toggle("many", count > 6);
  scene.setAttribute("aria-label", `The picture, made of ${data.layers.map((layer) => layer.name).join(", ")}`);
  $("size").textContent = `${data.made} · ${data.width} × ${data.height}`;
  if (data.painted) {
    $("after").textContent = "Painting";
    wipeAt.setAttribute("aria-label", "How much of the photo is shown, against the painting");
    $("size").textContent = `Painting · ${$("size").textContent}`;
  }
  wipe.querySelector("img").src = document.querySelector(".glow").src; // once, because the picture may be in the address itself
  if (data.note) Object.assign($("note"), { textContent: data.note, hidden: false });

  const planes = data.layers.map((layer) => {
    const plane = make("div", "layer");
    plane.style.setProperty("--mark", layer.colour);
    const tag = make("span", "tag");
    tag.append(make("bdi", "", layer.name));
    plane.append(picture(layer.src), tag);
    scene.append(plane);
    return plane;
  });

  const rows = data.layers.map((layer, index) => {
    const row = make("button");
    row.type = "button";
    row.setAttribute("role", "switch");
    row.style.setProperty("--mark", layer.colour);
    const thumb = make("span", "thumb");
    thumb.append(cropped(picture(layer.src), layer.box));
    const name = make("span", "name");
    name.append(make("bdi", "", layer.name));
    const [far, near] = layer.range.map((value) => value.toFixed(2));
    row.append(thumb, name, make("span", "switch"), make("span", "detail", layer.coverage ? `${percent(layer.coverage)} · depth ${far}–${near}` : "empty"));
    row.addEventListener("click", () => toggle(index));
    for (const event of ["pointerenter", "focus"]) row.addEventListener(event, () => light(index));
    for (const event of ["pointerleave", "blur"]) row.addEventListener(event, () => light(-1));
    return row;
  });
  for (let index = count - 1; index >= 0; index--) {
    const { file, name } = data.layers[index];
    const item = $("layers").appendChild(make("li"));
    item.append(rows[index]);
    if (file) item.append(Object.assign(opening(make("a", "file", "PNG"), file), { ariaLabel: `${name} as PNG` }));
  }

  for (const [label, value] of data.facts) {
    const shown = make("dd");
    shown.append(make("bdi", "", value));
    $("facts").append(make("dt", "", label), shown);
  }
  for (const [label, target] of data.links) $("links").append(opening(make("a", "", label), target));

  const bars = drawHistogram();

  /** A link to a file. In the frame of the page of all jobs, it must not replace this page. */
  function opening(link, href) {
    return Object.assign(link, { href, target: framed ? "_blank" : "" });
  }

  /** Shows only the part of a picture in `box`: left, top, width and height, as fractions of the picture. */
  function cropped(image, [left, top, width, height]) {
    const side = data.width / data.height / THUMB;
    const scale = 0.94 * Math.min(1 / width, side / height); // the picture's width, in widths of the frame
    const place = { width: scale, height: scale / side, left: 0.5 - (left + width / 2) * scale, top: 0.5 - (top + height / 2) * scale / side };
    for (const [name, value] of Object.entries(place)) image.style[name] = `${(value * 100).toFixed(3)}%`;
    return image;
  }

  function drawHistogram() {
    const shape = (tag, attributes) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      histogram.append(node);
      return node;
    };
    const bins = data.histogram.length, width = 256 / bins;
    const drawn = data.histogram.map((height, bin) => {
      const layer = data.thresholds.filter((threshold) => threshold <= (bin + 0.5) / bins).length;
      const tall = height * 88;
      const bar = shape("rect", { x: bin * width, y: 96 - tall, width: width * 0.86, height: tall, fill: data.layers[layer].colour });
      bar.dataset.layer = layer;
      return bar;
    });
    shape("line", { class: "base", x1: 0, x2: 256, y1: 96, y2: 96 });
    for (const threshold of data.thresholds) shape("line", { class: "threshold", x1: threshold * 256, x2: threshold * 256, y1: 0, y2: 96 });
    histogram.setAttribute("aria-label", `Histogram of depth from far to near, split at ${data.thresholds.map((t) => t.toFixed(2)).join(", ")}`);
    return drawn;
  }

  // ---- what a person can do ------------------------------------------------------------------------------------------

  function toggle(index, on = !state.on[index]) {
    state.on[index] = on;
    planes[index].classList.toggle("off", !on);
    rows[index].setAttribute("aria-checked", String(on));
  }

  function light(index) {
    scene.classList.toggle("dimming", index >= 0 && state.on[index]);
    histogram.classList.toggle("dimming", index >= 0);
    planes.forEach((plane, k) => plane.classList.toggle("lit", k === index));
    bars.forEach((bar) => bar.classList.toggle("lit", Number(bar.dataset.layer) === index));
  }

  function show(name) {
    state.view = name;
    document.body.classList.toggle("exploded", name === "exploded");
    wipe.hidden = name !== "wipe";
    $("depth").hidden = name !== "depth";
    if (still()) aim(0, 0);
    wake();
    for (const tab of document.querySelectorAll("[data-view]")) tab.setAttribute("aria-pressed", String(tab.dataset.view === name));
  }

  function drift(on) {
    state.drifting = on;
    $("drift").setAttribute("aria-pressed", String(on));
    wake();
  }

  const still = () => state.view === "wipe" || state.view === "depth"; // there, photo and layers stay in register
  const clamp = (value) => Math.max(-1, Math.min(1, value));
  function aim(x, y) {
    state.aim = { x: clamp(x), y: clamp(y) };
    state.lastTouch = performance.now();
    wake();
  }

  function reset() {
    planes.forEach((_, index) => toggle(index, true));
    state.turn = { yaw: 0, pitch: 0 };
    aim(0, 0);
  }

  let drag = null;
  view.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, from: { ...state.aim }, turn: { ...state.turn } };
  });
  addEventListener("pointermove", (event) => {
    if (drag && state.view === "exploded") {
      state.turn.yaw = drag.turn.yaw + (event.clientX - drag.x) * 0.25;
      state.turn.pitch = Math.max(-50, Math.min(50, drag.turn.pitch - (event.clientY - drag.y) * 0.2));
      state.lastTouch = performance.now();
      wake();
    } else if (still()) {
      return;
    } else if (drag && event.pointerType !== "mouse") {
      const box = stage.getBoundingClientRect();
      aim(drag.from.x - ((event.clientX - drag.x) / box.width) * 2.4, drag.from.y - ((event.clientY - drag.y) / box.height) * 2.4);
    } else if (event.pointerType === "mouse" && view.contains(event.target) && !calm.matches) {
      const box = view.getBoundingClientRect();
      aim(((event.clientX - box.left) / box.width) * 2 - 1, ((event.clientY - box.top) / box.height) * 2 - 1);
    }
  });
  for (const event of ["pointerup", "pointercancel"]) addEventListener(event, () => (drag = null));

  addEventListener("deviceorientation", (event) => {
    if (event.beta === null || event.gamma === null || calm.matches) return;
    state.tilt ??= { beta: event.beta, gamma: event.gamma };
    // How it is held becomes the middle little by little, so that a new grip is not a lasting slant.
    state.tilt.beta += (event.beta - state.tilt.beta) * 0.01;
    state.tilt.gamma += (event.gamma - state.tilt.gamma) * 0.01;
    if (!drag && !still()) aim((event.gamma - state.tilt.gamma) / 18, (event.beta - state.tilt.beta) / 18);
  });
  const permission = window.DeviceOrientationEvent?.requestPermission;
  if (permission && matchMedia("(pointer: coarse)").matches) {
    $("tilt").hidden = false;
    $("tilt").addEventListener("click", () => permission.call(DeviceOrientationEvent).then(
      (answer) => ($("tilt").hidden = answer === "granted"),
      () => Object.assign($("tilt"), { disabled: true, textContent: "No tilt here" }), // from disk some browsers have none
    ));
  }

  for (const tab of document.querySelectorAll("[data-view]")) tab.addEventListener("click", () => show(tab.dataset.view));
  $("drift").addEventListener("click", () => drift(!state.drifting));
  $("help-open").addEventListener("click", () => $("help").showModal());
  wipeAt.addEventListener("input", () => wipe.style.setProperty("--at", `${wipeAt.value}%`));

  const STEP = 0.25;
  const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  const ASKS = { n: "next", p: "previous" }; // what the page of all jobs is asked for
  const switchTo = (name) => show(state.view === name ? "parallax" : name);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const typed = event.target instanceof Element ? event.target : document.body;
    const arrow = ARROWS[event.key];
    if (arrow && typed === stage && !still()) aim(state.aim.x + arrow[0], state.aim.y + arrow[1]);
    else if (/^[1-9]$/.test(event.key) && Number(event.key) <= count) toggle(Number(event.key) - 1);
    else if (event.key === "0") reset();
    else if (event.key === "e" || event.key === "E") switchTo("exploded");
    else if (event.key === "b" || event.key === "B") switchTo("wipe");
    else if (event.key === "d" || event.key === "D") switchTo("depth");
    else if (event.key === "?") $("help").showModal();
    else if (framed && event.key.toLowerCase() in ASKS) parent.postMessage(ASKS[event.key.toLowerCase()], "*");
    else if (event.key === "Escape" && framed && state.view === "parallax") parent.postMessage("close", "*");
    else if (event.key === "Escape") show("parallax");
    else if (event.key === " " && !typed.closest("button, input, a")) drift(!state.drifting);
    else return;
    event.preventDefault();
  });

  // ---- how it moves --------------------------------------------------------------------------------------------------

  const mix = (from, to, share) => from + (to - from) * share;

  /** Scale and offset (px) that centre the turned stack of planes in the view. */
  function fitted(width, height, deep, yaw, pitch) {
    const [sinY, cosY] = [Math.sin(yaw), Math.cos(yaw)], [sinX, cosX] = [Math.sin(pitch), Math.cos(pitch)];
    const room = { x: view.clientWidth, y: view.clientHeight - 40 };
    let scale = 1, offset = [0, 0];
    for (let round = 0; round < 4; round++) {
      const xs = [], ys = [];
      for (const x of [-width / 2, width / 2]) for (const y of [-height / 2, height / 2]) for (const z of [-deep / 2, deep / 2]) {
        const across = x * cosY + z * sinY, near = -x * sinY + z * cosY;
        const down = y * cosX - near * sinX, forward = y * sinX + near * cosX;
        const grow = PERSPECTIVE / (PERSPECTIVE - forward * scale);
        xs.push(across * scale * grow);
        ys.push(down * scale * grow);
      }
      const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      offset = [-(left + right) / 2, -(top + bottom) / 2 + 12];
      scale = Math.min(1.4, scale * Math.min(room.x / (right - left), room.y / (bottom - top)));
    }
    return { scale, offset };
  }

  function draw() {
    const open = state.explode, width = stage.clientWidth, height = stage.clientHeight;
    const deep = Math.min(1.15 * Math.max(width, height), 900 + 40 * count, 2.6 * Math.min(view.clientWidth, view.clientHeight));
    stage.classList.toggle("flat", open === 0);
    root.style.setProperty("--explode", open.toFixed(3));
    const zoom = mix(data.zoom, 1, open);
    planes.forEach((plane, index) => {
      // Who looks from the right sees near things further left: the picture is a window, the pointer the eye.
      const travel = -data.layers[index].travel * 100 * (1 - open);
      const z = (index / (count - 1) - 0.5) * deep * open;
      plane.style.transform =
        `translate3d(${(travel * state.at.x).toFixed(4)}%, ${(travel * state.at.y).toFixed(4)}%, ${z.toFixed(2)}px) scale(${zoom.toFixed(5)})`;
    });
    if (open === 0) {
      scene.style.transform = "none";
      return;
    }
    const yaw = REST.yaw + state.turn.yaw - state.at.x * 10, pitch = REST.pitch + state.turn.pitch + state.at.y * 6;
    const fit = fitted(width, height, deep, (yaw * Math.PI) / 180, (pitch * Math.PI) / 180);
    scene.style.transform =
      `translate3d(${(fit.offset[0] * open).toFixed(2)}px, ${(fit.offset[1] * open).toFixed(2)}px, 0) scale3d(${Array(3).fill(mix(1, fit.scale, open).toFixed(5)).join()}) ` +
      `rotateX(${(pitch * open).toFixed(3)}deg) rotateY(${(yaw * open).toFixed(3)}deg)`;
  }

  let running = false, before = 0;
  /** Draw again; it goes on until everything is at rest, so that a still page costs nothing. */
  function wake() {
    if (running) return;
    running = true;
    before = performance.now();
    requestAnimationFrame(frame);
  }

  const approach = (from, to, share) => (Math.abs(to - from) < 0.001 ? to : mix(from, to, share));
  function frame(now) {
    // The same pace at 60 and at 120 pictures a second; a tab that slept does not jump.
    const passed = Math.max(0, Math.min(64, now - before));
    before = now;
    const ease = (rate) => (calm.matches ? 1 : 1 - Math.exp(-passed * rate));
    const idle = state.drifting && !still() && !drag && now - state.lastTouch > IDLE_AFTER;
    const goal = idle ? { x: 0.8 * Math.sin(now / 2300), y: 0.5 * Math.sin(now / 3100) } : state.aim;
    const pace = ease(idle ? 0.0014 : 0.008);
    for (const axis of ["x", "y"]) state.at[axis] = approach(state.at[axis], goal[axis], pace);
    const wanted = state.view === "exploded" ? 1 : 0;
    state.explode = approach(state.explode, wanted, ease(0.0065));
    draw();
    running = (state.drifting && !still()) || state.explode !== wanted || state.at.x !== goal.x || state.at.y !== goal.y;
    if (running) requestAnimationFrame(frame);
  }

  calm.addEventListener("change", () => drift(!calm.matches));
  drift(state.drifting);
  planes.forEach((_, index) => toggle(index, true));
  new ResizeObserver(wake).observe(view);
  wake();
})();
