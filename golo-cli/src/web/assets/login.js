// Exchanges the token for a cookie, and loads the page again.
const form = document.getElementById("login");
const said = document.getElementById("said");
const tried = "golo-tried";

// A browser keeps its cookie back if a link of another site opened this page. Loading the page again sends it.
if (!sessionStorage.getItem(tried)) {
  sessionStorage.setItem(tried, "1");
  location.reload();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  said.textContent = "";
  const token = document.getElementById("token").value;
  try {
    const answer = await fetch("/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (answer.ok) {
      sessionStorage.removeItem(tried);
      location.reload();
      return;
    }
    said.textContent = (await answer.json()).error;
  } catch {
    said.textContent = "the server does not answer";
  }
  document.getElementById("token").select();
});
