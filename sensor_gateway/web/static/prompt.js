// The prompt card: one change of position, one exercise, three ways to answer.
import { post } from "./net.js";
import { t } from "./text.js";

const $ = (id) => document.getElementById(id);
let shown = null;

export function dose(prompt) {
  const parts = [];
  if (prompt.side) parts.push(t(`prompt.side.${prompt.side}`));
  if (prompt.sets) parts.push(t("prompt.sets", { n: prompt.sets }));
  if (prompt.reps) parts.push(t("prompt.reps", { n: prompt.reps }));
  if (prompt.hold_s) parts.push(t("prompt.hold", { n: prompt.hold_s }));
  return parts.join(" · ");
}

const items = (lines) =>
  (lines ?? []).map((line) => Object.assign(document.createElement("li"), { textContent: line }));

export function showPrompt(prompt) {
  // An answered card stays with its thanks until the next prompt; only an unanswered one can run out.
  if (!prompt) {
    if (shown && !$("prompt-buttons").hidden) hide();
    return;
  }
  if (prompt.event_id === shown) return;
  shown = prompt.event_id;
  const exercise = prompt.exercise_name ?? t("prompt.untitled");
  // After a long time in one posture the change itself is what matters, and the exercise an extra.
  const extra = prompt.lead === "variation";
  const name = extra ? t("prompt.change") : exercise;
  $("prompt-title").textContent = name;
  $("prompt-then").textContent = extra ? t("prompt.extra", { exercise }) : t("prompt.then");
  $("prompt-dose").textContent = dose(prompt);
  $("prompt-cue").textContent = prompt.variation ?? "";
  $("prompt-steps").replaceChildren(...items(prompt.steps));
  $("prompt-care").replaceChildren(...items(prompt.before_you_start));
  $("prompt-careful").hidden = !prompt.before_you_start?.length;
  $("prompt-result").textContent = "";
  $("prompt-buttons").hidden = false;
  $("prompt").classList.remove("answered");
  $("prompt").hidden = false;
  $("say").textContent = t("say.prompt", { exercise: name });
}

function hide() {
  shown = null;
  $("prompt").hidden = true;
}

async function answer(button) {
  const buttons = [...$("prompt-buttons").children];
  for (const b of buttons) b.disabled = true;
  $("prompt-result").textContent = t("prompt.sending");
  try {
    await post("answer", { event_id: shown, answer: button.dataset.answer });
    $("prompt-result").textContent = t(`prompt.thanks.${button.dataset.answer}`);
    $("prompt-buttons").hidden = true;
    $("prompt").classList.add("answered");
  } catch (error) {
    $("prompt-result").textContent = t("error.generic", { reason: error.message });
  }
  for (const b of buttons) b.disabled = false;
}

export function setUpPrompt() {
  for (const button of $("prompt-buttons").children) button.addEventListener("click", () => answer(button));
}
