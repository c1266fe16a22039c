// The list under the timeline: each flag in a sentence, and behind "Why?" the facts it rests on.
import { make } from "./dom.js";
import { clock, degrees, dose, duration, has, number, postureName, span, t } from "./text.js";

export function headline(flag) {
  const still = `flag.${flag.rule}.${flag.posture}`;
  const key = has(still) ? still : `flag.${flag.rule}`;
  if (!has(key)) return t("flag.other", { rule: flag.rule });
  return t(key, { duration: flag.unit === "s" ? duration(flag.value) : "" });
}

function tag(flag) {
  if (flag.answer === "done") return ["done", t("flag.tag_done")];
  if (flag.outcome === "prompt") return ["prompt", t("flag.tag_prompt")];
  if (flag.outcome === "suppressed") return ["quiet", t("flag.tag_quiet")];
  return ["none", t("flag.tag_none")];
}

function decision(flag) {
  if (flag.outcome === "suppressed") {
    const key = `quiet.${flag.reason}`;
    return t("why.quiet", { reason: has(key) ? t(key) : (flag.reason_text ?? flag.reason) });
  }
  if (flag.outcome === "waiting") return t("why.waiting");
  if (!flag.prompt) return t("why.noted");
  const name = flag.prompt.exercise_name;
  const offered = name ? t("why.prompt", { exercise: `${name} (${dose(flag.prompt)})` }) : t("why.prompt_plain");
  return flag.answer ? `${offered} ${t(`why.answer.${flag.answer}`)}` : offered;
}

function reasons(flag) {
  const rows = [];
  const add = (key, text) => text && rows.push([t(key), text]);
  if (has(`why.rule.${flag.rule}`)) add("why.rule", t(`why.rule.${flag.rule}`));
  if (flag.threshold_deg != null) {
    const n = number(flag.threshold_deg, 1);
    const posture = flag.posture && postureName(flag.posture);
    add("why.threshold", posture ? t("why.threshold_posture", { posture, n }) : t("why.threshold_value", { n }));
  }
  if (has(`why.source.${flag.threshold_source}`)) add("why.source", t(`why.source.${flag.threshold_source}`));
  if (flag.from_ms != null) add("why.window", `${clock(flag.from_ms)} – ${clock(flag.to_ms)}`);
  if (flag.above_s != null) add("why.above", duration(flag.above_s));
  else if (flag.unit === "s") add("why.time", t("why.time_value", { time: duration(flag.value), limit: duration(flag.limit) }));
  if (flag.unit === "deg*min") add("why.dose", t("why.dose_value", { n: number(flag.value), limit: number(flag.limit) }));
  if (flag.tilt_mid_deg != null) {
    const values = { span: span(flag.tilt_low_deg, flag.tilt_high_deg), mid: degrees(flag.tilt_mid_deg) };
    add("why.values", t("why.values_value", values));
  }
  add("why.decision", decision(flag));
  return rows;
}

function item(flag, i, open) {
  const li = make("li");
  const details = make("details");
  details.dataset.id = flag.event_id;
  details.open = open;
  const summary = make("summary");
  const number_ = make("span", "badge", String(i + 1));
  number_.setAttribute("aria-hidden", "true");
  const words = make("span", "flag-words");
  words.append(make("time", "", clock(flag.t_ms)), make("span", "flag-head", headline(flag)));
  const [kind, label] = tag(flag);
  const foot = make("span", "flag-foot");
  foot.append(make("span", `tag ${kind}`, label), make("span", "why", t("flags.why")));
  words.append(foot);
  summary.append(number_, words);
  const list = make("dl", "reasons");
  for (const [name, text] of reasons(flag)) {
    const row = make("div");
    row.append(make("dt", "", name), make("dd", "", text));
    list.append(row);
  }
  details.append(summary, list);
  li.append(details);
  return li;
}

export function showFlags(day) {
  const list = document.getElementById("flags");
  const open = new Set([...list.querySelectorAll("details[open]")].map((d) => d.dataset.id));
  const focused = list.contains(document.activeElement) ? document.activeElement.parentElement.dataset.id : null;
  list.replaceChildren(...day.flags.map((flag, i) => item(flag, i, open.has(flag.event_id))));
  if (focused) [...list.querySelectorAll("details")].find((d) => d.dataset.id === focused)?.firstChild.focus();
  const none = document.getElementById("flags-none");
  none.hidden = day.flags.length > 0;
  none.textContent = t(!day.minutes.t_ms.length ? "flags.no_data" : day.is_today ? "flags.none" : "flags.none_past");
}
