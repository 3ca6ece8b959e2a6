// What the peers share: 200 bytes of payload, and the words that the bench and its processes exchange.
import { createInterface } from "node:readline";

export const payload = () => {
  const sent = Math.round((performance.timeOrigin + performance.now()) * 1000);
  const head = JSON.stringify({ sent, filler: "" });
  return { sent, filler: "x".repeat(200 - head.length) };
};

export const since = (sent) =>
  Math.max(0, Math.round((performance.timeOrigin + performance.now()) * 1000) - sent);

export const say = (line) => process.stdout.write(`${line}\n`);

// Says that it is ready, and waits for the word. When the bench is gone, so is this.
export const go = () =>
  new Promise((resolve) => {
    createInterface({ input: process.stdin })
      .on("line", (line) => line === "go" && resolve())
      .on("close", () => process.exit(0));
    say("ready");
  });

export const seconds = async (work) => {
  const began = performance.now();
  await work();
  say((performance.now() - began) / 1000);
};

export const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const chunks = (count, size) =>
  Array.from({ length: Math.ceil(count / size) }, (_, i) => Math.min(size, count - i * size));
