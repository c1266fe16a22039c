// Keeps the page's own files, the exercises and the programme for when the gateway cannot be reached. Measurements are
// never kept: old numbers must not look like new ones.
const CACHE = "tiltline-shell-3";
const SHELL = [
  "./", "style.css", "views.css", "app.js", "diary.js", "dom.js", "entries.js", "exercises.js", "flags.js", "health.js",
  "net.js", "notify.js", "now.js", "pictures.js", "prompt.js", "setup.js", "text.js", "timeline.js", "today.js",
  "trends.js", "views.js", "i18n/en.json", "icon.svg", "icon-192.png", "manifest.webmanifest",
];
const KEPT_ANSWERS = /\/api\/(exercises|programme|redflags)$/;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(old).then(() => self.clients.claim()).then(pictures));
});

// The pictures come after the page, and one that fails does not spoil the others.
async function pictures() {
  const cache = await caches.open(CACHE);
  const scope = self.registration.scope;
  try {
    await cache.add(`${scope}api/exercises`);
    const answer = await cache.match(`${scope}api/exercises`);
    const steps = ["bind", "clip", "neutral", "bow", "walk"].map((step) => `setup/${step}.svg`);
    const wanted = [...(await answer.json()).map((e) => `exercises/${e.id}.svg`), ...steps];
    await Promise.all(wanted.map((path) => cache.add(scope + path).catch(() => {})));
  } catch {
    // they are kept when they are first looked at
  }
}

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || url.pathname.includes("/report/")) return;
  if (url.pathname.includes("/api/") && !KEPT_ANSWERS.test(url.pathname)) return;
  // The gateway first, so that an update is seen at once; the kept copy only when it does not answer.
  event.respondWith(refresh(event.request));
});

async function refresh(request) {
  const cache = await caches.open(CACHE);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) await cache.put(request, fresh.clone());
    return fresh;
  } catch (error) {
    // Programme and health questions belong to one wearer; the rest is the same for all.
    const kept = await cache.match(request, { ignoreSearch: !/\/api\/(programme|redflags)\?/.test(request.url) });
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const show = (pages) => (pages.length ? pages[0].focus() : self.clients.openWindow(self.registration.scope));
  event.waitUntil(self.clients.matchAll({ type: "window", includeUncontrolled: true }).then(show));
});
