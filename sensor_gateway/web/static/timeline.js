// Draws one day: flags on top, tilt with its spread and the own range, postures below. Gaps stay empty.
import { add, letters } from "./dom.js";
import { clock } from "./text.js";

// Height tells the posture as well as colour does: the more upright and active, the taller.
export const POSTURES = {
  lying: 0.28, sitting: 0.5, standing: 0.76, walking: 1, running: 1, stairs: 1, unknown: 0.14, not_worn: 0.06,
};
const MINUTE = 60000;
const HOUR = 3600000;
const TOP = 34;
const STRIP = 36;
const AXIS = 22;
const MIN_BIN_PX = 2;
const UPRIGHT = new Set(["standing", "walking", "running", "stairs"]);
const LEFT = 42; // room for the degrees, and half a thumb of the cursor below
const RIGHT = 13;
const THUMB = 13; // half of the cursor's thumb [px]: its middle stands under the time

// The hours worth showing: from the first minute to the last (today: to now), at least four.
export function span(day) {
  const { t_ms } = day.minutes;
  const end = Math.max(t_ms.at(-1) + MINUTE, day.is_today ? day.now_ms : 0);
  const first = day.from_ms + Math.floor((t_ms[0] - day.from_ms) / HOUR) * HOUR;
  const last = day.from_ms + Math.ceil((end - day.from_ms) / HOUR) * HOUR;
  const missing = Math.max(0, 4 * HOUR - (last - first));
  return { from: Math.max(day.from_ms, first - missing), to: last };
}

const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// On the feet or seated: their tilts are not joined, as sitting tips most people back. Of other minutes (lying, not sure)
// only the posture is drawn: a tilt between two postures is nobody's habit.
function kinds(day) {
  const found = [];
  let b = 0;
  for (const time of day.minutes.t_ms) {
    while (b < day.bands.length && day.bands[b].to_ms <= time) b += 1;
    const posture = day.bands[b]?.posture;
    found.push(UPRIGHT.has(posture) ? "feet" : posture === "sitting" ? "seat" : "other");
  }
  return found;
}

// Minutes of one kind joined to bins no finer than the screen: {t0, t1, mid, low, high}; minutes without tilt make no bin.
function bins(day, minutes, of, kind) {
  const found = [];
  const { t_ms, median_deg, p5_deg, p95_deg } = day.minutes;
  const size = minutes * MINUTE;
  for (let i = 0; i < t_ms.length; ) {
    const slot = Math.floor((t_ms[i] - day.from_ms) / size);
    const rows = [];
    for (; i < t_ms.length && Math.floor((t_ms[i] - day.from_ms) / size) === slot; i += 1) {
      if (median_deg[i] !== null && of[i] === kind) rows.push(i);
    }
    if (!rows.length) continue;
    const take = (column) => rows.map((row) => column[row]);
    const t0 = t_ms[rows[0]];
    const t1 = t_ms[rows.at(-1)] + MINUTE;
    found.push({ slot, t0, t1, mid: middle(take(median_deg)), low: middle(take(p5_deg)), high: middle(take(p95_deg)) });
  }
  return found;
}

function runs(list) {
  const found = [];
  for (const bin of list) {
    if (found.length && found.at(-1).at(-1).slot + 1 === bin.slot) found.at(-1).push(bin);
    else found.push([bin]);
  }
  return found;
}

function scaleY(list, range, height) {
  const values = [...list.flatMap((b) => [b.low, b.high]), range?.low_deg ?? 0, range?.high_deg ?? 0, -6, 11];
  const low = Math.max(-45, Math.min(...values) - 1);
  const high = Math.min(45, Math.max(...values) + 1);
  const y = (deg) => TOP + ((high - Math.max(low, Math.min(high, deg))) / (high - low)) * height;
  return { low, high, y };
}

const label = (deg) => (deg > 0 ? `+${deg}°` : deg < 0 ? `−${-deg}°` : "0°");

function drawGrid(svg, width, { low, high, y }) {
  const step = high - low > 45 ? 20 : high - low > 22 ? 10 : 5;
  for (let deg = Math.ceil(low / step) * step; deg <= high; deg += step) {
    add(svg, "path", { class: deg ? "grid" : "grid zero", d: `M${LEFT} ${y(deg)}H${width}` });
    add(svg, "text", { class: "label", x: LEFT - 6, y: y(deg) + 4, "text-anchor": "end" }, label(deg));
  }
}

function drawHours(svg, x, { from, to }, width, bottom) {
  const hours = (to - from) / HOUR;
  const every = [1, 2, 3, 4, 6].find((n) => hours / n <= width / 62) ?? 6;
  for (let at = from; at <= to; at += every * HOUR) {
    const anchor = at === to ? "end" : "middle";
    if (at > from && at < to) add(svg, "path", { class: "grid", d: `M${x(at)} ${TOP}V${bottom}` });
    add(svg, "text", { class: "label", x: at === to ? width : x(at), y: bottom + 16, "text-anchor": anchor }, clock(at));
  }
}

function drawTilt(svg, list, kind, x, y) {
  for (const run of runs(list)) {
    const points = [[run[0].t0, run[0]], ...run.map((b) => [(b.t0 + b.t1) / 2, b]), [run.at(-1).t1, run.at(-1)]];
    const line = (key) => points.map(([time, b]) => `${x(time).toFixed(1)} ${y(b[key]).toFixed(1)}`);
    add(svg, "path", { class: `spread ${kind}`, d: `M${line("high").join("L")}L${line("low").reverse().join("L")}Z` });
    add(svg, "path", { class: `tilt-line ${kind}`, d: `M${line("mid").join("L")}` });
  }
}

