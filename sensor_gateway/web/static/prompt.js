// The prompt card: a change of position first, then one exercise, and four ways to answer. Also told outside the page.
import { $, listItems } from "./dom.js";
import { get, post } from "./net.js";
import { tell } from "./notify.js";
import { showPicture } from "./pictures.js";
import { clock, dose, said, t } from "./text.js";

let shown = null;
let asked = false; // whether the page has loaded: a prompt that was there before is not announced

export function showPrompt(prompt) {
  const first = !asked;
  asked = true;
  // An answered card stays with its thanks until the next prompt; only an unanswered one can run out.
  if (!prompt) {
    if (shown && !$("prompt-buttons").hidden) hide();
    return;
  }
  if (prompt.event_id === shown) return;
  shown = prompt.event_id;
  const exercise = prompt.exercise_name ? said(`exercise.${prompt.exercise}`, prompt.exercise_name) : t("prompt.untitled");
  // After a long time in one posture the change itself is what matters, and the exercise an extra.
  const extra = prompt.lead === "variation";
  const name = extra ? t("prompt.change") : exercise;
  $("prompt-title").textContent = name;
  $("prompt-why").textContent = prompt.why ?? "";
  $("prompt-then").textContent = extra ? t("prompt.extra", { exercise }) : t("prompt.then");
  $("prompt-dose").textContent = dose(prompt);
  $("prompt-cue").textContent = prompt.variation ?? "";
  $("prompt-steps").replaceChildren(...listItems(prompt.steps));
  $("prompt-care").replaceChildren(...listItems(prompt.before_you_start));
  $("prompt-careful").hidden = !prompt.before_you_start?.length;
  $("prompt-result").textContent = "";
  $("prompt-buttons").hidden = false;
  $("prompt").classList.remove("answered");
  $("prompt").hidden = $("prompt-note").hidden = false;
  $("prompt-note-text").textContent = t("say.prompt", { exercise: name });
  if (prompt.exercise) showPicture($("prompt-picture"), prompt.exercise);
  else $("prompt-picture").hidden = true;
  $("say").textContent = t("say.prompt", { exercise: name });
  if (!first) tell(t("prompt.eyebrow"), `${prompt.variation ?? ""} ${name}`.trim(), prompt.event_id);
}

function hide() {
  shown = null;
  $("prompt").hidden = $("prompt-note").hidden = true;
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
    $("prompt-note").hidden = true;
  } catch (error) {
    $("prompt-result").textContent = t("error.generic", { reason: error.message });
  }
  for (const b of buttons) b.disabled = false;
}

export function setUpPrompt() {
  for (const button of $("prompt-buttons").children) button.addEventListener("click", () => answer(button));
}

// How prompts stand: on, paused, only recording or off; and the hours that are always quiet.
let mode = null;
let stopped = false; // by the health questions

export function onHealth(stop) {
  stopped = stop;
  showMode();
}

function showMode() {
  if (!mode) return;
  const until = mode.until_ms && clock(mode.until_ms);
  const kind = stopped ? "health" : mode.study_mode === "tracking" ? "study" : until && mode.mode !== "training" ? "paused" : mode.mode;
  $("mode-state").textContent = t(`mode.is.${kind}`, { until });
  $("mode-quiet").textContent = t("mode.quiet", { from: mode.quiet_from, to: mode.quiet_to, n: mode.budget_per_day });
  const pressed = { training: "training", paused: "snooze", tracking: "tracking", study: "tracking" }[kind];
  for (const button of $("mode-buttons").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === pressed));
    button.disabled = kind === "study" || kind === "health";
  }
}

export async function loadMode() {
  try {
    mode = await get("mode");
    showMode();
  } catch {
    // the notice already says that the gateway does not answer
  }
}

async function setMode(button) {
  const wanted = button.dataset.mode;
  const body = wanted === "snooze" ? { mode: "tracking", minutes: 60 } : { mode: wanted };
  try {
    await post("mode", body);
    mode = { ...mode, mode: body.mode, until_ms: body.minutes ? Date.now() + body.minutes * 60000 : null };
    showMode();
    $("mode-result").textContent = "";
  } catch (error) {
    $("mode-result").textContent = t("error.generic", { reason: error.message });
  }
}

export function setUpMode(allowed) {
  $("mode-buttons").hidden = !allowed;
  for (const button of $("mode-buttons").children) button.addEventListener("click", () => setMode(button));
  setInterval(() => mode?.until_ms && mode.until_ms < Date.now() && loadMode(), 30000);
  return loadMode();
}
