// The broker's HTTP API as the pages use it. Who is logged in is known by a cookie that scripts cannot read; what changes something carries the session's
// token in a header, which no other site can do.

const TOKEN = 'csrf';

/** The broker refused something. `status` is HTTP's; 0: it did not answer. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let onLogout = () => {};

/** What is to be done when the session is over. */
export function whenLoggedOut(act) {
  onLogout = act;
}

async function call(method, path, body, signal) {
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET') headers['x-csrf-token'] = sessionStorage.getItem(TOKEN) ?? '';
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(0, 'The broker does not answer. Is it running, and can this machine reach it?');
  }
  if (answer.ok) return answer.status === 204 || answer.status === 201 && answer.headers.get('content-length') === '0' ? null : parse(answer);
  const said = await parse(answer).catch(() => null);
  // The same status says that this user may not do something: that is no reason to ask for the password again.
  if (answer.status === 401 && said?.reason === 'Not_Authorized' && path !== '/api/login') onLogout();
  throw new Refused(answer.status, said?.reason || said?.error || `${method} ${path} was answered with ${answer.status}`);
}

async function parse(answer) {
  const text = await answer.text();
  return text === '' ? null : JSON.parse(text);
}

/** A path of the API, its parts percent-encoded. */
export function path(...parts) {
  return '/api/' + parts.map(encodeURIComponent).join('/');
}

export function get(where, parameters = {}, signal) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const query = new URLSearchParams(given).toString();
  return call('GET', query ? `${where}?${query}` : where, undefined, signal);
}
export const put = (where, body = {}) => call('PUT', where, body);
export const post = (where, body = {}) => call('POST', where, body);
export const remove = (where, body) => call('DELETE', where, body);

/** Begins a session. */
export async function login(username, password) {
  const session = await call('POST', '/api/login', { username, password });
  sessionStorage.setItem(TOKEN, session.csrf_token);
  return session;
}

/** The session that the browser has a cookie for; throws `Refused` with 401 if there is none. */
export async function session() {
  const session = await call('GET', '/api/login');
  sessionStorage.setItem(TOKEN, session.csrf_token);
  return session;
}

export async function logout() {
  await call('DELETE', '/api/login');
  sessionStorage.removeItem(TOKEN);
}

/** The charts' time: ten minutes in steps of five seconds. */
export const CHART = { lengths_age: 600, lengths_incr: 5, msg_rates_age: 600, msg_rates_incr: 5 };
