#!/usr/bin/env python3
"""Verifies an evidence bundle without the program that made it: verify.py bundle.tar --key pub.pem [--known checkpoint.note]
Exit codes: 0 ok, 1 tampered, 2 incomplete, 3 unknown key, 64 nothing was tried. README.md says what each code means."""
import argparse, json, mmap, sys
from bundle import Wrong, lines, need, read, records, tar
from signed import MANIFEST, checkpoints, key_ring, manifest, members_are_signed
from tlog import b64, checkpoint, included, leaf, note, public, sha, sure

INCOMPLETE = ("bundle_truncated", "member_missing", "checkpoint_unlinked", "chain_missing", "selection_incomplete", "record_missing")
HEADS, SELECTION = "heads.ndjson", "selection.json"

def verify(data, trusted, known):
    members, parts = [], {}
    for name, content in tar(data):
        if name != MANIFEST or name in parts: members.append((name, sha(content).hex()))
        if not name.startswith("attachments/"): parts.setdefault(name, content)
    def part(name): return need(name in parts, "member_missing", member=name) or parts[name]
    def proof(name): return [read(name, lambda: b64(line.decode(), 32), line=at) for at, line in enumerate(lines(part(name)), 1)]
    keys, sizes = key_ring(parts, trusted)
    subjects = manifest(part(MANIFEST), keys)
    try: ends = [read(HEADS, lambda: end_of(json.loads(line)), line=at) for at, line in enumerate(lines(part(HEADS)), 1)]
    except Wrong as wrong: ends, unread = [], wrong
    heads = {chain: (seq, digest) for _, chain, seq, digest in ends}
    try: selection = read(SELECTION, lambda: selected(json.loads(part(SELECTION))))
    except Wrong as wrong: selection, unread = None, wrong
    leaves, found = records(parts, selection, heads) if selection else ([], None)
    members_are_signed(members, subjects, found)
    last = checkpoints(part, proof, keys, sizes, known)
    if not selection or (not ends and lines(part(HEADS))): raise unread
    leaf_of = lambda chain, seq, digest: leaf(f"tenantry-head/1\n{chain}\n{seq}\n{digest}".encode())
    tree = [(index, leaf_of(chain, seq, digest)) for index, chain, seq, digest in ends]
    need(included(tree, last["chains"], last["heads"], proof("proofs/heads.txt")), "heads_altered", member=HEADS)
    chains = [piece["chain"] for piece in selection["chains"]]
    left_out = [chain for chain in chains if chain not in heads] + sorted(set(heads) - set(chains) if selection["all"] else ())
    need(not left_out, "chain_missing", member=SELECTION, chain=left_out[0] if left_out else None)
    line = next((at for at, (index, *_) in enumerate(ends) if at != index), len(ends)) + 1
    need(not selection["all"] or len(ends) == last["chains"], "chain_missing", member=HEADS, line=line)
    if found: raise found
    need(included(leaves, last["size"], last["root"], proof("proofs/inclusion.txt")), "records_not_in_log", member="proofs/inclusion.txt")
    return f"ok: {len(leaves)} records in {len(chains)} chains of {last['origin']}, whose log had {last['size']} records at {last['time']}"

def typed(value, **types):  # an object with exactly these members, of these types
    sure(set(value) == set(types) and all(type(value[name]) is kind for name, kind in types.items()))
    sure(all(len(text.encode()) >= 0 for text in value.values() if type(text) is str))
    return value

def end_of(line):
    typed(line, chain=str, index=int, seq=int, digest=str)
    return sure(len(bytes.fromhex(line["digest"])) == 32, (line["index"], line["chain"], line["seq"], line["digest"]))

def selected(selection):
    windows = {name: dict for name in ("from", "to") if name in selection}
    for window in windows: typed(selection[window], **({"seq": int} if "seq" in selection[window] else {"time": str}))
    pieces = [typed(piece, chain=str, first=int, last=int, prev=str) for piece in typed(selection, format=int, all=bool, chains=list, **windows)["chains"]]
    distinct = len({piece["chain"] for piece in pieces}) == len(pieces) and selection["format"] == 1
    return sure(distinct and all(1 <= piece["first"] <= piece["last"] for piece in pieces), selection)

def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundle")
    options.add_argument("--key", action="append", required=True, help="a public key that you trust: PEM, or a line name+hash+key")
    options.add_argument("--known", help="a checkpoint that you kept from before: the log must go on from it")
    options = options.parse_args()
    trusted = [public(open(name).read()) for name in options.key]
    known = checkpoint(note(open(options.known, "rb").read())[0]) if options.known else None
    with open(options.bundle, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.seek(0, 2) else b""
            print(verify(data, trusted, known))
        except Wrong as wrong:
            code, place = wrong.args
            print(f"{code}:", *(f"{name}={value}" for name, value in place.items()))
            return 2 if code in INCOMPLETE else 3 if code == "key_unknown" else 1

if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except OSError as error:
        print(f"file_unreadable: {error}", file=sys.stderr)
        raise SystemExit(64)
