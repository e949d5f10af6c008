// Reads tenant.audit.events and checks every chain while reading. A sample: put your own work where it prints.
//
//     npm install kafkajs
//     npx tsx consume.ts localhost:9092
//
// Keep `Chains.heads` with your offsets (in one transaction), and go on from both after a restart.
import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";

const TOPIC = "tenant.audit.events";
const sha256 = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

export type AuditEvent = { chain: string; seq: number; prev: string; at: string; type: string };

/** What must be remembered of the chains: of each the last seq, and the SHA-256 of the last value's exact bytes. */
export class Chains {
  readonly heads = new Map<string, { seq: number; digest: string }>();

  /** The event where it is new, undefined where it is an older one again, which is legal. Throws. */
  hear(key: Buffer | null, value: Buffer): AuditEvent | undefined {
    const event = JSON.parse(value.toString("utf8")) as AuditEvent;
    const { chain, seq, prev } = event;
    const last = this.heads.get(chain) ?? { seq: 0, digest: sha256(`tenantry-audit/1\n${chain}`) };
    if (key?.toString("utf8") !== chain) throw new Error(`audit_wrong_chain: record ${seq} of ${chain} has another key`);
    if (seq <= last.seq) return undefined;
    if (seq !== last.seq + 1) throw new Error(`audit_missing: chain ${chain} record ${last.seq + 1}`);
    if (prev !== last.digest) throw new Error(`audit_altered: chain ${chain} record ${last.seq}, or ${seq} which speaks of it`);
    this.heads.set(chain, { seq, digest: sha256(value) });
    return event;
  }
}

async function main(): Promise<void> {
  const { Kafka } = await import("kafkajs");
  const kafka = new Kafka({ clientId: "audit-sample", brokers: [process.argv[2] ?? "localhost:9092"] });
  // A group of its own at every start: this sample reads everything each time.
  const consumer = kafka.consumer({ groupId: `audit-sample-${process.pid}` });
  const chains = new Chains();
  await consumer.connect();
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      try {
        const event = chains.hear(message.key, message.value ?? Buffer.alloc(0));
        if (event) console.log(event.at, event.chain, event.seq, event.type);
      } catch (wrong) {
        console.error(`${(wrong as Error).message} at ${TOPIC}/${partition}/${message.offset}: stop, and run \`tenantry audit verify\``);
        process.exit(1);
      }
    },
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
