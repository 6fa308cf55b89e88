// Takes a picture with a camera of this device, where the browser lets a page have one.

/** Whether `start` can be tried: browsers give cameras on HTTPS and on this machine alone. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** Show what the camera sees in a `video` element. */
export async function start(video) {
  const wanted = { video: { facingMode: "environment" }, audio: false };
  video.srcObject = await navigator.mediaDevices.getUserMedia(wanted);
  await video.play();
}

/** Return what is seen now, as JPEG. */
export function take(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}

/** Let the camera go. */
export function stop(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}
