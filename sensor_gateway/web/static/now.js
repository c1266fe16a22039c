// The "Now" card: number, words and the picture. A value is drawn only while it is fresh; then it is taken away.
import { moment, since } from "./net.js";
import { age, number, postureName, span, t } from "./text.js";

const LIVE_MS = 5000;
const RECORD_MS = 60000;
const LATE_MS = 60000; // up to here a silent sensor was "last seen"; beyond it there are no data
const SILENT_MS = 5000; // without a word from the gateway
const NUMBER_EVERY_MS = 250; // a number that changes faster cannot be read
const EASE_MS = 30; // the picture glides between frames; more would show the past
const $ = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

const state = { now: null, frame: null, heard: moment(), framed: null, kind: null };
const drawn = { tilt: null, time: 0, numberAt: 0 };

// Milliseconds since the newest thing known of the sensor; null before the first.
function silence() {
  const { frame, framed, now, heard } = state;
  const known = now?.newest_ms == null ? Infinity : now.now_ms - now.newest_ms + since(heard);
  const seen = frame ? frame.age_ms + since(framed) : Infinity;
  return Math.min(known, seen) === Infinity ? null : Math.min(known, seen);
}

export const status = () => {
  if (since(state.heard) > SILENT_MS) return "offline";
  if (!state.now) return "never";
  const limit = state.kind === "live" ? LIVE_MS : RECORD_MS;
  if (state.frame && state.frame.age_ms + since(state.framed) <= limit) return state.kind;
  const silent = silence();
  return silent === null ? "never" : silent <= LATE_MS ? "late" : "stale";
};

export function onFrame(frame) {
  Object.assign(state, { frame, framed: moment(), heard: moment(), kind: "live" });
}

// The newest tilt with its moment while it is fresh, for the guided set-up.
export const latest = () => (["live", "record"].includes(status()) ? state.frame : null);

export function onNow(now) {
  const first = !state.now;
  Object.assign(state, { now, heard: moment() });
  // In the gateway frames come by themselves; without it the newest stored second stands in.
  if (now.frame && (first || now.status === "record")) {
    Object.assign(state, { frame: now.frame, framed: moment(), kind: now.status });
  }
}

export function drawDial() {
  const at = (deg, r) => `${r * Math.sin((deg * Math.PI) / 180)} ${-r * Math.cos((deg * Math.PI) / 180)}`;
  $("dial-arc").setAttribute("d", `M${at(-40, 160)}A160 160 0 0 1 ${at(40, 160)}`);
  $("dial-ticks").replaceChildren(
    ...[-40, -30, -20, -10, 0, 10, 20, 30, 40].map((deg) => shape("path", { d: `M${at(deg, 167)}L${at(deg, deg ? 173 : 178)}` })),
    ...[[-40, "figure.back", "middle"], [40, "figure.front", "middle"]].map(([deg, key, anchor]) => {
      const label = shape("text", { "text-anchor": anchor, x: 128 * Math.sign(deg), y: -94 });
      label.textContent = t(key);
      return label;
    }),
  );
  const label = shape("text", { "text-anchor": "middle", x: 0, y: -183 });
  label.textContent = t("figure.neutral");
  $("dial-ticks").append(label);
}

