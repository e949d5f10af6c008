"""What is signed in a bundle: which keys count, the manifest, the checkpoints."""
import json
from bundle import Wrong, lines, need, read
from tlog import b64, checkpoint, extends, note, number, public, sha, signed, signers, sure

FIRST, LAST, MANIFEST = "checkpoints/first.note", "checkpoints/last.note", "manifest.dsse.json"

def key_ring(parts, trusted):
    """The keys, and the sizes of the log at which the next one took over; None where they stand side by side."""
    keys, sizes, members = [], [0], sorted(name for name in parts if name.startswith("keys/"))
    for member in members:
        text, sigs = read(member, note, parts[member])
        title, log, old, new, size, _ = read(member, lambda: sure(text.count("\n") == 6, text)[:-1].split("\n"))
        old, new = (read(member, lambda: public(sure(line.startswith(word), line[4:]))) for line, word in ((old, "old "), (new, "new ")))
        need(signers(text, sigs, [old, new]) == [0, 1], "signature_invalid", member=member)
        need(title == "tenantry.dev/key-rotation/v1" and log == f"origin {old[0]}" == f"origin {new[0]}", "member_malformed", member=member)
        size, keys = read(member, lambda: number(sure(size.startswith("size "), size[5:]))), keys or [old]
        need(old == keys[-1] and new not in keys and sizes[-1] <= size, "signature_invalid", member=member)
        keys, sizes = keys + [new], sizes + [size]
    known = any(key == mine and name in (None, log) for log, key in keys for name, mine in trusted)
    need(not keys or known, "key_unknown", member=members[0] if members else None)
    return (keys, sizes + [float("inf")]) if keys else (trusted, None)

def manifest(envelope, keys):
    """The names and digests of the members; signed by one of the keys, and not one byte otherwise."""
    try:
        said = json.loads(envelope)
        [sig], payload = said["signatures"], b64(said["payload"])
        kind = "application/vnd.in-toto+json"
        message, signature = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload), b64(sig["sig"])
        ids = {sha(key).hex()[:32]: signed(key, signature, message) for _, key in keys}
        need(any(ids.values()) or sig["keyid"] in ids, "key_unknown", member=MANIFEST)
        want = dict(payloadType=kind, payload=said["payload"], signatures=[dict(keyid=sig["keyid"], sig=sig["sig"])])
        sure(ids[sig["keyid"]] and json.dumps(want, separators=(",", ":")).encode() == envelope)
        said = json.loads(payload)
        sure((said["_type"], said["predicateType"]) == ("https://in-toto.io/Statement/v1", "https://tenantry.dev/evidence/v1"))
        return [(subject["name"], subject["digest"]["sha256"]) for subject in said["subject"]]
    except (ValueError, KeyError, TypeError): raise Wrong("manifest_altered", dict(member=MANIFEST)) from None

def members_are_signed(members, subjects, found):
    for at, (name, digest) in enumerate(subjects):
        there = members[at] if at < len(members) else (None, None)
        missing = there[0] is None or name not in dict(members)
        need(there[0] == name, "member_missing" if missing else "member_unknown", member=name if missing else there[0])
        place = found.args[1] if found and found.args[1].get("member") == name else dict(member=name)
        need(there[1] == digest, "member_altered", **place)
    need(len(members) == len(subjects), "member_unknown", member=members[min(len(members) - 1, len(subjects))][0])

def checkpoints(part, proof, keys, sizes, known):
    both = []
    for member in (FIRST, LAST):
        text, sigs = read(member, note, part(member))
        point, by = read(member, checkpoint, text), signers(text, sigs, keys)
        need(by is not None, "signature_invalid", member=member)
        by = [at for at in by if keys[at][0] in (None, point["origin"])]
        need(by, "key_unknown", member=member)
        need(not sizes or any(sizes[at] <= point["size"] <= sizes[at + 1] for at in by), "key_out_of_turn", member=member)
        both.append(point)
    first, last = both
    hashes = proof("proofs/consistency.txt")
    need(first["origin"] == last["origin"], "log_forked", member=FIRST)
    need(first["size"] <= last["size"] and first["time"] <= last["time"], "checkpoint_old", member=LAST)
    need(extends(first, last, hashes), "log_forked", member="proofs/consistency.txt")
    for member, point in ((FIRST, first), (LAST, last)) if known else ():
        same = known["size"] != point["size"] or known["root"] == point["root"]
        need(same and known["origin"] == point["origin"], "log_forked", member=member)
    need(not known or known["size"] <= last["size"] and known["time"] <= last["time"], "checkpoint_old", member=LAST)
    need(not known or known["size"] in (0, first["size"], last["size"]), "checkpoint_unlinked", member=FIRST)
    return last
