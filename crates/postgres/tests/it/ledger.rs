//! What the ledger and the keys promise beyond the suite.

use bytes::Bytes;
use tenantry_contracts::{DataKey, Fleet as Name, MasterKey, TenantId, Time, Token};
use tenantry_ports::conformance::store::StoreWorld;
use tenantry_ports::{Keys, Ledger, Mark, Marked, Remembered};
use tenantry_postgres::PgKeys;

use crate::fleet::Fleet;

#[tokio::test]
async fn of_many_workers_that_answer_at_once_exactly_one_is_first_and_all_others_learn_its_answer() {
    let fleet = Fleet::new().await;
    let mut asks = Vec::new();
    for worker in 0..8u8 {
        let ledger = fleet.ledger().await;
        asks.push(tokio::spawn(async move {
            let all: Vec<_> = (0..50).map(|q| (format!("q{q}"), Bytes::from(vec![worker, q]))).collect();
            ledger.remember(all).await.unwrap()
        }));
    }
    let mut heard = Vec::new();
    for ask in asks {
        heard.push(ask.await.unwrap());
    }
    for question in 0..50 {
        let of: Vec<_> = heard.iter().map(|answers| answers[question].clone()).collect();
        let first: Vec<_> = (0..8u8).filter(|w| of[*w as usize] == Remembered::First).collect();
        assert_eq!(first.len(), 1, "question {question}: {of:?}");
        let answer = Bytes::from(vec![first[0], question as u8]);
        for (worker, became) in of.iter().enumerate() {
            let wanted = if worker == first[0] as usize {
                Remembered::First
            } else {
                Remembered::Earlier(answer.clone())
            };
            assert_eq!(*became, wanted);
        }
    }
}

#[tokio::test]
async fn one_workers_unwritable_name_does_not_fail_the_marks_of_the_others() {
    let ledger = Fleet::new().await.ledger().await;
    let mark = |name: String| vec![Mark { resource: name, token: Token(1) }];
    let good = (0..20).map(|i| ledger.mark(mark(format!("r{i}"))));
    let bad = ledger.mark(mark("r\0".to_owned()));
    let (good, bad) = tokio::join!(futures_of(good), bad);
    assert!(bad.is_err());
    for marked in good {
        assert_eq!(marked, Ok(vec![Marked::Stands]));
    }
}

async fn futures_of<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_key_opens_only_with_the_master_key_that_wrapped_it_and_is_gone_when_its_row_is() {
    let fleet = Fleet::new().await;
    let (name, master) = (Name::new("here"), MasterKey::new([7; 32]));
    let tenant = TenantId::new(Time(1), [1; 10]);
    let wrapped = master.wrap(&name, tenant, &DataKey::new([3; 32]), [9; 12]);
    let client = fleet.client().await;
    client.execute("insert into tenant_key values ($1, $2)", &[&tenant.0, &wrapped]).await.unwrap();

    let keys = PgKeys::connect(&fleet.url, name.clone(), master.clone()).await.unwrap();
    let place = tenantry_contracts::sealed::Place { fleet: &name, tenant, field: "email" };
    let sealed = DataKey::new([3; 32]).seal(&place, "ada@example.com", [1; 12]);
    let key = keys.key(tenant).await.unwrap().unwrap();
    assert_eq!(key.open(&place, &sealed).unwrap(), "ada@example.com");
    assert!(keys.key(TenantId::new(Time(1), [2; 10])).await.unwrap().is_none());

    let stranger = PgKeys::connect(&fleet.url, name.clone(), MasterKey::new([8; 32])).await.unwrap();
    let error = stranger.key(tenant).await.unwrap_err().to_string();
    assert!(error.contains("master key"), "{error}");

    client.execute("delete from tenant_key", &[]).await.unwrap();
    let later = PgKeys::connect(&fleet.url, name, master).await.unwrap();
    assert!(later.key(tenant).await.unwrap().is_none());
}
