//! A server that answers as it is told, one call a connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use floe_client::{Client, Retries};
use serde_json::Value;

/// What to do with a call.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Answer with a status, headers and a body.
    Answer(u16, &'static str, String),
    /// Read the call and close the connection.
    Break,
    /// Close the connection in the middle of the answer.
    BreakInBody,
}

/// An answer that is a success.
pub(crate) fn ok(body: &str) -> Step {
    Step::Answer(200, "", body.to_owned())
}

/// An answer that is not.
pub(crate) fn status(status: u16, headers: &'static str) -> Step {
    Step::Answer(status, headers, String::new())
}

/// A call as it came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The method and the path with its query.
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

pub(crate) struct Responder {
    pub(crate) address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Responder {
    /// Follows the steps; after the last one it does that again and again.
    pub(crate) fn new(steps: impl Into<Vec<Step>>) -> Self {
        let steps = steps.into();
        Self::with(move |index, _| steps[index.min(steps.len() - 1)].clone())
    }

    /// Does what the function says to a call with this number, from 0.
    pub(crate) fn with(step: impl Fn(usize, &Call) -> Step + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(call) = read(&stream) else { continue };
                let index = shared.lock().unwrap().len();
                shared.lock().unwrap().push(call.clone());
                answer(stream, step(index, &call));
            }
        });
        Self { address, calls }
    }

    /// A client with fast retries.
    pub(crate) fn client(&self) -> Client {
        let retries = Retries::new().first_wait(std::time::Duration::from_millis(1));
        Client::new(format!("http://{}", self.address), "token").unwrap().with_retries(retries)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Methods and paths.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.line).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    let mut headers = String::new();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header == "\r\n" {
            break;
        }
        let header = header.to_lowercase();
        if let Some(text) = header.strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
        headers.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Call { line, headers, body })
}

fn answer(mut stream: TcpStream, step: Step) {
    let head = |status: u16, headers: &str, length: usize| {
        format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        )
    };
    let _ = match step {
        Step::Answer(status, headers, body) => {
            stream.write_all((head(status, headers, body.len()) + &body).as_bytes())
        }
        Step::Break => Ok(()),
        Step::BreakInBody => stream.write_all((head(200, "", 1000) + "{").as_bytes()),
    };
}
