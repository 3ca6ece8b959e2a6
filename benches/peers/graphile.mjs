// graphile-worker: `node graphile.mjs ROLE DATABASE_URL COUNT`.
import { EventEmitter } from "node:events";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { chunks, go, payload, rest, say, seconds, since } from "./common.mjs";

const [role, connectionString, text] = process.argv.slice(2);
const count = Number(text);
// Its log goes to standard output, where the bench reads.
const logger = new Logger(() => () => {});
const job = () => ({ identifier: "idle", payload: payload(), maxAttempts: 5 });

const work = (idle, more, events) =>
  run({
    logger,
    events,
    noHandleSignals: true,
    crontab: "",
    taskList: { idle },
    preset: { worker: { connectionString, maxPoolSize: 26, ...more } },
  });

if (role === "setup") {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  await utils.withPgClient((client) => client.query("truncate graphile_worker._private_jobs"));
  await utils.release();
  say("ready");
} else if (role === "bulk" || role === "single" || role === "send") {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await go();
  if (role === "bulk") {
    await seconds(async () => {
      for (const size of chunks(count, 1000)) await utils.addJobs(Array.from({ length: size }, job));
    });
  } else if (role === "single") {
    await seconds(async () => {
      for (let i = 0; i < count; i += 1) await utils.addJob("idle", payload(), { maxAttempts: 5 });
    });
  } else {
    for (let i = 0; i < count; i += 1) {
      await rest(15);
      await utils.addJob("idle", payload(), { maxAttempts: 5 });
    }
  }
} else if (role === "drain") {
  await go();
  const events = new EventEmitter();
  let done = 0;
  events.on("job:complete", () => {
    done += 1;
    if (done === count) say("done");
  });
  const fast = { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
  await work(async () => {}, fast, events);
} else if (role === "tell") {
  await go();
  await work(async ({ sent }) => say(since(sent)), { concurrentJobs: 4 });
}
