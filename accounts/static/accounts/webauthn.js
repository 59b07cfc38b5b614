// Between WebAuthn's byte arrays and the site's JSON.

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));

const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const listed = (credentials) => credentials.map((each) => ({ ...each, id: bytes(each.id) }));

const answer = (credential, names) => ({
  id: credential.id,
  rawId: text(credential.rawId),
  type: credential.type,
  response: Object.fromEntries(names.map((name) => [name, text(credential.response[name])])),
});

export async function create({ publicKey }) {
  const credential = await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: bytes(publicKey.challenge),
      user: { ...publicKey.user, id: bytes(publicKey.user.id) },
      excludeCredentials: listed(publicKey.excludeCredentials),
    },
  });
  return answer(credential, ["clientDataJSON", "attestationObject"]);
}

export async function get({ publicKey }) {
  const credential = await navigator.credentials.get({
    publicKey: {
      ...publicKey,
      challenge: bytes(publicKey.challenge),
      allowCredentials: listed(publicKey.allowCredentials),
    },
  });
  return answer(credential, ["clientDataJSON", "authenticatorData", "signature"]);
}

function csrfToken() {
  const field = document.querySelector("input[name=csrfmiddlewaretoken]");
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  return field ? field.value : cookie ? cookie[1] : "";
}

export async function post(url, body) {
  const response = await fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(body),
  });
  const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
  const value = isJson ? await response.json() : {};
  if (!response.ok) throw new Error(value.error ?? "The page is too old: load it again.");
  return value;
}

// Runs `act` with the buttons disabled; what goes wrong stands in `status`.
export async function busy(buttons, status, act) {
  status.textContent = "";
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await act();
  } catch (error) {
    status.textContent = error.name === "NotAllowedError" ? "The passkey was not used." : error.message;
    buttons.forEach((button) => { button.disabled = false; });
  }
}
