// Binds <section data-vote data-options-url data-vote-url> on a request's page: buttons with data-decision, a
// select named "reason", an optional one named "credential", and <p role="status" data-vote-status>.
import { busy, get, post } from "./webauthn.js";

for (const section of document.querySelectorAll("[data-vote]")) {
  const buttons = [...section.querySelectorAll("[data-decision]")];
  const status = section.querySelector("[data-vote-status]");
  const chosen = (name) => section.querySelector(`[name=${name}]`)?.value ?? "";

  const vote = async (decision) => {
    const said = { decision, reason: decision === "approve" ? "" : chosen("reason") };
    const options = await post(section.dataset.optionsUrl, { ...said, credential_id: chosen("credential") });
    const credential = await get(options);
    const { time, node_id } = options;
    const done = await post(section.dataset.voteUrl, { ...said, time, node_id, credential });
    status.textContent = done.message;
    location.reload();
  };

  for (const button of buttons) {
    button.addEventListener("click", () => busy(buttons, status, () => vote(button.dataset.decision)));
  }
}
