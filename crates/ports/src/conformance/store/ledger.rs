//! What a worker must be able to rely on.

use bytes::Bytes;
use tenantry_contracts::Token;

use super::StoreWorld;
use crate::{Fence, Ledger, Mark, Marked, Remembered};

fn mark(resource: &str, token: i64) -> Mark {
    Mark { resource: resource.to_owned(), token: Token(token) }
}

/// A fence rises and never falls; an equal token stands; each resource is for itself.
pub async fn a_mark_only_rises<W: StoreWorld>(world: &W) {
    let (ledger, other) = (world.ledger().await, world.ledger().await);
    let [a, b] = ["a", "b"].map(|name| format!("suite/{}/{name}", world.lane()));
    let marks = vec![mark(&a, 5), mark(&b, 9)];
    assert_eq!(ledger.mark(marks).await, Ok(vec![Marked::Stands, Marked::Stands]));
    let marks = vec![mark(&b, 8), mark(&a, 5), mark(&a, 6)];
    let became = other.mark(marks).await.expect("it can be marked");
    assert_eq!(became[0], Marked::Superseded);
    assert_eq!(became[2], Marked::Stands, "the highest of one call stands, whatever became of the lower one");
    let fences = ledger.fences(vec![b.clone(), a.clone(), b.clone()]).await;
    let [a_stands, b_stands] = [6, 9].map(|token| Some(Fence { token: Token(token) }));
    assert_eq!(fences, Ok(vec![b_stands, a_stands, b_stands]));
    assert_eq!(other.mark(vec![mark(&a, 6)]).await, Ok(vec![Marked::Stands]), "an equal token stands");
    assert_eq!(other.mark(vec![mark(&a, 5)]).await, Ok(vec![Marked::Superseded]));
}

/// Whoever comes second is given the first answer, also inside one call.
pub async fn the_first_answer_stands<W: StoreWorld>(world: &W) {
    let (ledger, other) = (world.ledger().await, world.ledger().await);
    let [a, b] = ["a", "b"].map(|name| format!("suite/{}/{name}", world.lane()));
    let (one, two) = (Bytes::from_static(b"one\0\xff"), Bytes::from_static(b"two"));
    let remembered = ledger.remember(vec![(a.clone(), one.clone())]).await;
    assert_eq!(remembered, Ok(vec![Remembered::First]));
    let second = vec![(b.clone(), two.clone()), (a.clone(), two.clone()), (b.clone(), one.clone())];
    assert_eq!(
        other.remember(second).await,
        Ok(vec![Remembered::First, Remembered::Earlier(one.clone()), Remembered::Earlier(two.clone())])
    );
    let answers = ledger.answers(vec![b.clone(), a.clone(), b]).await;
    assert_eq!(answers, Ok(vec![Some(two.clone()), Some(one), Some(two)]));
}

/// Nothing is invented; asking for nothing is allowed.
pub async fn what_was_never_written_is_not_there<W: StoreWorld>(world: &W) {
    let ledger = world.ledger().await;
    let name = format!("suite/{}/never", world.lane());
    assert_eq!(ledger.fences(vec![name.clone(), name.clone()]).await, Ok(vec![None, None]));
    assert_eq!(ledger.answers(vec![name]).await, Ok(vec![None]));
    assert_eq!(ledger.fences(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(ledger.mark(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(ledger.answers(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(ledger.remember(Vec::new()).await, Ok(Vec::new()));
}
