// The "Today" card: loads a day, sums it up in a sentence, draws it, and lets one look at a time of it.
import { $, make, svg } from "./dom.js";
import { showEntries } from "./entries.js";
import { showFlags } from "./flags.js";
import { get, link } from "./net.js";
import { clock, degrees, duration, locale, postureName, t } from "./text.js";
import { POSTURES, drawDay } from "./timeline.js";

const MINUTE = 60000;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
let wanted = null; // a day, or null for today
let day = null;
let chart = null;
let looked = null; // time the reader chose, or null: the newest

export const isToday = () => wanted === null;

export async function loadDay() {
  const asked = wanted;
  let loaded;
  try {
    loaded = await get("today", { ...(zone && { tz: zone }), ...(asked && { day: asked }) });
  } catch {
    return null; // the notice already says that the gateway does not answer
  }
  if (asked !== wanted) return null; // the reader went on meanwhile
  day = loaded;
  show();
  return day;
}

function summary() {
  const { posture_s, median_deg } = day;
  if (!day.minutes.t_ms.length) return t(day.is_today ? "today.none_yet" : "today.none");
  const worn = Object.entries(posture_s).reduce((sum, [p, s]) => (p === "not_worn" ? sum : sum + s), 0);
  if (median_deg === null) return t("today.summary_no_tilt", { worn: duration(worn) });
  const n = Math.round(Math.abs(median_deg));
  const key = n === 0 ? "today.middle_neutral" : median_deg > 0 ? "today.middle_forward" : "today.middle_back";
  return t("today.summary", { worn: duration(worn), tilt: t(key, { n }) });
}

function show() {
  const noon = new Date(`${day.day}T12:00:00`);
  const date = noon.toLocaleDateString(locale, { weekday: "long", day: "numeric", month: "long" });
  $("today-title").replaceChildren(day.is_today ? t("today.title") : date);
  if (day.is_today) $("today-title").append(Object.assign(document.createElement("small"), { textContent: ` ${date}` }));
  $("day-after").disabled = day.is_today;
  $("today-summary").textContent = summary();
  $("chart").hidden = !day.minutes.t_ms.length;
  showLegend();
  showFlags(day);
  showEntries("entries", "entries-none", day);
  $("report-day").href = link("report/day", { day: day.day, ...(zone && { tz: zone }) });
  redraw();
}

function redraw() {
  if (!day || $("chart").hidden) return;
  const width = Math.round($("chart").clientWidth);
  if (!width) return;
  chart = drawDay($("timeline"), day, width);
  const flags = day.flags.length ? t("today.chart_flags", { n: day.flags.length }) : "";
  chart.title.textContent = t("today.chart", { summary: summary(), flags });
  const cursor = $("cursor");
  [cursor.parentElement.style.marginLeft, cursor.parentElement.style.marginRight] = chart.margins.map((px) => `${px}px`);
  cursor.max = String((chart.to - chart.from) / MINUTE - 1);
  if (looked === null || looked < chart.from || looked >= chart.to) looked = null;
  look(looked ?? day.minutes.t_ms.at(-1));
}

function look(time) {
  const minute = Math.floor(time / MINUTE) * MINUTE;
  chart.move(minute + MINUTE / 2);
  const i = day.minutes.t_ms.indexOf(minute);
  const band = day.bands.find((b) => b.from_ms <= minute && minute < b.to_ms);
  const tilt = i < 0 ? null : day.minutes.median_deg[i];
  const values = { time: clock(minute), tilt: tilt === null ? t("today.readout_no_tilt") : degrees(tilt) };
  const text = band ? t("today.readout", { ...values, posture: postureName(band.posture) }) : t("today.readout_none", values);
  $("readout").textContent = text;
  $("cursor").value = String((minute - chart.from) / MINUTE);
  $("cursor").setAttribute("aria-valuetext", text);
}

function showLegend() {
  const entry = (symbol, text) => {
    const li = make("li");
    li.append(symbol, make("span", "", text));
    return li;
  };
  const key = (name, text) => entry(make("i", `key ${name}`), t(text));
  const bar = (posture) => {
    const height = Math.max(2, 14 * POSTURES[posture]);
    const picture = svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" });
    picture.append(svg("rect", { x: 1, width: 12, y: 14 - height, height, class: `p-${posture}` }));
    return picture;
  };
  const entered = (kind) => day.entries.some((e) => e.kind === kind);
  const postures = Object.keys(POSTURES).filter((p) => day.posture_s[p]);
  const lines = [];
  if (day.minutes.t_ms.length) {
    lines.push(key("line", "today.key_line"));
    if (day.posture_s.sitting) lines.push(key("line seat", "today.key_seat"));
    if (day.range) lines.push(key("own", "today.key_range"));
    if (day.flags.some((flag) => flag.threshold_deg != null)) lines.push(key("limit", "today.key_limit"));
    if (entered("exercise")) lines.push(key("done", "trends.key_done"));
    if (entered("pain")) lines.push(key("pain", "today.key_pain"));
    lines.push(key("gap", "today.key_gap"));
  }
  $("legend").replaceChildren(...postures.map((p) => entry(bar(p), `${postureName(p)} ${duration(day.posture_s[p])}`)), ...lines);
}

function go(days) {
  if (!day) return;
  const date = new Date(`${day.day}T12:00:00Z`);
  date.setUTCDate(date.getUTCDate() + days);
  const today = new Date(day.now_ms).toLocaleDateString("sv-SE", { timeZone: zone });
  const next = date.toISOString().slice(0, 10);
  wanted = next >= today ? null : next;
  looked = null;
  loadDay();
}

export function setUpToday() {
  $("today-title").textContent = t("today.title");
  for (const [id, key, step] of [["day-before", "today.before", -1], ["day-after", "today.after", 1]]) {
    $(id).setAttribute("aria-label", t(key));
    $(id).addEventListener("click", () => go(step));
  }
  $("cursor").addEventListener("input", (event) => look((looked = chart.from + event.target.valueAsNumber * MINUTE)));
  const point = (event) => {
    const x = event.clientX - $("timeline").getBoundingClientRect().left;
    looked = Math.max(chart.from, Math.min(chart.to - MINUTE, chart.timeAt(x)));
    look(looked);
  };
  $("timeline").addEventListener("pointerdown", point);
  $("timeline").addEventListener("pointermove", (event) => (event.pointerType === "mouse" || event.buttons) && point(event));
  new ResizeObserver(redraw).observe($("chart"));
}
