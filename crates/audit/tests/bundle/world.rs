//! A log of several chains with its checkpoints, and bundles made from it.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use tenantry_audit::bundle::{Bound, Contents, Proofs, Selection, Selector, Trust, Writer};
use tenantry_audit::log::{Frontier, Hash, leaf_hash};
use tenantry_audit::{Checkpoint, Head, Heads, Rotation, Signer};
use tenantry_contracts::audit::{AuditEvent, AuditKind};
use tenantry_contracts::{Lane, TenantId, Time};

pub(crate) const ORIGIN: &str = "tenantry.example/audit/test";
/// The first record's time; each one is a second after the last.
pub(crate) const BEGIN: i64 = 1_700_000_000_000;

pub(crate) fn tenant(at: u8) -> String {
    TenantId::new(Time(1), [at; 10]).to_string()
}

pub(crate) fn key(entropy: u8) -> Signer {
    Signer::from_entropy(ORIGIN, [entropy; 32]).unwrap()
}

/// A log under way.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) values: Vec<Vec<u8>>,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) frontier: Frontier,
    pub(crate) heads: Heads,
    pub(crate) rotations: Vec<Vec<u8>>,
    /// Which key signs.
    pub(crate) turn: u8,
    /// Distinguishes the records of two worlds.
    pub(crate) salt: &'static str,
}

impl World {
    pub(crate) fn now(&self) -> Time {
        Time(BEGIN + 1000 * self.values.len() as i64)
    }

    pub(crate) fn append(&mut self, chain: &str) {
        let head = self.heads.get(chain).unwrap_or_else(|| Head::start(chain));
        let event = AuditEvent {
            fleet: "test".to_owned(),
            chain: chain.to_owned(),
            seq: head.seq + 1,
            prev: head.prev(),
            note: Some(format!("fünf \"words\" {}", self.salt)),
            ..AuditEvent::new(AuditKind::StepSucceeded, self.now(), Lane(0), 1 + self.values.len() as i64)
        };
        self.push(chain, head, serde_json::to_vec(&event).unwrap());
    }

    pub(crate) fn push(&mut self, chain: &str, head: Head, value: Vec<u8>) {
        self.heads.set(chain, head.after(&value));
        self.hashes.push(leaf_hash(&value));
        self.frontier.append(leaf_hash(&value));
        self.values.push(value);
    }

