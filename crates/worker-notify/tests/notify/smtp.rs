//! A mail server on loopback that misbehaves on demand: what a real one does only on a bad day.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with the next messages.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    /// It takes them.
    Kind,
    /// It refuses the recipient whose address begins so, with this reply.
    Refuse(&'static str, u16),
    /// It reads the message, keeps it, and drops the connection without a reply.
    Drop,
}

/// A message as the server got it.
#[derive(Clone)]
pub struct Got {
    pub to: String,
    pub data: String,
}

#[derive(Clone)]
pub struct Server {
    pub port: u16,
    mood: Arc<Mutex<Mood>>,
    got: Arc<Mutex<Vec<Got>>>,
    logins: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mood = Arc::new(Mutex::new(Mood::Kind));
        let server = Self { port, mood, got: Arc::default(), logins: Arc::default() };
        let served = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                // A client that goes away in the middle is its own business.
                tokio::spawn(async move { served.talk(stream).await.ok() });
            }
        });
        server
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub fn logins(&self) -> Vec<String> {
        self.logins.lock().unwrap().clone()
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 here\r\n").await?;
        let (mut line, mut to) = (String::new(), String::new());
        while {
            line.clear();
            stream.read_line(&mut line).await? > 0
        } {
            let mood = *self.mood.lock().unwrap();
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let reply = match (verb.as_str(), mood) {
                ("EHLO", _) => "250-here\r\n250-8BITMIME\r\n250 AUTH PLAIN".to_owned(),
                ("AUTH", _) => {
                    self.logins.lock().unwrap().push(line.trim().to_owned());
                    "235 welcome".to_owned()
                }
                ("RCPT", Mood::Refuse(who, code)) if line.contains(&format!("<{who}")) => {
                    format!("{code} 5.1.1 {} is not wanted", line.trim())
                }
                ("RCPT", _) => {
                    to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    "250 fine".to_owned()
                }
                ("DATA", _) => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let mut data = String::new();
                    while {
                        line.clear();
                        stream.read_line(&mut line).await? > 0
                    } && line != ".\r\n"
                    {
                        data += &line;
                    }
                    self.got.lock().unwrap().push(Got { to: to.clone(), data });
                    if mood == Mood::Drop {
                        return Ok(());
                    }
                    "250 kept".to_owned()
                }
                ("QUIT", _) => {
                    return stream.write_all(b"221 bye\r\n").await;
                }
                _ => "250 fine".to_owned(),
            };
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
        Ok(())
    }
}
