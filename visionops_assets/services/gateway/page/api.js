// What the page asks of the gateway. The browser sends the cookie by itself; no script can read it.

/** Why a request failed: a problem document's sentence, its code, and the status. */
export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

async function ask(method, path, body, type = "application/json") {
  const headers = body === undefined ? {} : { "Content-Type": type };
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, cache: "no-store" });
  } catch {
    throw new Problem(0, "unreachable", "The gateway does not answer. Is it running?");
  }
  if (answer.ok) return answer;
  let said = {};
  try {
    said = await answer.json();
  } catch {
    // A proxy before the gateway may answer something else.
  }
  const detail = said.detail ?? `The gateway answered ${answer.status}.`;
  throw new Problem(answer.status, said.code ?? "unknown", detail);
}

const json = async (answer) => (await answer).json();
const typeOf = (picture) =>
  picture.type.startsWith("image/") ? picture.type : "application/octet-stream";

/** Sign in with `{key}` or `{once}`; both of these return who is signed in. */
export const signIn = (secret) => json(ask("POST", "/v1/session", JSON.stringify(secret)));
export const whoAmI = () => json(ask("GET", "/v1/session"));
export const signOut = () => ask("DELETE", "/v1/session");

/** Predict a picture, a Blob. */
export const predict = (picture, keep) =>
  json(ask("POST", `/v1/predict?keep_image=${keep}`, picture, typeOf(picture)));

/** Return the picture as the network sees it, a PNG as Blob. */
export const frameOf = async (picture, snapshotId) => {
  const path = `/v1/frame?snapshot_id=${encodeURIComponent(snapshotId)}`;
  return (await ask("POST", path, picture, typeOf(picture))).blob();
};

/** Say what a predicted picture really shows. */
export const label = (predictionId, text, answersDraw) =>
  json(ask("POST", `/v1/predictions/${predictionId}/label`,
    JSON.stringify({ label: text, answers_draw: answersDraw })));
