// The audit pages work without this: it leaves empty conditions out of a search's address, and looks again by itself
// while the log is being verified.
const LOOK_AGAIN_MS = 2000;

const search = document.querySelector("form.search");
if (search) {
  search.addEventListener("submit", () => {
    const fields = [...search.elements].filter((each) => each.name);
    if (fields.every((each) => !each.value)) {
      return; // nothing is asked: the address still says that somebody searched
    }
    const empty = fields.filter((each) => !each.value);
    for (const each of empty) {
      each.disabled = true;
    }
    setTimeout(() => {
      for (const each of empty) {
        each.disabled = false;
      }
    }, 0);
  });
}

if (document.querySelector("[data-verifying]")) {
  setTimeout(() => location.reload(), LOOK_AGAIN_MS);
}
