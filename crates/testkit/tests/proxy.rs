//! The proxy before an echo server and before PostgreSQL.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use tenantry_testkit::postgres::Postgres;
use tenantry_testkit::proxy::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

/// Long enough for anything that is going to happen.
const LONG: Duration = Duration::from_secs(30);
/// How long nothing must happen.
const SHORT: Duration = Duration::from_millis(200);

async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Proxy::start(address).await.unwrap()
}

async fn say(socket: &mut TcpStream, word: &[u8]) -> std::io::Result<Vec<u8>> {
    socket.write_all(word).await?;
    let mut heard = vec![0; word.len()];
    socket.read_exact(&mut heard).await?;
    Ok(heard)
}

#[tokio::test]
async fn what_is_said_comes_back_until_it_is_cut_and_a_new_connection_works() {
    let proxy = echo().await;
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut socket, b"hello").await.unwrap(), b"hello");
    proxy.cut();
    let end = timeout(LONG, socket.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut again, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_black_hole_is_silent_and_lets_everything_through_when_it_ends() {
    let proxy = echo().await;
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut socket, b"hello").await.unwrap();
    proxy.black_hole(true);
    socket.write_all(b"lost?").await.unwrap();
    let mut heard = [0; 5];
    assert!(timeout(SHORT, socket.read_exact(&mut heard)).await.is_err(), "something came through");
    proxy.black_hole(false);
    timeout(LONG, socket.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"lost?");
}

#[tokio::test]
async fn a_connection_that_is_cut_while_it_waits_in_a_black_hole_ends() {
    let proxy = echo().await;
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut socket, b"hello").await.unwrap();
    proxy.black_hole(true);
    socket.write_all(b"word").await.unwrap();
    proxy.cut();
    let end = timeout(LONG, socket.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(end, Ok(1..)), "{end:?}");
}

#[tokio::test]
async fn a_refusing_proxy_takes_nobody_in() {
    let proxy = echo().await;
    proxy.refuse(true);
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(say(&mut socket, b"hello").await.is_err());
    proxy.refuse(false);
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut socket, b"hello").await.unwrap();
}

#[tokio::test]
async fn a_delay_holds_an_answer_back() {
    let proxy = echo().await;
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.delay(Duration::from_secs(3600));
    assert!(timeout(SHORT, say(&mut socket, b"hello")).await.is_err(), "it has to wait for an hour");
}

#[tokio::test]
async fn a_reply_is_cut_at_the_byte_asked_for_and_only_once() {
    let proxy = echo().await;
    proxy.cut_reply_after(3);
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    socket.write_all(b"hello").await.unwrap();
    let mut heard = Vec::new();
    let _ = timeout(LONG, socket.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"hel");
    assert_eq!(proxy.lost_replies(), 1);
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut socket, b"hello").await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_has_happened() {
    let url = Postgres::shared().await.fresh_database("proxy").await;
    let (direct, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    direct.batch_execute("create table t (n int)").await.unwrap();

    let config: Config = url.parse().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], config.get_ports()[0]).into()).await.unwrap();
    let through =
        url.replace(&format!(":{}/", config.get_ports()[0]), &format!(":{}/", proxy.address().port()));
    let (client, connection) = tokio_postgres::connect(&through, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("begin; insert into t values (1)").await.unwrap();
    proxy.cut_reply_after(0);
    client.batch_execute("commit").await.unwrap_err();
    assert_eq!(proxy.lost_replies(), 1);
    assert_eq!(direct.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0), 1);
}
