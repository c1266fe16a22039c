// The page's only way out: its own gateway. Nothing is fetched from anywhere else.
import { t } from "./text.js";

const wearer = new URLSearchParams(location.search).get("wearer");

const address = (path, query) => link(`api/${path}`, query);

const signIn = () => location.assign(`sign-in?${new URLSearchParams({ to: location.pathname + location.search })}${location.hash}`);

async function answerOf(asked) {
  const response = await asked.catch(() => {
    throw new Error(t("error.no_answer")); // the browser's own words name no gateway, and not in the page's language
  });
  if (response.status === 401) signIn(); // it has run out
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.error ?? `${response.status}`), { wearers: body.wearers });
  return body;
}

export const get = async (path, query) => answerOf(fetch(address(path, query)));

export const post = async (path, body) =>
  answerOf(
    fetch(address(path), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }),
  );

// An address of another page of the gateway, for the same wearer.
export const link = (path, query = {}) => {
  const params = new URLSearchParams(query);
  if (wearer) params.set("wearer", wearer);
  return `${path}?${params}`;
};

// Live events; the browser reconnects by itself after a break, except when it was refused, so that is done here.
export function listen(onFrame, onNow) {
  const source = new EventSource(address("live"));
  source.addEventListener("frame", (event) => onFrame(JSON.parse(event.data)));
  source.addEventListener("now", (event) => onNow(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(onFrame, onNow), 3000);
  });
}

// Time since a moment; the larger of two clocks, because one of them stands still while a phone sleeps.
export const moment = () => ({ performance: performance.now(), date: Date.now() });
export const since = (then) => Math.max(performance.now() - then.performance, Date.now() - then.date, 0);
