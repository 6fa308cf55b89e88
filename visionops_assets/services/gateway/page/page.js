// The page: signs in, takes a picture, shows the answer, takes what it really was.

import * as api from "./api.js";
import * as camera from "./camera.js";

const SHOWN_CLASSES = 5;
const CHOICES = 12;
const TINY_PX = 64; // Narrower pictures are shown pixel by pixel, not blurred.
const at = (id) => document.getElementById(id);
const show = (id, visible = true) => { at(id).hidden = !visible; };
const percent = (share) => `${(100 * share).toFixed(1)} %`;

let session = null;
let current = null; // The answer on the page, or null.
let asked = 0; // Counts pictures: an answer that comes late is not shown.

function say(id, text) {
  at(id).textContent = text;
  show(id, Boolean(text));
}

// Signing in and out

function showSignIn(reason = "") {
  session = null;
  stopCamera();
  forget(); // The next person is to see nothing of this one.
  show("work", false);
  show("sign-out", false);
  show("sign-in");
  at("who").textContent = "";
  say("sign-in-problem", reason);
  at("key").focus();
}

function showWork(signedIn) {
  session = signedIn;
  at("who").textContent = `${session.model_name} · signed in as ${session.name}`;
  show("sign-in", false);
  show("sign-out");
  show("work");
  show("correct", session.may_label);
}

async function begin() {
  const once = new URLSearchParams(location.hash.slice(1)).get("once");
  // Out of the address bar and of the history: it is used up now.
  if (once) history.replaceState(null, "", location.pathname);
  let reason = "";
  try {
    if (once) return showWork(await api.signIn({ once }));
  } catch (problem) {
    reason = problem.message;
  }
  try {
    showWork(await api.whoAmI()); // Also whoever follows the same link again.
  } catch (problem) {
    showSignIn(reason || (problem.status === 401 ? "" : problem.message));
  }
}

async function signInWithKey(event) {
  event.preventDefault();
  const key = at("key").value.trim();
  try {
    const signedIn = await api.signIn({ key });
    at("key").value = "";
    showWork(signedIn);
  } catch (problem) {
    say("sign-in-problem", problem.message);
  }
}

async function signOut() {
  try {
    await api.signOut();
    showSignIn("You are signed out.");
  } catch (problem) {
    report(problem);
  }
}

function report(problem) {
  if (problem.status === 401) showSignIn(problem.message);
  else say("problem", problem.message);
}

// A picture in

function showPicture(id, picture) {
  const image = at(id);
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(picture);
  image.hidden = false;
}

function forget() {
  current = null;
  asked += 1;
  for (const id of ["preview", "frame", "answer", "problem"]) show(id, false);
  show("invitation");
  show("hint");
}

async function send(picture) {
  if (!session || !picture) return;
  stopCamera();
  forget();
  const turn = asked;
  show("invitation", false);
  showPicture("preview", picture);
  at("hint").textContent = "Asking…";
  try {
    const answer = await api.predict(picture, at("keep").checked);
    if (turn !== asked) return;
    showAnswer(answer);
    const frame = await api.frameOf(picture, answer.snapshot_id);
    if (turn === asked) showPicture("frame", frame);
  } catch (problem) {
    if (turn !== asked) return;
    if (current) at("frame-note").textContent = problem.message;
    else report(problem);
  } finally {
    if (turn === asked) {
      show("hint", false);
      at("hint").textContent = "The model's answer comes here.";
    }
  }
}

function chosen(event) {
  send(event.target.files[0]);
  event.target.value = ""; // The same file may be chosen again.
}

function dropped(event) {
  event.preventDefault();
  at("drop").classList.remove("over");
  send(event.dataTransfer.files[0]);
}

async function startCamera() {
  try {
    await camera.start(at("camera"));
    for (const id of ["preview", "invitation", "start-camera"]) show(id, false);
    show("camera");
    show("take");
    at("take").focus();
  } catch {
    say("problem", "The camera cannot be used: the browser or you refused it.");
  }
}

function stopCamera() {
  camera.stop(at("camera"));
  show("camera", false);
  show("take", false);
  show("start-camera", camera.hasCamera());
}

// An answer out

function bar(name, share) {
  const row = document.createElement("li");
  const [title, track, value] = ["span", "div", "span"].map((tag) => document.createElement(tag));
  title.className = "name";
  title.textContent = name;
  title.title = name;
  track.className = "bar";
  track.append(document.createElement("span"));
  track.firstChild.style.width = percent(share).replace(" ", "");
  value.className = "share";
  value.textContent = percent(share);
  row.append(title, track, value);
  return row;
}

function choice(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => tell(name));
  return button;
}

function showAnswer(answer) {
  current = answer;
  const classes = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  at("label").textContent = answer.label;
  at("confidence").textContent = percent(answer.probability);
  at("classes").replaceChildren(...classes.slice(0, SHOWN_CLASSES).map((one) => bar(...one)));
  at("version").textContent = `${session.model_name} ${answer.model_version}`;
  const page = session.version_url?.replace("{version}", answer.model_version);
  if (page) at("version").href = page;
  at("role").textContent = answer.role;
  at("prediction").textContent = answer.prediction_id;
  at("command").textContent =
    `visionops models show ${session.model_name} --version ${answer.model_version}`;
  at("frame-note").textContent = "As the network sees it";
  at("choices").replaceChildren(...classes.slice(0, CHOICES).map(([name]) => choice(name)));
  at("known").replaceChildren(...classes.map(([name]) => new Option(name)));
  at("other").value = "";
  at("answers-draw").checked = false;
  show("drawn", answer.drawn);
  show("thanks", false);
  show("answer");
  at("answer").scrollIntoView({ block: "nearest" }); // On a phone it is below the picture.
}

async function tell(text) {
  const answer = current;
  if (!answer || !text) return;
  try {
    const added = await api.label(answer.prediction_id, text, at("answers-draw").checked);
    if (answer !== current) return;
    for (const button of at("choices").children) {
      button.setAttribute("aria-pressed", String(button.textContent === added.label));
    }
    const verdict = added.label === answer.label ? "right" : "wrong";
    say("problem", "");
    say("thanks", `Noted: ${added.label}. The model was ${verdict}. If you say it again, the newest counts.`);
  } catch (problem) {
    report(problem);
  }
}

at("sign-in").addEventListener("submit", signInWithKey);
at("sign-out").addEventListener("click", signOut);
at("file").addEventListener("change", chosen);
at("photo").addEventListener("change", chosen);
at("preview").addEventListener("error", () => show("preview", false)); // A format it cannot show.
at("preview").addEventListener("load", ({ target }) => {
  target.classList.toggle("tiny", target.naturalWidth < TINY_PX);
});
at("start-camera").addEventListener("click", startCamera);
at("take").addEventListener("click", async () => send(await camera.take(at("camera"))));
at("correct").addEventListener("submit", (event) => {
  event.preventDefault();
  tell(at("other").value.trim());
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", dropped);
document.addEventListener("paste", (event) => send(event.clipboardData.files[0]));
// The edge of a cluster shows the API's documentation to nobody.
show("api", ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname));
show("start-camera", camera.hasCamera());
show("take-file", !camera.hasCamera());
show("photo", !camera.hasCamera());
window.addEventListener("hashchange", begin); // A link that is opened where the page is open.
begin();