    pub(crate) fn point(&self) -> Checkpoint {
        Checkpoint {
            origin: ORIGIN.to_owned(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            time: self.now(),
            chains: self.heads.count(),
            heads: self.heads.root(),
            previous: None,
            read: vec![(0, self.values.len() as i64)],
        }
    }

    pub(crate) fn note(&self) -> Vec<u8> {
        self.point().sign(&[&key(self.turn)]).unwrap().into_bytes()
    }

    /// The next key takes over.
    pub(crate) fn rotate(&mut self) {
        let (old, new) = (key(self.turn), key(self.turn + 1));
        let size = self.frontier.size();
        self.rotations.push(Rotation::sign(ORIGIN, &old, &new, size, self.now()).unwrap().into_bytes());
        self.turn += 1;
    }

    pub(crate) fn selector(&self, selector: Selector) -> (Selection, Vec<u64>) {
        let mut selector = selector;
        for (index, value) in (0..).zip(&self.values) {
            selector.see(index, value).unwrap();
        }
        selector.finish(&self.heads).unwrap()
    }

    /// A bundle of this selection against now.
    pub(crate) fn bundle(&self, first: &Before, selector: Selector) -> Vec<u8> {
        let (selection, indices) = self.selector(selector);
        let leaf = |index: u64| Ok::<_, std::io::Error>(self.hashes[index as usize]);
        let proofs = Proofs::make(first.size, self.frontier.size(), &indices, leaf).unwrap();
        let contents = Contents {
            selection: &selection,
            rotations: &self.rotations,
            first: &first.note,
            last: &self.note(),
            heads: &self.heads,
            proofs: &proofs,
        };
        let mut writer = Writer::begin(Vec::new(), contents).unwrap();
        for index in indices {
            writer.record(index, &self.values[index as usize]).unwrap();
        }
        let receipt = br#"{"payloadType":"application/vnd.tenantry.receipt+json"}"#;
        writer.attach("receipts/prov_1.dsse.json", receipt.len() as u64, receipt.as_slice()).unwrap();
        writer.attach("plan.json", 2, b"{}".as_slice()).unwrap();
        writer.finish(&key(self.turn), self.now(), "tenantry test").unwrap()
    }
}

/// A checkpoint of before.
#[derive(Clone)]
pub(crate) struct Before {
    pub(crate) size: u64,
    pub(crate) note: Vec<u8>,
}

pub(crate) fn before(world: &World) -> Before {
    Before { size: world.frontier.size(), note: world.note() }
}

/// Three tenants and a lane, six records each, one tenant that comes later; two keys took over meanwhile. Key 1 signs
/// first. With the checkpoint at 8 records.
pub(crate) fn world() -> (World, Before) {
    world_of("")
}

pub(crate) fn world_of(salt: &'static str) -> (World, Before) {
    let mut world = World { turn: 1, salt, ..World::default() };
    let mut first = None;
    for round in 0..6 {
        for chain in [tenant(1), tenant(2), "lane-0".to_owned(), tenant(3)] {
            if round > 0 || chain != tenant(3) {
                world.append(&chain);
            }
            match world.values.len() {
                8 => first = Some(before(&world)),
                10 | 17 if world.rotations.len() < world.values.len() / 8 => world.rotate(),
                _ => {}
            }
        }
    }
    (world, first.unwrap())
}

pub(crate) fn all() -> Selector {
    Selector::new(None, None, None)
}

pub(crate) fn only(chains: &[String]) -> Selector {
    Selector::new(Some(chains.iter().cloned().collect::<BTreeSet<_>>()), None, None)
}

pub(crate) fn at(record: i64) -> Bound {
    Bound::Time(Time(BEGIN + 1000 * record))
}

/// Trusts the key that signed first.
pub(crate) fn trust() -> Trust {
    Trust { keys: vec![key(1).public().clone()], known: None }
}

/// The members of a bundle but for its manifest.
pub(crate) fn open(bundle: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bundle);
    let members = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (name, content)
    });
    members.filter(|(name, _)| name != "manifest.dsse.json").collect()
}

/// The manifest that this key would sign over these members.
pub(crate) fn manifest(members: &[(String, Vec<u8>)], signer: &Signer) -> Vec<u8> {
    let subjects: Vec<String> = members
        .iter()
        .map(|(name, content)| {
            format!(r#"{{"name":"{name}","digest":{{"sha256":"{}"}}}}"#, hex::encode(Sha256::digest(content)))
        })
        .collect();
    let payload = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicateType":"https://tenantry.dev/evidence/v1","predicate":{{"made":"2023-11-14T22:13:43.000Z","generator":"tenantry test"}}}}"#,
        subjects.join(",")
    );
    let kind = "application/vnd.in-toto+json";
    let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
    let secret = SigningKey::from_pkcs8_pem(&signer.to_pem()).unwrap();
    let signature = STANDARD.encode(secret.sign(message.as_bytes()).to_bytes());
    let (payload, id) = (STANDARD.encode(payload), signer.public().id());
    format!(
        r#"{{"payloadType":"{kind}","payload":"{payload}","signatures":[{{"keyid":"{id}","sig":"{signature}"}}]}}"#
    )
    .into_bytes()
}

/// A tar of these members, in the form that bundles have.
pub(crate) fn pack(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (name, content) in members {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        for (at, mode) in
            [(100, "0000644"), (108, "0000000"), (116, "0000000"), (329, "0000000"), (337, "0000000")]
        {
            put(at, mode);
        }
        put(124, &format!("{:011o}", content.len()));
        put(136, &format!("{:011o}", 946_684_800));
        put(148, "        0");
        put(257, "ustar");
        put(263, "00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        file.extend_from_slice(&header);
        file.extend_from_slice(content);
        file.resize(file.len().next_multiple_of(512), 0);
    }
    file.resize(file.len() + 1024, 0);
    file
}

/// Members with their manifest, as somebody with this key would write them.
pub(crate) fn seal(members: &[(String, Vec<u8>)], signer: &Signer) -> Vec<u8> {
    let mut members = members.to_vec();
    members.push(("manifest.dsse.json".to_owned(), manifest(&members, signer)));
    pack(&members)
}
