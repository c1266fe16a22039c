// The diary: pain from 0 to 10, a note, and what was entered today.
import { $, make, sending } from "./dom.js";
import { showEntries } from "./entries.js";
import { loadHealth } from "./health.js";
import { post } from "./net.js";
import { t } from "./text.js";
import { open } from "./views.js";

const failed = (error) => t("error.not_saved", { reason: error.message });

export const showDiary = (day) => day.is_today && showEntries("diary-entries", "diary-none", day);

function scale() {
  return Array.from({ length: 11 }, (_, n) => {
    const label = make("label");
    const input = make("input");
    Object.assign(input, { type: "radio", name: "pain", value: String(n), required: true });
    const ends = { 0: "diary.pain_none", 10: "diary.pain_most" }[n];
    input.setAttribute("aria-label", ends ? `${n}: ${t(ends)}` : String(n));
    label.append(input, make("span", "", String(n)));
    return label;
  });
}

async function logPain() {
  const score = Number(new FormData($("pain-form")).get("pain"));
  const { asks_health_questions } = await post("log", { kind: "pain", score, note: $("pain-note").value.trim() });
  $("pain-form").reset();
  if (asks_health_questions) {
    await loadHealth(true);
    open("health");
  }
  return t("diary.pain_saved", { n: score });
}

async function logNote() {
  await post("log", { kind: "note", note: $("note-text").value.trim() });
  $("note-form").reset();
  return t("diary.note_saved");
}

export function setUpDiary() {
  $("pain-scale").replaceChildren(...scale());
  for (const [form, result, work] of [["pain-form", "pain-result", logPain], ["note-form", "note-result", logNote]]) {
    $(form).addEventListener("submit", (event) => {
      event.preventDefault();
      sending(event.submitter, $(result), work, failed);
    });
  }
}
