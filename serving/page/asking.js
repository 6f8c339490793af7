// Requests to this server, with the key if there is one. Addresses are relative, so that the page
// works below a prefix.

const PLACE = `cloche-key ${location.pathname}`;
const PATIENCE = 15_000;

export class KeyWanted extends Error {}
export class Unreachable extends Error {}

export const key = {
  get value() { return sessionStorage.getItem(PLACE) ?? ""; },
  set value(text) {
    if (text) sessionStorage.setItem(PLACE, text);
    else sessionStorage.removeItem(PLACE);
  },
};

/** The response, whatever its status, except 401. Waits for ever if `patience` is 0. */
export async function ask(path, options = {}, patience = PATIENCE) {
  const headers = { ...options.headers };
  if (key.value) headers.Authorization = `Bearer ${key.value}`;
  const signal = patience ? AbortSignal.timeout(patience) : undefined;
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options, headers, signal });
  } catch (error) {
    throw new Unreachable(error.message);
  }
  if (response.status === 401) throw new KeyWanted();
  return response;
}

export async function askJson(path) {
  const response = await ask(path);
  if (!response.ok) throw new Unreachable(`${response.status}`);
  try {
    return await response.json();
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

export const pathOf = (model, end) => `models/${encodeURIComponent(model)}/${end}`;
