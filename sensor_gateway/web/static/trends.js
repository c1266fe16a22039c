// Week and month: tilt against the own baseline, wear time, and what was done. Days without data stay empty; no streaks.
import { $, add, letters, make, svg } from "./dom.js";
import { get, link } from "./net.js";
import { degrees, duration, locale, number, postureName, t } from "./text.js";

const POSTURES = ["standing", "walking", "sitting"];
const LEFT = 42;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
let days = 7;
let posture = "standing";
let data = null;

const noon = (day) => new Date(`${day}T12:00:00`);
const weekBefore = (day) => {
  const date = noon(day);
  date.setDate(date.getDate() - 7);
  return date.toLocaleDateString("sv-SE");
};
const dayName = (day, style) => noon(day).toLocaleDateString(locale, style);
const deg = (value) => (value > 0 ? `+${value}°` : value < 0 ? `−${-value}°` : "0°");

export async function loadTrends() {
  const asked = days;
  press();
  if (!data) $("trends-summary").textContent = t("trends.loading");
  try {
    const loaded = await get("trends", { days: String(asked), ...(zone && { tz: zone }) });
    if (asked !== days) return;
    data = loaded;
    show();
  } catch (error) {
    if (!data) $("trends-summary").textContent = t("error.generic", { reason: error.message });
  }
}

const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];

function summary() {
  const worn = data.days.filter((d) => d.worn_h > 0);
  if (!worn.length) return t("trends.none");
  const usual = duration(middle(worn.map((d) => d.worn_h)) * 3600);
  const sum = (key) => data.days.reduce((total, d) => total + d[key], 0);
  const done = sum("done"); // nothing is said of none
  return t("trends.worn_days", { n: worn.length, of: data.days.length, usual }) + (done ? ` ${t("trends.done", { n: done })}` : "");
}

function press() {
  for (const b of $("trend-days").children) b.setAttribute("aria-pressed", String(Number(b.dataset.days) === days));
  for (const b of $("trend-postures").children) b.setAttribute("aria-pressed", String(b.dataset.posture === posture));
}

function show() {
  $("trend-all").hidden = false;
  $("trends-summary").textContent = summary();
  press();
  $("report-week").href = link("report/week", { day: data.today, ...(zone && { tz: zone }) });
  $("report-last-week").href = link("report/week", { day: weekBefore(data.today), ...(zone && { tz: zone }) });
  draw();
  table();
}

// The baseline in force on each day: the last one frozen before it.
function baselineOn(day) {
  let found = null;
  for (const one of data.baseline) if (one.day < day) found = one.postures[posture]?.median_deg ?? found;
  return found;
}

// How wide a chart may be; nothing while the view is hidden, and while a window is being opened or resized.
function room() {
  const card = $("trend-tilt").parentElement;
  return Math.round(card.clientWidth - parseFloat(getComputedStyle(card).paddingLeft) * 2);
}

function frame(id, height, label) {
  const [chart, scale] = [$(id), letters(room())];
  const width = room() / scale;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.setAttribute("width", width * scale);
  chart.setAttribute("height", height * scale);
  chart.replaceChildren(svg("title", { id: `${id}-name` }, label));
  const slot = (width - LEFT) / data.days.length;
  return { chart, width, slot, x: (i) => LEFT + (i + 0.5) * slot };
}

function dayAxis({ chart, width, slot, x }, y) {
  const every = Math.ceil(34 / slot);
  data.days.forEach((d, i) => {
    if ((data.days.length - 1 - i) % every) return;
    const text = data.days.length > 7 ? dayName(d.day, { day: "numeric" }) : dayName(d.day, { weekday: "short" });
    const label = add(chart, "text", { class: d.day === data.today ? "label today" : "label", x: Math.min(x(i), width - 9), y, "text-anchor": "middle" }, text);
    if (d.day !== data.today || data.days.length > 7) return;
    label.textContent = t("trends.today");
    label.setAttribute("x", Math.min(x(i), width - label.getComputedTextLength() / 2));
  });
}

function drawTilt() {
  const known = data.days.map((d) => d.tilt[posture] ?? null);
  const lines = data.days.map((d) => baselineOn(d.day));
  const has = known.some(Boolean);
  $("trend-tilt-text").textContent = has ? t(lines.some((v) => v !== null) ? "trends.tilt_text" : "trends.tilt_text_new") : t("trends.tilt_none", { posture: postureName(posture).toLowerCase() });
  const values = [...known.filter(Boolean).flatMap((k) => [k.low_deg, k.high_deg]), ...lines.filter((v) => v !== null), -4, 8];
  const [low, high] = [Math.floor(Math.min(...values)) - 1, Math.ceil(Math.max(...values)) + 1];
  const height = 190;
  const f = frame("trend-tilt", height, `${t("trends.tilt")}, ${postureName(posture)}. ${$("trend-tilt-text").textContent}`);
  const y = (v) => 10 + ((high - v) / (high - low)) * (height - 36);
  const step = high - low > 22 ? 10 : 5;
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
    add(f.chart, "path", { class: v ? "grid" : "grid zero", d: `M${LEFT} ${y(v)}H${f.width}` });
    add(f.chart, "text", { class: "label", x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, deg(v));
  }
  const wide = Math.min(30, f.slot * 0.5);
  lines.forEach((v, i) => v !== null && add(f.chart, "path", { class: "baseline", d: `M${f.x(i) - f.slot / 2} ${y(v)}h${f.slot}` }));
  known.forEach((k, i) => {
    if (!k) return;
    const top = y(k.high_deg);
    add(f.chart, "rect", { class: "day-spread", x: f.x(i) - wide / 2, y: top, width: wide, height: Math.max(2, y(k.low_deg) - top), rx: Math.min(wide / 2, 8) });
    add(f.chart, "path", { class: "day-mid", d: `M${f.x(i) - wide / 2} ${y(k.median_deg)}h${wide}` });
  });
  dayAxis(f, height - 6);
}

