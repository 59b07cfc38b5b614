import { busy, get, post } from "./webauthn.js";

const section = document.querySelector("[data-passkey-login]");
const button = section.querySelector("[data-passkey-button]");
const status = document.querySelector("[data-status]");

button.addEventListener("click", () =>
  busy([button], status, async () => {
    const credential = await get(await post("/account/login/options", {}));
    const query = new URLSearchParams({ next: section.dataset.next });
    const done = await post(`/account/login/passkey?${query}`, { credential });
    location.assign(done.next);
  }),
);
