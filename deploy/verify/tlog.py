"""What verify.py needs of public standards: RFC 6962 proofs, C2SP signed notes and checkpoints, Ed25519 keys.
Whatever cannot be read raises ValueError, KeyError, IndexError, TypeError or AttributeError; no more is promised."""
import base64, hashlib, re, sys
from bisect import bisect_left
from itertools import islice
try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("install the package python3-cryptography (with pip: cryptography)", file=sys.stderr)
    sys.exit(64)

def sha(data): return hashlib.sha256(data).digest()
def leaf(value): return sha(b"\0" + value)
def node(left, right): return sha(b"\1" + left + right)
def split(size): return 1 << (size - 1).bit_length() - 1  # how many leaves stand on the left

def sure(truth, value=None):
    if not truth: raise ValueError
    return value

def b64(text, size=None):
    raw = base64.b64decode(text, validate=True)
    return sure(base64.b64encode(raw).decode() == text and size in (None, len(raw)), raw)

def number(text): return int(sure(re.fullmatch("0|[1-9][0-9]*", text), text))

def cover(leaves, start, end, i, j, rest):
    """The root over leaves i to j and, from left to right, the largest subtrees that have none of them."""
    if i == j: return next(rest, b"")
    if end - start == 1: return leaves[i][1]
    middle = start + split(end - start)
    k = bisect_left(leaves, (middle,), i, j)
    return node(cover(leaves, start, middle, i, k, rest), cover(leaves, middle, end, k, j, rest))

def included(leaves, size, root, proof):
    """Whether these leaves, each with its index, are in the log of this size and root."""
    ascending = all(a[0] < b[0] for a, b in zip(leaves, islice(leaves, 1, None)))
    if not ascending or (leaves and leaves[-1][0] >= size): return False
    rest = iter(proof)
    found = cover(leaves, 0, size, 0, len(leaves), rest) if size else sha(b"")
    return found == root and next(rest, None) is None

def grow(old, new, old_root, rest):  # both roots that a consistency proof leads to
    if old == new: return (old_root or next(rest, b""),) * 2
    left = split(new)
    a, b = grow(old - left, new - left, None, rest) if old > left else grow(old, left, old_root, rest)
    side = next(rest, b"")
    return (node(side, a), node(side, b)) if old > left else (a, node(b, side))

def extends(old, new, proof):
    """Whether the log of the second checkpoint begins with that of the first."""
    rest = iter(proof)
    same = grow(old["size"], new["size"], old["root"], rest) == (old["root"], new["root"]) if old["size"] else old["root"] == sha(b"")
    return same and next(rest, None) is None

def key_hash(name, key): return sha(name.encode() + b"\n\1" + key)[:4]

def public(text):
    """The name of a public key, where it has one, and its 32 bytes; from PEM or a line name+hash+key."""
    if text.startswith("-----BEGIN"): return None, base64.b64decode("".join(text.strip().split("\n")[1:-1]))[-32:]
    name, digest, key = text.strip().split("+", 2)
    return sure(b64(key, 33)[0] == 1 and digest == key_hash(name, b64(key)[1:]).hex(), (name, b64(key)[1:]))

def signed(key, sig, message):
    try: return Ed25519PublicKey.from_public_bytes(key).verify(sig, message) is None
    except Exception: return False

def note(data):
    """The text of a signed note, and its signatures: name, and key hash with signature."""
    text, _, tail = data.decode().rpartition("\n\n")
    sure(text and tail.endswith("\n") and not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", text))
    sigs = [re.fullmatch("\u2014 ([^\\s+\0-\x1f\x7f-\x9f]+) (\\S+)", line).groups() for line in tail[:-1].split("\n")]
    return text + "\n", [(name, sure(len(sig) > 5, b64(sig))) for name, sig in sigs]

def signers(text, sigs, keys):
    """Which of the keys signed; None where one of them did not sign this. Other keys say nothing. A key without a name
    goes by the first line of the text, which is the name of the log."""
    names = [name or text.split("\n")[0] for name, _ in keys]
    mine = [next((sig for n, sig in sigs if n == name and sig[:4] == key_hash(name, key)), None) for name, (_, key) in zip(names, keys)]
    wrong = any(sig and not signed(key, sig[4:], text.encode()) for sig, (_, key) in zip(mine, keys))
    return None if wrong else [at for at, sig in enumerate(mine) if sig]

def checkpoint(text):
    origin, size, root, *more = text[:-1].split("\n")
    more = {line.split(" ")[0]: line.split(" ")[1:] for line in sure("" not in more, more)}
    chains, heads = more["heads"]
    return dict(origin=origin, size=number(size), root=b64(root, 32), time=more["time"][0], chains=number(chains), heads=b64(heads, 32))
