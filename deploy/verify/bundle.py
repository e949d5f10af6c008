"""How a bundle is read: the one form of its tar, and the records of the chains in it."""
import json, re
from itertools import zip_longest
from tlog import leaf, number, sha, sure

class Wrong(Exception): pass  # the code, and the place
def need(truth, code, **place):
    if not truth: raise Wrong(code, {name: value for name, value in place.items() if value is not None})
def read(member, function, *values, line=None):  # what cannot be read is malformed
    try: return function(*values)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError): need(False, "member_malformed", member=member, line=line)
def lines(text): return text.removesuffix(b"\n").split(b"\n") if text.removesuffix(b"\n") else []
def tar(data):  # members in the one form that a bundle has
    at = 0
    while (head := data[at:at + 512]).strip(b"\0") or len(head) < 512:
        need(len(head) == 512, "bundle_truncated", offset=len(data))
        name, size = head[:100].rstrip(b"\0"), int(head[124:135], 8) if re.fullmatch(b"[0-7]{11}", head[124:135]) else 0
        want = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0%011o\0" % (size, 946684800) + b" " * 8 + b"0" + bytes(100)
        want = (want + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2).ljust(512, b"\0")
        named = re.fullmatch(b"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", name)
        need(named and head == want[:148] + b"%06o\0 " % sum(want) + want[156:], "bundle_malformed", offset=at)
        end, at = at + 512 + size, at + 512 + size + -size % 512
        need(len(data) >= at, "bundle_truncated", offset=len(data))
        need(not data[end:at].strip(b"\0"), "bundle_malformed", offset=end)
        yield name.decode(), data[end - size:end]
    need(len(data) >= at + 1024, "bundle_truncated", offset=len(data))
    need(data[at + 512:at + 1025] == bytes(512), "bundle_malformed", offset=at + 512)
def records(parts, selection, heads):  # the leaves, and the first thing that is wrong with the records
    leaves, wrong, gap, chunk = [], None, None, None
    chains = {c["chain"]: dict(c, next=c["first"], at=[], altered=None, line={}) for c in selection["chains"]}
    for name, s in chains.items():
        if s["first"] == 1 and s["prev"] != sha(b"tenantry-audit/1\n" + name.encode()).hex(): s["altered"] = (1, {})
    for member in [name for name in parts if name.startswith("events/")]:
        places = member.replace("events", "leaves", 1).replace(".ndjson", ".txt")
        for line, (value, index) in enumerate(zip_longest(lines(parts[member]), lines(parts.get(places, b""))), 1):
            try: leaves.append((number(index.decode()), leaf(value)))
            except (ValueError, AttributeError, TypeError): chunk = chunk or Wrong("member_malformed", dict(member=places, line=line))
            here = dict(member=member, line=line)
            try:
                event = json.loads((value or b"").decode())
                form, name, seq, prev, at = (event[field] for field in ("format", "chain", "seq", "prev", "at"))
                sure([type(v) for v in (form, name, seq, prev, at)] == [int, str, int, str, str] and form >= 0)
            except (ValueError, KeyError, TypeError, RecursionError):
                wrong = wrong or (value is not None and Wrong("record_unreadable", here)) or None
                continue
            if gap == (name, seq): wrong, gap = Wrong("record_out_of_order", here | dict(chain=name, seq=seq)), None
            if wrong: continue
            s = chains.get(name)
            code = "record_format_unknown" if form != 1 else "record_unselected" if not s or not s["first"] <= seq <= s["last"] else \
                "record_doubled" if seq < s["next"] else "record_missing" if seq > s["next"] else None
            if code == "record_missing": gap, seq = (name, s["next"]), s["next"]
            if code: wrong = Wrong(code, here | dict(chain=name, seq=seq))
            if code: continue
            if prev != s["prev"]: s["altered"] = (seq, here) if seq == s["first"] else (seq - 1, s["line"])
            s.update(next=seq + 1, prev=sha(value).hex(), at=[s["at"][0] if s["at"] else at, at], line=here)
    for name, s in chains.items():
        if wrong: break
        reach = lambda bound, seq, at: bound and (seq if "seq" in bound else at(bound["time"]))
        head, start, end = heads.get(name), selection.get("from"), selection.get("to")
        begins = s["first"] == 1 or start and (s["first"] <= start["seq"] if "seq" in start else s["at"] and s["at"][0] < start["time"])
        ends = end and (s["last"] >= end["seq"] if "seq" in end else s["at"] and s["at"][1] >= end["time"])
        if s["next"] <= s["last"]: wrong = Wrong("record_missing", dict(chain=name, seq=s["next"]))
        elif s["altered"]: wrong = Wrong("record_altered", s["altered"][1] | dict(chain=name, seq=s["altered"][0]))
        elif not begins: wrong = Wrong("selection_incomplete", dict(chain=name, seq=s["first"] - 1))
        elif head and (s["last"] > head[0] or s["last"] == head[0] and s["prev"] != head[1]): wrong = Wrong("chain_forked", s["line"] | dict(chain=name, seq=s["last"]))
        elif head and not ends and s["last"] < head[0]: wrong = Wrong("selection_incomplete", dict(chain=name, seq=s["last"] + 1))
    return leaves, wrong or chunk
