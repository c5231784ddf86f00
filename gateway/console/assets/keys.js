// The page that shows a new key once: a button that copies it, and nothing of it left for the browser to bring back.
const secret = document.getElementById("secret");
const button = document.getElementById("copy");
const told = document.getElementById("copied");
const key = document.getElementById("to-key");

if (secret && button && told && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret.textContent);
      told.textContent = button.dataset.done;
    } catch {
      told.textContent = button.dataset.failed;
    }
  });
}

if (secret && key) {
  // Back to here, or loaded again, is the key's own page: the form is not sent twice, and the key not shown twice.
  history.replaceState(null, "", key.href);
  // A page that the browser keeps alive for its back button would show it, too.
  addEventListener("pagehide", () => secret.replaceChildren());
}
