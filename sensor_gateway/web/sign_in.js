// Sends the token once; the answer is a cookie that scripts cannot read.
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("api/sign-in", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: document.getElementById("token").value }),
  });
  if (answer.ok) location.replace("./");
  else document.getElementById("wrong").textContent = (await answer.json()).error;
});
