// Building elements and formatting times and numbers. Names and sentences are only ever inserted as text.

const $ = (id) => document.getElementById(id);
const make = (tag, className, ...children) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
};
const held = (text) => make("bdi", "", text); // text in the other direction, or that reverses it, affects only itself
/** A sentence; a command in it is shown as code. It stands between marks, which no name can contain (daemon/contract/commands.py). */
const said = (text) => make("bdi", "", ...text.split(/\0`([^\0]+)`\0/).map((part, k) => (k % 2 ? make("code", "", part) : part)));
const unmarked = (text) => text.replaceAll("\0", ""); // where only text can be shown
const link = (label, href, role) => {
  const node = Object.assign(make("a", "", label), { href });
  node.dataset.role = role;
  return node;
};
const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const stack = () => {
  const node = make("div", "stack");
  node.setAttribute("aria-hidden", "true");
  for (const k of [0, 1, 2, 3]) {
    const plane = node.appendChild(make("i"));
    plane.style.setProperty("--k", k);
    plane.style.setProperty("--c", `var(--plane-${k + 1})`);
  }
  return node;
};

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const thisYear = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const otherYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const dayOf = (time) => new Date(time).setHours(0, 0, 0, 0);
function dayName(day) {
  const today = dayOf(Date.now());
  if (day === today) return "Today";
  if (day === dayOf(today - 1)) return "Yesterday";
  return (new Date(day).getFullYear() === new Date().getFullYear() ? thisYear : otherYear).format(day);
}
/** The same after other words. The name of a weekday or month keeps its capital. */
const dayWithin = (day) => (dayOf(day) >= dayOf(dayOf(Date.now()) - 1) ? dayName(day).toLowerCase() : dayName(day));
const moment = (time) => (dayOf(time) === dayOf(Date.now()) ? clock.format(time) : `${thisYear.format(time)}, ${clock.format(time)}`);
const left = (seconds) => `about ${duration(Math.max(1, Math.round(seconds)), 0)} left`;
function duration(seconds, digits = 1) {
  if (seconds < 10) return `${seconds.toFixed(digits)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}
const AMOUNTS = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];
function bytes(number) {
  const [unit, size] = AMOUNTS.find(([, least]) => number >= least * 0.9995) ?? ["bytes", 1];
  const amount = number / size;
  return `${amount.toLocaleString(undefined, { maximumFractionDigits: amount < 9.95 && size > 1 ? 1 : 0 })} ${unit}`;
}
const count = (number, one, many = `${one}s`) => `${number.toLocaleString()} ${number === 1 ? one : many}`;
const unbroken = (text) => text.replaceAll(" ", "\u00a0"); // kept on one line
const percent = (share) => `${Math.floor(share * 100 + 1e-6)} %`; // only a finished job reaches 100; 0.57 is stored as slightly less
const nameOf = (job) => job.name ?? job.id;
// The name of a job's batch; in the data of older versions, it is only part of the batch's id.
const batchName = (job) => job.batchName ?? /^\d{8}T\d{6}-(.+)-[0-9a-f]{8}$/.exec(job.batch)?.[1] ?? job.batch;
