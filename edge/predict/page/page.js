"use strict";

const LEAST = 0.1; // joints that score less are not drawn
const SIDE = 1280; // pixels of the longer side of what is sent
const status = document.getElementById("status");
const columns = document.getElementById("columns");
const camera = document.getElementById("camera");
let stream = null;

function say(text, isError) {
  status.textContent = text;
  status.className = isError ? "error" : "";
}

function draw(canvas, bitmap, people, limbs) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const width = Math.max(2, Math.min(bitmap.width, bitmap.height) / 130);
  for (const joints of people) {
    context.lineWidth = width;
    context.strokeStyle = "#3ce63c";
    for (const [a, b] of limbs) {
      if (joints[a][2] < LEAST || joints[b][2] < LEAST) continue;
      context.beginPath();
      context.moveTo(joints[a][0], joints[a][1]);
      context.lineTo(joints[b][0], joints[b][1]);
      context.stroke();
    }
    for (const [x, y, score] of joints) {
      if (score < LEAST) continue;
      context.beginPath();
      context.arc(x, y, 1.5 * width, 0, 2 * Math.PI);
      context.fillStyle = "#ffffff";
      context.fill();
    }
  }
}

function show(bitmap, answer) {
  const figures = answer.columns.map((column) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const canvas = document.createElement("canvas");
    draw(canvas, bitmap, column.people, answer.limbs);
    caption.textContent = column.ms === null ? column.name : `${column.name}: ${column.ms.toFixed(1)} ms`;
    figure.append(canvas, caption);
    return figure;
  });
  columns.replaceChildren(...figures);
  const count = answer.columns[answer.columns.length - 1].people.length;
  const between = answer.median_px === null ? "" : `, ${answer.median_px.toFixed(2)} px apart (median)`;
  say(count === 0 ? "Nobody is seen in this picture." : `${count} ${count === 1 ? "person" : "people"}${between}`, false);
}

async function scaled(source, width, height) {
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  return { canvas, blob };
}

async function predict(source, width, height) {
  const { canvas, blob } = await scaled(source, width, height);
  const response = await fetch("predict", { method: "POST", body: blob }).catch(() => {
    throw new Error("the server of this page does not answer; start it again");
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return { canvas, answer };
}

async function predictFile(file) {
  stopCamera(); // its next frame would be drawn over the photo
  say("Predicting…", false);
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const { canvas, answer } = await predict(bitmap, bitmap.width, bitmap.height);
    show(canvas, answer);
  } catch (error) {
    say(`${file.name}: ${error.message}`, true);
  }
}

function stopCamera() {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null;
  camera.textContent = "Use the camera";
}

async function openCamera() {
  if (!navigator.mediaDevices) throw new Error("browsers give it to pages of this machine or over https only");
  const opened = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = opened;
  await video.play();
  return { opened, video };
}

async function useCamera() {
  if (stream) {
    stopCamera();
    return;
  }
  camera.disabled = true; // a second click would open it twice
  let video, opened;
  try {
    ({ opened, video } = await openCamera());
  } catch (error) {
    say(`no camera: ${error.message}`, true);
    return;
  } finally {
    camera.disabled = false;
  }
  stream = opened;
  camera.textContent = "Stop the camera";
  try {
    while (stream === opened) {
      if (!opened.active) throw new Error("the camera was taken away");
      const { canvas, answer } = await predict(video, video.videoWidth, video.videoHeight);
      if (stream === opened) show(canvas, answer);
    }
  } catch (error) {
    stopCamera();
    say(error.message, true);
  }
}

const drop = document.getElementById("drop");
document.getElementById("file").addEventListener("change", (event) => event.target.files[0] && predictFile(event.target.files[0]));
for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) predictFile(event.dataTransfer.files[0]); });
camera.addEventListener("click", useCamera);
