#!/usr/bin/env python3
"""Reads tenant.audit.events and checks every chain while reading. A sample: put your own work where it prints.

    pip install confluent-kafka
    consume.py localhost:9092

Keep `Chains.heads` with your offsets (in one transaction), and go on from both after a restart."""
import hashlib, json, sys

TOPIC = "tenant.audit.events"


class Chains:
    """What must be remembered of the chains: of each the last seq, and the SHA-256 of the last value's exact bytes."""

    def __init__(self, heads=None):
        self.heads = heads or {}

    def hear(self, key, value):
        """The event where it is new, None where it is an older one again, which is legal. Raises ValueError."""
        event = json.loads(value)
        chain, seq = event["chain"], event["seq"]
        genesis = hashlib.sha256(f"tenantry-audit/1\n{chain}".encode()).hexdigest()
        last, digest = self.heads.get(chain, (0, genesis))
        if key is None or key.decode() != chain:
            raise ValueError(f"audit_wrong_chain: record {seq} of {chain} has another key")
        if seq <= last:
            return None
        if seq != last + 1:
            raise ValueError(f"audit_missing: chain {chain} record {last + 1}")
        if event["prev"] != digest:
            raise ValueError(f"audit_altered: chain {chain} record {last}, or {seq} which speaks of it")
        self.heads[chain] = (seq, hashlib.sha256(value).hexdigest())
        return event


def main():
    from confluent_kafka import Consumer

    consumer = Consumer({
        "bootstrap.servers": sys.argv[1],
        "group.id": "audit-sample",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,  # this sample reads everything at every start
        "check.crcs": True,
    })
    consumer.subscribe([TOPIC])
    chains = Chains()
    while True:
        record = consumer.poll(1.0)
        if record is None:
            continue
        if record.error():
            raise SystemExit(record.error())
        try:
            event = chains.hear(record.key(), record.value())
        except (ValueError, KeyError) as wrong:
            raise SystemExit(f"{wrong} at {TOPIC}/{record.partition()}/{record.offset()}: stop, and run `tenantry audit verify`")
        if event:
            print(event["at"], event["chain"], event["seq"], event["type"])


if __name__ == "__main__":
    main()