// Markers never hide each other: moved right where they are close, and back from the edge where that runs out of room.
function apart(places, low, high, gap) {
  const room = Math.min(gap, (high - low) / Math.max(1, places.length - 1));
  const moved = [];
  for (const place of places) moved.push(Math.max(place, moved.length ? moved.at(-1) + room : low));
  moved.reverse().forEach((place, i) => (moved[i] = Math.min(place, high - i * room)));
  return moved.reverse();
}

function drawFlags(svg, day, x, y, width) {
  const places = apart(day.flags.map((flag) => x(flag.t_ms)), 11, width - 11, 24);
  day.flags.forEach((flag, i) => {
    const [at, shown] = [Math.max(LEFT, Math.min(width, x(flag.t_ms))), places[i]];
    if (flag.from_ms != null && flag.threshold_deg != null) {
      const [x0, x1, limit] = [x(Math.max(flag.from_ms, day.from_ms)), x(flag.to_ms), y(flag.threshold_deg)];
      add(svg, "rect", { class: "flag-window", x: x0, y: TOP, width: Math.max(2, x1 - x0), height: limit - TOP });
      add(svg, "path", { class: "limit", d: `M${x0} ${limit}H${Math.max(x0 + 2, x1)}` });
    }
    add(svg, "path", { class: "flag-stem", d: `M${shown} 24L${at} ${TOP}` });
    add(svg, "circle", { class: "flag-dot", cx: shown, cy: 13, r: 11 });
    add(svg, "text", { class: "flag-number", x: shown, y: 17.5, "text-anchor": "middle" }, String(i + 1));
  });
}

// What the wearer entered: a tick for an exercise, a drop with the number for pain.
function drawEntries(svg, day, x, y, { from, to }, width) {
  const shown = day.entries.filter((entry) => entry.kind !== "note" && entry.t_ms >= from && entry.t_ms <= to);
  const places = apart(shown.map((entry) => x(entry.t_ms)), LEFT, width - 10, 21);
  for (const entry of shown) {
    const at = places.shift();
    add(svg, "path", { class: "entry-stem", d: `M${x(entry.t_ms)} ${TOP}V${y - 10}L${at} ${y}` });
    add(svg, "circle", { class: `did ${entry.kind}`, cx: at, cy: y, r: 10 });
    if (entry.kind === "pain") add(svg, "text", { class: "did-number pain", x: at, y: y + 4.5, "text-anchor": "middle" }, String(entry.score));
    else add(svg, "path", { class: "did-tick", d: `M${at - 4} ${y}l3 3.5 5.5-6.5` });
  }
}

function drawPostures(svg, day, x, top) {
  for (const band of day.bands) {
    const height = (STRIP - 2) * (POSTURES[band.posture] ?? 0.14);
    const [x0, x1] = [x(band.from_ms), x(band.to_ms)];
    add(svg, "rect", {
      class: `p-${band.posture}`, x: x0, y: top + STRIP - height, width: Math.max(0.6, x1 - x0), height,
    });
  }
}

// Draws into `room` [px]. Returns what the cursor needs: the span, its margins, and functions between time and place.
export function drawDay(svg, day, room) {
  const scale = letters(room);
  const width = room / scale;
  const height = width > 560 ? 250 : 216;
  const plot = height - TOP - STRIP - AXIS - 10;
  const shown = span(day);
  const inner = width - LEFT - RIGHT;
  const x = (time) => LEFT + ((time - shown.from) / (shown.to - shown.from)) * inner;
  const perMinute = (MINUTE / (shown.to - shown.from)) * inner;
  const size = [1, 2, 3, 5, 10, 15, 30].find((n) => n * perMinute >= MIN_BIN_PX) ?? 30;
  const of = kinds(day);
  const lists = ["seat", "feet"].map((kind) => [kind, bins(day, size, of, kind)]);
  const degrees = scaleY(lists.flatMap(([, list]) => list), day.range, plot);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", room);
  svg.setAttribute("height", height * scale);
  svg.replaceChildren();
  const title = add(svg, "title", { id: "timeline-title" });
  const { low_deg, high_deg } = day.range ?? {};
  if (day.range) {
    const top = degrees.y(high_deg);
    add(svg, "rect", { class: "own-band", x: LEFT, y: top, width: width - LEFT, height: degrees.y(low_deg) - top });
  }
  drawGrid(svg, width, degrees);
  drawFlags(svg, day, x, degrees.y, width);
  for (const [kind, list] of lists) drawTilt(svg, list, kind, x, degrees.y);
  const strip = TOP + plot + 8;
  add(svg, "path", { class: "grid", d: `M${LEFT} ${strip + STRIP}H${width}` });
  drawPostures(svg, day, x, strip);
  drawEntries(svg, day, x, TOP + plot - 12, shown, width);
  drawHours(svg, x, shown, width, strip + STRIP);
  const cursor = add(svg, "path", { class: "cursor-line", d: "" });
  const move = (time) => cursor.setAttribute("d", `M${x(time)} ${TOP}V${strip + STRIP}`);
  const timeAt = (px) => shown.from + ((px / scale - LEFT) / inner) * (shown.to - shown.from);
  return { ...shown, move, timeAt, title, margins: [LEFT, RIGHT].map((edge) => edge * scale - THUMB) };
}
