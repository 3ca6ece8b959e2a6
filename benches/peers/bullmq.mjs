// BullMQ: `node bullmq.mjs ROLE REDIS_URL COUNT`.
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { chunks, go, payload, rest, say, seconds, since } from "./common.mjs";

const [role, url, text] = process.argv.slice(2);
const count = Number(text);
const connection = new Redis(url, { maxRetriesPerRequest: null });
const options = { attempts: 5, removeOnComplete: true };
const queue = () => new Queue("bench", { connection });
const job = () => ({ name: "idle", data: payload(), opts: options });

if (role === "bulk") {
  const to = queue();
  await to.waitUntilReady();
  await go();
  await seconds(async () => {
    for (const size of chunks(count, 1000)) await to.addBulk(Array.from({ length: size }, job));
  });
} else if (role === "single") {
  const to = queue();
  await to.waitUntilReady();
  await go();
  await seconds(async () => {
    for (let i = 0; i < count; i += 1) await to.add("idle", payload(), options);
  });
} else if (role === "drain") {
  let done = 0;
  const worker = new Worker("bench", async () => {}, { connection, concurrency: 200, autorun: false });
  await worker.waitUntilReady();
  worker.on("completed", () => {
    done += 1;
    if (done === count) say("done");
  });
  await go();
  worker.run();
} else if (role === "tell") {
  const worker = new Worker("bench", async ({ data }) => say(since(data.sent)), { connection, autorun: false });
  await worker.waitUntilReady();
  await go();
  worker.run();
} else if (role === "send") {
  const to = queue();
  await to.waitUntilReady();
  await go();
  for (let i = 0; i < count; i += 1) {
    await rest(15);
    await to.add("idle", payload(), options);
  }
}