function shape(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function drawRange(range) {
  const key = JSON.stringify(range ?? null);
  if (drawn.range === key) return;
  drawn.range = key;
  $("range").textContent = range
    ? span(range.low_deg, range.high_deg)
    : t("range.none");
  const at = (deg) => `${160 * Math.sin((deg * Math.PI) / 180)} ${-160 * Math.cos((deg * Math.PI) / 180)}`;
  const clamp = (deg) => Math.max(-40, Math.min(40, deg));
  $("dial-range").setAttribute("d", range ? `M${at(clamp(range.low_deg))}A160 160 0 0 1 ${at(clamp(range.high_deg))}` : "");
}

// What to say for the present state: [number, words, note].
function wording(kind, frame, range) {
  if (kind === "offline") return ["", t("tilt.no_data"), t("tilt.offline_note")];
  if (kind === "never") return ["", t("tilt.no_data"), t("tilt.never_note")];
  if (kind === "late") return ["", t("tilt.late", { age: age(silence() / 1000) }), t("tilt.late_note")];
  if (kind === "stale") return ["", t("tilt.no_data"), t("tilt.no_data_note")];
  if (frame.posture === "not_worn") return ["", t("tilt.not_worn"), t("tilt.not_worn_note")];
  if (frame.posture === "lying") return ["", t("tilt.lying"), t("tilt.lying_note")];
  if (frame.tilt_deg === null) return ["", t("tilt.settling"), t("tilt.settling_note")];
  const tilt = drawn.tilt ?? frame.tilt_deg;
  const n = Math.round(Math.abs(tilt));
  const words = t(n === 0 ? "tilt.neutral" : tilt > 0 ? "tilt.forward" : "tilt.back");
  let note = "";
  if (frame.posture === "sitting") note = t("tilt.sitting_note");
  else if (range) note = t(tilt > range.high_deg ? "tilt.above" : tilt < range.low_deg ? "tilt.below" : "tilt.inside");
  return [t("tilt.number", { n: number(n) }), words, note];
}

function sureness(now) {
  if (now.uncertainty_deg == null) return t("sure.none");
  // Good signals do not make a loose clip sure: the word follows the worse of quality and uncertainty.
  const good = now.quality >= 0.8 && now.uncertainty_deg < 4;
  const fair = now.quality >= 0.5 && now.uncertainty_deg < 8;
  const word = good ? "sure.good" : fair ? "sure.fair" : "sure.low";
  return t("sure.value", { word: t(word), n: number(now.uncertainty_deg, 1) });
}

function drawFacts(kind, fresh) {
  const { now, frame } = state;
  $("posture").textContent = fresh ? postureName(frame.posture) : t("posture.none");
  $("sure").textContent = drawn.tilt !== null && frame?.posture !== "lying" && now ? sureness(now) : t("posture.none");
  const silent = silence();
  const seconds = fresh ? (frame.age_ms + since(state.framed)) / 1000 : silent === null ? null : silent / 1000;
  $("age").textContent =
    seconds === null || kind === "never" ? t("age.none") : age(seconds);
  if (now) drawRange(now.range);
  const percent = now?.battery_percent;
  $("battery").hidden = percent == null;
  if (percent == null) return;
  const old = (now.now_ms - now.battery_ms) / 1000;
  const text = t(old > 900 ? "battery.old" : "battery", { n: number(percent), age: age(old) });
  $("battery").classList.toggle("old", old > 900);
  $("battery-text").textContent = text;
  $("battery-fill").setAttribute("width", String(0.19 * Math.max(0, Math.min(100, percent))));
  $("battery").classList.toggle("low", percent < 15);
}

// One animation frame: ease the picture towards the newest tilt, and a few times a second the words.
export function draw(time) {
  const kind = status();
  const fresh = kind === "live" || kind === "record";
  const frame = fresh ? state.frame : null;
  const target = frame && frame.posture !== "not_worn" ? frame.tilt_deg : null;
  if (target === null) drawn.tilt = null;
  else if (drawn.tilt === null || still.matches) drawn.tilt = target;
  else drawn.tilt += (target - drawn.tilt) * (1 - Math.exp(-Math.max(0, time - drawn.time) / EASE_MS));
  drawn.time = time;
  drawPicture(kind, frame);
  if (time - drawn.numberAt < NUMBER_EVERY_MS && kind === drawn.kind) return;
  drawn.numberAt = time;
  const [n, words, note] = wording(kind, frame, state.now?.range);
  const put = (id, text) => $(id).textContent !== text && ($(id).textContent = text);
  put("tilt-number", n);
  put("tilt-words", words);
  put("tilt-note", note);
  put("figure-title", t("figure.title", { words: `${n} ${words}`.trim() }));
  put("link-text", t(`link.${kind}`, { age: age((silence() ?? 0) / 1000) }));
  $("link").dataset.kind = kind;
  drawFacts(kind, fresh);
  drawn.kind = kind;
}

// How unsure the tilt is, as a soft wedge around the pointer: the real tilt lies somewhere in it.
function drawDoubt(tilt) {
  const wide = tilt === null ? null : state.now?.uncertainty_deg;
  $("doubt").style.display = wide == null ? "none" : "";
  if (wide == null) return;
  $("doubt").setAttribute("transform", `rotate(${tilt.toFixed(2)})`);
  if (drawn.doubt === wide) return;
  drawn.doubt = wide;
  const wedge = (half) => {
    const [x, y] = [Math.sin((half * Math.PI) / 180), Math.cos((half * Math.PI) / 180)];
    return `M0 0L${-176 * x} ${-176 * y}A176 176 0 0 1 ${176 * x} ${-176 * y}Z`;
  };
  $("doubt-wide").setAttribute("d", wedge(Math.min(40, wide)));
  $("doubt-near").setAttribute("d", wedge(Math.min(40, wide) / 2));
}

function drawPicture(kind, frame) {
  const lying = frame?.posture === "lying";
  const tilt = drawn.tilt ?? 0;
  const figure = $("figure");
  figure.dataset.state = frame ? (lying ? "lying" : (frame.posture ?? "")) : "none";
  figure.classList.toggle("dim", drawn.tilt === null);
  figure.dataset.t = frame ? frame.t_ms : ""; // the moment the picture shows, for whoever measures the way to the screen
  drawDoubt(lying ? null : drawn.tilt);
  const [whole, pelvis] = lying ? [tilt, 0] : [0, tilt];
  const key = `${whole.toFixed(2)} ${pelvis.toFixed(2)}`;
  if (key === drawn.key) return;
  drawn.key = key;
  $("body").setAttribute("transform", `rotate(${whole.toFixed(2)})`);
  $("pelvis").setAttribute("transform", `rotate(${pelvis.toFixed(2)})`);
}
