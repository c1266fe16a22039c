// Sends the token once; the answer is a cookie that scripts cannot read. Then on to the page that was asked for.
const to = new URLSearchParams(location.search).get("to");

function goOn() {
  const page = new URL(to ?? "./", location.href);
  page.hash = location.hash;
  location.replace(page.origin === location.origin ? page : "./"); // an address elsewhere was put there by somebody else
}

document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("api/sign-in", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: document.getElementById("token").value }),
  });
  if (answer.ok) goOn();
  else document.getElementById("wrong").textContent = (await answer.json()).error;
});

// Whoever follows a link from another site is signed in and not known to be, as the cookie stays behind on the way in.
if (to && (await fetch("api/exercises")).ok) goOn();
