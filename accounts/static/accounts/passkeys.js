import { busy, create, post } from "./webauthn.js";

const section = document.querySelector("[data-passkey-new]");
const button = section.querySelector("[data-passkey-button]");
const label = section.querySelector("input[name=label]");
const status = document.querySelector("[data-status]");

button.addEventListener("click", () => {
  if (!label.reportValidity()) return;
  busy([button], status, async () => {
    const credential = await create(await post("/account/passkeys/options", {}));
    await post("/account/passkeys/register", { label: label.value, credential });
    location.reload();
  });
});
