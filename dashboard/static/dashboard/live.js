// Keeps the parts of a page that change up to date. It only reads: nothing is ever sent but a GET.
const INTERVAL_MS = 2000;
const root = document.querySelector("[data-live-url]");

function show(answer) {
  for (const [name, html] of Object.entries(answer.parts)) {
    const part = root.querySelector(`[data-live="${name}"]`);
    if (part === null || part.dataset.shown === html) continue;
    part.dataset.shown = html;
    const { body } = new DOMParser().parseFromString(html, "text/html");
    // What has not changed stays, with the reader's focus and whatever is unfolded.
    if (body.innerHTML.trim() !== part.innerHTML.trim()) part.replaceChildren(...body.childNodes);
  }
  const say = root.querySelector("[data-live-say]");
  if (say.textContent !== answer.say) say.textContent = answer.say;
  for (const part of root.querySelectorAll("[data-live-only]")) part.hidden = part.dataset.liveOnly !== answer.state;
  root.dataset.liveState = answer.state;
}

async function follow() {
  try {
    const response = await fetch(root.dataset.liveUrl, { headers: { Accept: "application/json" } });
    if (response.ok && response.headers.get("content-type").startsWith("application/json")) {
      const answer = await response.json();
      show(answer);
      if (!answer.open) return;
    } else if (response.status < 500) {
      return; // logged out, or gone
    }
  } catch {
    // The network failed: the next look tries again.
  }
  setTimeout(follow, INTERVAL_MS);
}

if (root !== null) follow();
