// What the wearer entered herself, as a list: exercises done, pain, notes.
import { $, make } from "./dom.js";
import { clock, dose, said, t } from "./text.js";

export function entryText(entry) {
  if (entry.kind === "pain") return [t("entry.pain", { n: entry.score }), entry.note];
  if (entry.kind === "note") return [t("entry.note"), entry.note];
  const name = said(`exercise.${entry.exercise}`, entry.exercise_name ?? entry.exercise);
  return [t("entry.exercise", { exercise: name }), dose(entry)];
}

export function showEntries(list, none, day) {
  const rows = day.entries.map((entry) => {
    const li = make("li", "entry");
    li.dataset.kind = entry.kind;
    const [head, more] = entryText(entry);
    const words = make("span", "flag-words");
    words.append(make("time", "", clock(entry.t_ms)), make("span", "flag-head", head));
    if (more) words.append(make("span", "soft", more));
    const mark = make("span", "entry-mark", { pain: String(entry.score), exercise: "✓" }[entry.kind] ?? "");
    mark.setAttribute("aria-hidden", "true");
    li.append(mark, words);
    return li;
  });
  $(list).replaceChildren(...rows);
  $(none).hidden = rows.length > 0;
}