function drawWorn() {
  const height = 120;
  const f = frame("trend-worn", height, `${t("trends.worn")}. ${summary()}`);
  const most = Math.max(8, ...data.days.map((d) => d.worn_h ?? 0));
  const y = (h) => 8 + (1 - h / most) * (height - 34);
  for (const h of [0, most > 12 ? 12 : 4, most > 12 ? 24 : 8].filter((v) => v <= most)) {
    add(f.chart, "path", { class: "grid", d: `M${LEFT} ${y(h)}H${f.width}` });
    add(f.chart, "text", { class: "label", x: LEFT - 6, y: y(h) + 4, "text-anchor": "end" }, t("duration.h", { h }));
  }
  const wide = Math.min(30, f.slot * 0.5);
  data.days.forEach((d, i) => {
    if (d.worn_h) add(f.chart, "rect", { class: "worn", x: f.x(i) - wide / 2, y: y(d.worn_h), width: wide, height: y(0) - y(d.worn_h), rx: 3 });
  });
  dayAxis(f, height - 6);
}

// Two quiet rows: how many exercises, and the strongest pain that was noted.
function drawDid() {
  const height = 98;
  const f = frame("trend-did", height, t("trends.did_name", { n: data.days.reduce((n, d) => n + d.done, 0), pain: data.days.filter((d) => d.pain_max !== null).length }));
  const r = Math.min(12, f.slot * 0.5);
  const numbered = r >= 7; // too narrow for numbers, the size of the mark tells how strong
  [["done", 22], ["pain_max", 56]].forEach(([key, y]) => {
    add(f.chart, "path", { class: "grid", d: `M${LEFT} ${y}H${f.width}` });
    add(f.chart, "path", { class: `row-mark ${key}`, d: key === "done" ? `M8 ${y}l5 5 9-10` : `M15 ${y - 7}a7 7 0 1 0 .1 0z` });
    data.days.forEach((d, i) => {
      const value = d[key];
      if (value === null || (key === "done" && !value)) return;
      const shown = key === "pain_max" && !numbered ? r * (0.4 + 0.06 * value) : r;
      add(f.chart, "circle", { class: `did ${key}`, cx: f.x(i), cy: y, r: shown });
      if (numbered) add(f.chart, "text", { class: `did-number ${key}`, x: f.x(i), y: y + 4.5, "text-anchor": "middle" }, String(value));
    });
  });
  dayAxis(f, height - 6);
  const key = (name, text) => {
    const li = make("li");
    li.append(make("i", `key ${name}`), make("span", "", text));
    return li;
  };
  $("trend-legend").replaceChildren(
    key("spread", t("trends.key_spread")), key("own-line", t("trends.key_baseline")),
    key("done", t("trends.key_done")), key("pain", t(numbered ? "trends.key_pain" : "trends.key_pain_size")), key("gap", t("today.key_gap")),
  );
}

function draw() {
  if (!data || room() <= LEFT) return;
  drawTilt();
  drawWorn();
  drawDid();
}

function table() {
  const head = make("tr");
  for (const key of ["day", "worn", "tilt", "flags", "prompts", "done", "pain"]) {
    const th = make("th", "", t(`trends.col.${key}`, { posture: postureName(posture).toLowerCase() }));
    th.scope = "col";
    head.append(th);
  }
  const rows = [...data.days].reverse().map((d) => {
    const tr = make("tr");
    const th = make("th", "", dayName(d.day, { weekday: "short", day: "numeric", month: "short" }));
    th.scope = "row";
    const tilt = d.tilt[posture];
    const cells = [d.worn_h === null ? null : d.worn_h ? duration(d.worn_h * 3600) : t("posture.not_worn"), tilt && degrees(tilt.median_deg), d.flags, d.prompts, d.done, d.pain_max];
    const empty = d.worn_h === null;
    tr.append(th, ...cells.map((c, i) => make("td", "", c === null || c === undefined || (empty && i > 1 && !c) ? t("trends.no_value") : typeof c === "number" ? number(c) : c)));
    return tr;
  });
  const [thead, tbody] = [make("thead"), make("tbody")];
  thead.append(head);
  tbody.append(...rows);
  $("trend-table").replaceChildren(make("caption", "hidden", t("trends.title")), thead, tbody);
}

export function setUpTrends() {
  for (const b of $("trend-days").children) {
    b.addEventListener("click", () => {
      days = Number(b.dataset.days);
      press();
      $("trends-summary").textContent = t("trends.loading");
      loadTrends();
    });
  }
  $("trend-postures").replaceChildren(
    ...POSTURES.map((one) => {
      const b = make("button", "", postureName(one));
      b.type = "button";
      b.dataset.posture = one;
      b.addEventListener("click", () => {
        posture = one;
        if (data) show();
      });
      return b;
    }),
  );
  new ResizeObserver(draw).observe($("view-trends"));
}
