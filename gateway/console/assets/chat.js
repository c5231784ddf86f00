// Shows an answer as it is written, with the place in the queue before and a button to stop it.
// Without this script the form is sent as it is and the answer comes as a page. What a model writes is text, never HTML.

const form = document.getElementById("chat");
const turns = document.getElementById("turns");
const state = document.getElementById("chat-state");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
let running = null;

function say(key, values = {}) {
  const words = form.dataset[key] ?? "";
  state.textContent = words.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

function paragraph(className, text) {
  const made = document.createElement("p");
  made.className = className;
  made.textContent = text;
  return made;
}

function showTurn(className, who, text) {
  const item = document.createElement("li");
  item.className = className;
  const said = paragraph("said", text);
  item.append(paragraph("who", who), said);
  turns.append(item);
  return { item, said };
}

// Reasoning comes before the text, in a part that is closed at first.
function reasoningOf(answer) {
  if (!answer.reasoning) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = form.dataset.reasoning;
    answer.reasoning = paragraph("said", "");
    details.append(summary, answer.reasoning);
    answer.said.before(details);
  }
  return answer.reasoning;
}

// Server-sent events (WHATWG HTML, 9.2.6): lines; a comment begins with a colon, and ours tell of the queue.
async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield* lines;
  }
}

function takeComment(line) {
  const place = /^: queued pos=(\d+) eta_ms=(\d+)/.exec(line);
  if (place) {
    say("queued", { place: place[1], seconds: Math.ceil(Number(place[2]) / 1000) });
  }
}

// Takes one event; true when it was the last.
function takeEvent(data, answer) {
  if (data === "[DONE]") {
    return true;
  }
  const event = JSON.parse(data);
  if (event.error) {
    throw new Error(event.error.message);
  }
  const choice = event.choices?.[0];
  if (choice?.delta?.reasoning) {
    reasoningOf(answer).textContent += choice.delta.reasoning;
  }
  if (choice?.delta?.content) {
    say("writing");
    answer.said.textContent += choice.delta.content;
  }
  answer.finish = choice?.finish_reason ?? answer.finish;
  answer.usage = event.usage ?? answer.usage;
  return false;
}

async function readAnswer(body, answer) {
  for await (const line of linesOf(body)) {
    if (line.startsWith(":")) {
      takeComment(line);
    } else if (line.startsWith("data: ") && takeEvent(line.slice(6), answer)) {
      return true;
    }
  }
  return false;
}

// What the person is told: the words of the request flow, or the console's own line for what did not reach it.
async function refusalOf(reply) {
  const kind = reply.headers.get("Content-Type") ?? "";
  if (reply.status === 401 || reply.redirected) {
    return form.dataset.over;
  }
  if (!kind.startsWith("application/json")) {
    return kind.startsWith("text/plain") ? (await reply.text()).trim() : form.dataset.failed;
  }
  const told = (await reply.json()).error?.message ?? form.dataset.failed;
  const seconds = reply.headers.get("Retry-After");
  return seconds ? `${told} ${form.dataset.again.replace("{seconds}", seconds)}` : told;
}

function remember(question, text) {
  const field = form.elements.namedItem("turns");
  const known = JSON.parse(field.value);
  known.turns.push({ role: "user", content: question }, { role: "assistant", content: text });
  field.value = JSON.stringify(known);
}

function finish(question, answer) {
  remember(question, answer.said.textContent);
  const usage = answer.usage ?? {};
  const counts = { prompt: usage.prompt_tokens ?? "?", output: usage.completion_tokens ?? "?" };
  say(answer.finish === "length" ? "cut" : "done", counts);
}

function showRefusal(text, question, asked, answer) {
  state.textContent = text;
  if (!answer.said.textContent) {
    asked.item.remove();
    answer.item.remove();
    form.elements.namedItem("question").value = question;
  }
}

function wordsOf(fault) {
  if (running.signal.aborted) {
    return form.dataset.stopped;
  }
  return fault instanceof TypeError ? form.dataset.failed : fault.message; // fetch's own: the connection broke
}

async function ask(question) {
  const fields = new URLSearchParams(new FormData(form));
  const asked = showTurn("asked", form.dataset.you, question);
  const answer = showTurn("answered", form.dataset.modelSays, "");
  answer.item.setAttribute("aria-busy", "true");
  form.elements.namedItem("question").value = "";
  say("asking");
  try {
    const reply = await fetch(form.dataset.stream, { method: "POST", body: fields, signal: running.signal });
    if (!reply.ok || reply.redirected || !reply.body) {
      showRefusal(await refusalOf(reply), question, asked, answer);
    } else if (await readAnswer(reply.body, answer)) {
      finish(question, answer);
    } else {
      showRefusal(form.dataset.failed, question, asked, answer);
    }
  } catch (fault) {
    showRefusal(wordsOf(fault), question, asked, answer);
  } finally {
    answer.item.removeAttribute("aria-busy");
  }
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = form.elements.namedItem("question").value.replace(/\r\n/g, "\n").trim();
  if (running || !question) {
    return;
  }
  running = new AbortController();
  send.disabled = true;
  stop.hidden = false;
  await ask(question);
  running = null;
  send.disabled = false;
  stop.hidden = true;
  form.elements.namedItem("question").focus();
});
stop?.addEventListener("click", () => running?.abort());
