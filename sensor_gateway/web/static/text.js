// Every sentence of the page comes from one catalogue. A second language is a second file and a line in LANGUAGES.
const LANGUAGES = ["en"];

export const language = LANGUAGES.find((code) => navigator.language.toLowerCase().startsWith(code)) ?? "en";

// Dates as the reader's own country writes them, where that is the page's language.
export const locale = navigator.language.toLowerCase().startsWith(language) ? navigator.language : language;

let catalogue = {};
const plural = new Intl.PluralRules(language);

export async function loadText() {
  catalogue = await (await fetch(`i18n/${language}.json`)).json();
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
}

export const has = (key) => key in catalogue;

// What the gateway says in English, in the page's language where the catalogue has it.
export const said = (key, fallback) => (has(key) ? t(key) : fallback);

// t("age.s", {n: 3}); with {n} and forms ".one"/".other" the language's own plural rule chooses.
export function t(key, values = {}) {
  const text = catalogue[key] ?? catalogue[`${key}.${plural.select(values.n ?? 0)}`] ?? catalogue[`${key}.other`] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

export const number = (value, digits = 0) =>
  value.toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const clock = (tMs) => new Date(tMs).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", hour12: false });

export function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return t("duration.s", { s: Math.round(seconds) });
  if (minutes < 60) return t("duration.min", { m: minutes });
  const [h, m] = [Math.floor(minutes / 60), minutes % 60];
  return t(m ? "duration.h_min" : "duration.h", { h, m });
}

export function age(seconds) {
  if (seconds < 3) return t("age.now");
  if (seconds < 60) return t("age.s", { n: Math.floor(seconds) });
  if (seconds < 3600) return t("age.min", { n: Math.floor(seconds / 60) });
  if (seconds < 172800) return t("age.h", { n: Math.floor(seconds / 3600) });
  return t("age.d", { n: Math.floor(seconds / 86400) });
}

// Whole degrees with their direction; a half degree either way is neutral, finer is not what a clip can tell.
export function degrees(value) {
  const n = Math.round(Math.abs(value));
  return t(n === 0 ? "range.deg_zero" : value > 0 ? "range.deg_forward" : "range.deg_back", { n });
}

export function span(low, high) {
  const [a, b] = [Math.round(low), Math.round(high)];
  if (a >= 0 && b > 0) return t("range.same_forward", { low: a, high: b });
  if (b <= 0 && a < 0) return t("range.same_back", { low: -b, high: -a });
  return t("range.value", { low: degrees(low), high: degrees(high) });
}

export const postureName = (posture) => (has(`posture.${posture}`) ? t(`posture.${posture}`) : t("posture.none"));

// The dose of an exercise: which side, how often, how long.
export function dose({ side, sets, reps, hold_s }) {
  const parts = [];
  if (side) parts.push(t(`prompt.side.${side}`));
  if (sets) parts.push(t("prompt.sets", { n: sets }));
  if (reps) parts.push(t("prompt.reps", { n: reps }));
  if (hold_s) parts.push(t("prompt.hold", { n: hold_s }));
  return parts.join(" · ");
}
