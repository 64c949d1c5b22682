//! One request over one connection, step by step.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the reply is text")
    }
}

pub struct Exchange(BufReader<TcpStream>);

impl Exchange {
    /// Send bytes as they are.
    pub fn raw(address: SocketAddr, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).expect("the service listens");
        stream.write_all(bytes).expect("the service reads");
        Self(BufReader::new(stream))
    }

    /// Announce a body and ask whether it is wanted.
    pub fn ask(address: SocketAddr, query: &str, length: usize) -> Self {
        let head = format!(
            "POST /attention{query} HTTP/1.1\r\nHost: subquad\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        Self::raw(address, head.as_bytes())
    }

    /// None: the request is accepted, and the service waits for the body.
    pub fn refusal(&mut self) -> Option<Reply> {
        let reply = self.reply().expect("the service says whether it accepts");
        (reply.status != 100).then_some(reply)
    }

    pub fn send(&mut self, body: &[u8]) {
        self.0
            .get_mut()
            .write_all(body)
            .expect("the service reads what it accepted");
    }

    pub fn reply(&mut self) -> Result<Reply> {
        self.reply_read_by(|stream, body| stream.read_exact(body))
    }

    /// A reply of whose body some first pieces are taken with a pause after each.
    pub fn slow_reply(&mut self, piece: usize, pause: Duration, pieces: usize) -> Result<Reply> {
        self.reply_read_by(|stream, body| {
            let (slow, rest) = body.split_at_mut(piece * pieces);
            for piece in slow.chunks_mut(piece) {
                stream.read_exact(piece)?;
                std::thread::sleep(pause);
            }
            stream.read_exact(rest)
        })
    }

    fn reply_read_by(
        &mut self,
        read: impl FnOnce(&mut BufReader<TcpStream>, &mut [u8]) -> Result<()>,
    ) -> Result<Reply> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        read(&mut self.0, &mut body)?;
        Ok(Reply { status, head, body })
    }
}

/// Ask, send and wait, for a reply of whatever status.
pub fn post(address: SocketAddr, query: &str, body: &[u8]) -> Reply {
    let mut exchange = Exchange::ask(address, query, body.len());
    exchange.refusal().unwrap_or_else(|| {
        exchange.send(body);
        exchange.reply().expect("what was accepted is answered")
    })
}
