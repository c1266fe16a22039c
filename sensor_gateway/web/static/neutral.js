// "Set your neutral again": asks the gateway, counts down, and tells whether the sensor's pose was taken or why not.
import { post } from "./net.js";
import { t } from "./text.js";
import { loadDay } from "./today.js";

const SECONDS = 5;
const PATIENCE_MS = 30000;
const ASK_EVERY_MS = 1500;
const $ = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
let newest = 0; // time of the newest alignment event known before the button was pressed

export const allowNeutral = (allowed) => ($("neutral").hidden = !allowed);

export function onAlignments(day) {
  for (const a of day?.alignments ?? []) newest = Math.max(newest, a.t_ms);
}

async function take() {
  const say = (text) => ($("neutral-result").textContent = text);
  $("neutral-start").disabled = true;
  const before = newest;
  try {
    await post("neutral", { duration_s: SECONDS });
    for (let n = SECONDS; n > 0; n -= 1) {
      say(t("neutral.counting", { n }));
      await pause(1000);
    }
    say(t("neutral.waiting"));
    say(await outcome(before));
  } catch (error) {
    say(t("error.generic", { reason: error.message }));
  }
  $("neutral-start").disabled = false;
}

async function outcome(before) {
  for (let waited = 0; waited < PATIENCE_MS; waited += ASK_EVERY_MS) {
    const day = await loadDay();
    onAlignments(day);
    const event = day?.alignments.findLast((a) => a.t_ms > before && a.asked);
    if (event) return event.outcome === "refused" ? t("neutral.refused", { reason: sentence(event.reason) }) : t("neutral.taken");
    await pause(ASK_EVERY_MS);
  }
  return t("neutral.no_answer");
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1).replace(/\.?$/, ".") : "");

export function setUpNeutral() {
  const steps = [t("neutral.step1"), t("neutral.step2", { n: SECONDS })];
  $("neutral-steps").replaceChildren(
    ...steps.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
  $("neutral-start").addEventListener("click", take);
}
