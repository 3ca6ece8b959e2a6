//! An HTTP client that costs as little as possible: one connection, one request at a time, kept alive.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::error::{BenchError, Outcome};

/// A connection.
#[derive(Debug)]
pub struct Http {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Http {
    /// Connects to `address`; `token` is sent with every request.
    pub async fn connect(address: &str, token: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await.map_err(BenchError::io("connect to the API"))?;
        stream.set_nodelay(true).map_err(BenchError::io("connect to the API"))?;
        let head = format!("HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n");
        Ok(Self { stream, head, buffer: Vec::new() })
    }

    /// Posts `body`; answers the status.
    pub async fn post(&mut self, path: &str, media: &str, body: &str) -> Outcome<u16> {
        let request =
            format!("POST {path} {}content-type: {media}\r\ncontent-length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await.map_err(BenchError::io("send a request"))?;
        self.answer().await
    }

    /// Asks for `path`; answers the status.
    pub async fn get(&mut self, path: &str) -> Outcome<u16> {
        let request = format!("GET {path} {}\r\n", self.head);
        self.stream.write_all(request.as_bytes()).await.map_err(BenchError::io("send a request"))?;
        self.answer().await
    }

    /// Reads an answer whole. The API gives the length of every answer.
    async fn answer(&mut self) -> Outcome<u16> {
        self.buffer.clear();
        let unclear = || BenchError::Setup("the API answered something that is not HTTP/1.1 with a length".into());
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(BenchError::io("read an answer"))?;
            if read == 0 {
                return Err(BenchError::Setup("the API closed a connection".into()));
            }
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end]).map_err(|_| unclear())?;
            let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(unclear)?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let whole = end + 4 + length.ok_or_else(unclear)?;
            while self.buffer.len() < whole {
                let read = self.stream.read_buf(&mut self.buffer).await.map_err(BenchError::io("read an answer"))?;
                if read == 0 {
                    return Err(BenchError::Setup("the API closed a connection".into()));
                }
            }
            return Ok(status);
        }
    }
}
