//! One connection of HTTP/1.1, by hand: a load must cost little, since it shares the processors
//! with the server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, bail};

/// A connection that is kept open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader, request: Vec::new() })
    }

    /// Gets a path, and its body if the answer is 200.
    pub(crate) fn get(&mut self, token: &str, path: &str) -> anyhow::Result<String> {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\r\n");
        self.send(&head, b"")
    }

    /// The head of an ingestion whose body has so many bytes.
    pub(crate) fn ingestion_head(token: &str, body_bytes: usize) -> String {
        format!(
            "POST /v1/events/ingest HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {body_bytes}\r\n\r\n"
        )
    }

    /// Sends a head with its empty line and a body, and reads the answer, which must be 200.
    pub(crate) fn send(&mut self, head: &str, body: &[u8]) -> anyhow::Result<String> {
        // One write, so one packet if it fits.
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request)?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let is_ok = line.starts_with("HTTP/1.1 200");
        let status = line.trim().to_owned();
        let (mut length, mut is_chunked) = (0, false);
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
            is_chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        }
        let body = if is_chunked { self.read_chunks()? } else { self.read_bytes(length)? };
        if !is_ok {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(String::from_utf8(body)?)
    }

    fn read_bytes(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn read_chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16)?;
            let chunk = self.read_bytes(length)?;
            self.read_bytes(2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk);
        }
    }
}
