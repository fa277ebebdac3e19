//! Bodies of any length, read as blocks of lines while they arrive.

use std::ops::Range;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;

use crate::encoding::{Coding, Decoder, Step};
use crate::error::ApiError;
use crate::extract::BODY_PAUSE_MAX;

/// Bytes of a line, without its end; longer ones are passed over.
pub(crate) const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Lines of a block.
pub(crate) const BLOCK_LINES_MAX: usize = 1000;
/// Bytes after which a block takes no further line.
const BLOCK_BYTES_TARGET: usize = 1024 * 1024;
/// A body may be sent slowly, but not for ever: in each such time of waiting for it there must
/// arrive so many bytes. The time that others make it wait does not count.
const SLOW_TIME: Duration = Duration::from_secs(30);
const SLOW_BYTES_MIN: usize = 16 * 1024;
/// Bytes that are decoded in one step.
const DECODED_STEP_BYTES: usize = 64 * 1024;

/// Lines that stand behind each other in a body.
#[derive(Debug, Default)]
pub(crate) struct Block {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Bytes of lines that have come to their end: there may be the start of another.
    whole_bytes: usize,
}

/// A line of a block, counted from 1 in the body.
#[derive(Debug)]
struct Line {
    number: u64,
    /// Where it stands; nowhere if it is too long.
    range: Option<Range<usize>>,
}

impl Block {
    /// The lines' numbers and texts; no text if it is too long.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, Option<&[u8]>)> {
        self.lines.iter().map(|Line { number, range }| {
            let text = range.clone().map(|range| self.text.get(range).unwrap_or_default());
            (*number, text)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of all lines.
    pub(crate) fn byte_len(&self) -> usize {
        self.text.len()
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BLOCK_LINES_MAX || self.whole_bytes >= BLOCK_BYTES_TARGET
    }

    fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.whole_bytes = 0;
    }
}

/// A body that is read as lines.
#[derive(Debug)]
pub(crate) struct Lines {
    source: Source,
    decoder: Option<Decoding>,
    /// What was read and is not yet in a block.
    chunk: Bytes,
    /// Whether the body has ended.
    ended: bool,
    splitter: Splitter,
}

/// Finds lines in pieces of text.
#[derive(Debug, Default)]
struct Splitter {
    /// Number of the line that is read.
    number: u64,
    /// Where in the block's text it starts.
    start: usize,
    /// Whether it is too long, and the rest of it is passed over.
    is_skipping: bool,
}

#[derive(Debug)]
struct Decoding {
    decoder: Decoder,
    /// What was received and is not yet decoded.
    encoded: Bytes,
    output: Vec<u8>,
    /// Whether there may be more without further input.
    is_full: bool,
}

#[derive(Debug)]
struct Source {
    body: Body,
    /// Time that was waited for the body, and bytes that came in it, since they were last looked at.
    waited: Duration,
    received: usize,
}

impl Source {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let began = Instant::now();
            let frame = tokio::time::timeout(BODY_PAUSE_MAX, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| ApiError::TooSlow)? else { return Ok(None) };
            let frame = frame.map_err(|_| ApiError::BrokenBody)?;
            let data = frame.into_data().unwrap_or_default();
            self.waited += began.elapsed();
            self.received += data.len();
            if self.waited >= SLOW_TIME {
                if self.received < SLOW_BYTES_MIN {
                    return Err(ApiError::TooSlow);
                }
                (self.waited, self.received) = (Duration::ZERO, 0);
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
}

impl Decoding {
    /// Some decoded bytes; `None` at the end.
    async fn next(&mut self, source: &mut Source) -> Result<Option<Bytes>, ApiError> {
        loop {
            if self.encoded.is_empty() && !self.is_full {
                match source.next().await? {
                    Some(encoded) => self.encoded = encoded,
                    None => {
                        self.decoder.finish()?;
                        return Ok(None);
                    }
                }
            }
            let Step { read, written } = self.decoder.step(&self.encoded, &mut self.output)?;
            let _ = self.encoded.split_to(read);
            self.is_full = written == self.output.len();
            // What a few bytes decode to may keep a thread busy for long: others have a turn.
            tokio::task::consume_budget().await;
            if written > 0 {
                let decoded = self.output.get(..written).unwrap_or_default();
                return Ok(Some(Bytes::copy_from_slice(decoded)));
            }
        }
    }
}

impl Lines {
    /// Reads a body, which may be compressed.
    ///
    /// # Errors
    ///
    /// There is no memory for a decoder.
    pub(crate) fn new(body: Body, coding: Option<Coding>) -> Result<Self, ApiError> {
        let decoder = coding.map(Decoder::new).transpose()?.map(|decoder| Decoding {
            decoder,
            encoded: Bytes::new(),
            output: vec![0; DECODED_STEP_BYTES],
            is_full: false,
        });
        Ok(Self {
            source: Source { body, waited: Duration::ZERO, received: 0 },
            decoder,
            chunk: Bytes::new(),
            ended: false,
            splitter: Splitter { number: 1, ..Splitter::default() },
        })
    }

    /// Fills a block with the next lines that are not empty; at the end of the body it stays
    /// empty.
    ///
    /// # Errors
    ///
    /// The body breaks off, is not what its coding says, or is too slow.
    pub(crate) async fn fill(&mut self, block: &mut Block) -> Result<(), ApiError> {
        block.clear();
        self.splitter.start = 0;
        while !block.is_full() {
            if self.chunk.is_empty() {
                if self.ended {
                    break;
                }
                let next = match &mut self.decoder {
                    Some(decoding) => decoding.next(&mut self.source).await?,
                    None => self.source.next().await?,
                };
                match next {
                    Some(chunk) => self.chunk = chunk,
                    None => {
                        self.ended = true;
                        // The last line may lack its end.
                        self.splitter.end_line(block);
                        break;
                    }
                }
            }
            let taken = self.splitter.take(&self.chunk, block);
            let _ = self.chunk.split_to(taken);
        }
        Ok(())
    }

    /// What is left of the body.
    pub(crate) fn into_body(self) -> Body {
        self.source.body
    }
}

impl Splitter {
    /// Puts text into a block until there is no more of it or the block is full; says how much it
    /// took.
    fn take(&mut self, text: &[u8], block: &mut Block) -> usize {
        let mut taken = 0;
        while let Some(rest) = text.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest);
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            taken += part.len() + usize::from(end.is_some());
            // One more byte than a line may have: it may be the first of its end.
            if self.is_skipping || block.text.len() - self.start + part.len() > LINE_BYTES_MAX + 1 {
                self.is_skipping = true;
                block.text.truncate(self.start);
            } else {
                block.text.extend_from_slice(part);
            }
            if end.is_some() {
                self.end_line(block);
                if block.is_full() {
                    break;
                }
            }
        }
        taken
    }

    fn end_line(&mut self, block: &mut Block) {
        let line = block.text.get(self.start..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_too_long = self.is_skipping || line.len() > LINE_BYTES_MAX;
        if is_too_long {
            block.text.truncate(self.start);
            block.lines.push(Line { number: self.number, range: None });
        } else if line.iter().all(u8::is_ascii_whitespace) {
            block.text.truncate(self.start);
        } else {
            let end = self.start + line.len();
            block.lines.push(Line { number: self.number, range: Some(self.start..end) });
        }
        self.start = block.text.len();
        block.whole_bytes = self.start;
        self.is_skipping = false;
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line's number, and its text unless it is too long.
    type Found = (u64, Option<Vec<u8>>);

    /// Lines of a text that comes in pieces of a size, with the sizes of the blocks.
    fn split(text: &[u8], size: usize) -> (Vec<Found>, Vec<usize>) {
        let (mut lines, mut blocks) = (Vec::new(), Vec::new());
        let mut splitter = Splitter { number: 1, ..Splitter::default() };
        let mut block = Block::default();
        let mut put = |block: &mut Block, splitter: &mut Splitter| {
            lines.extend(block.lines().map(|(n, line)| (n, line.map(<[u8]>::to_vec))));
            blocks.push(block.lines.len());
            block.clear();
            splitter.start = 0;
        };
        for mut piece in text.chunks(size) {
            while !piece.is_empty() {
                let taken = splitter.take(piece, &mut block);
                piece = &piece[taken..];
                if block.is_full() {
                    put(&mut block, &mut splitter);
                }
            }
        }
        splitter.end_line(&mut block);
        put(&mut block, &mut splitter);
        (lines, blocks)
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = b"one\ntwo\r\n\n  \t\r\nthree\r\r\n\x0bfour";
        let expected: Vec<Found> = vec![
            (1, Some(b"one".to_vec())),
            (2, Some(b"two".to_vec())),
            (5, Some(b"three\r".to_vec())),
            (6, Some(b"\x0bfour".to_vec())),
        ];
        for size in 1..=text.len() {
            assert_eq!(split(text, size).0, expected, "{size}");
        }
        assert!(split(b"", 1).0.is_empty());
    }

    #[test]
    fn a_line_has_1_mib_without_its_end_and_a_longer_one_is_passed_over() {
        let mut text = Vec::new();
        for (length, end) in [
            (LINE_BYTES_MAX, "\n"),
            (LINE_BYTES_MAX, "\r\n"),
            (LINE_BYTES_MAX + 1, "\n"),
            (LINE_BYTES_MAX + 1, "\r\n"),
            (3 * LINE_BYTES_MAX, "\n"),
            (5, "\n"),
            (LINE_BYTES_MAX + 1, ""),
        ] {
            text.resize(text.len() + length, b'x');
            text.extend_from_slice(end.as_bytes());
        }
        for size in [1000, 65_536, text.len()] {
            let lengths: Vec<_> =
                split(&text, size).0.into_iter().map(|(n, l)| (n, l.map(|l| l.len()))).collect();
            let whole = Some(LINE_BYTES_MAX);
            let expected =
                [(1, whole), (2, whole), (3, None), (4, None), (5, None), (6, Some(5)), (7, None)];
            assert_eq!(lengths, expected, "{size}");
        }
    }

    #[test]
    fn blocks_are_full_by_lines_or_by_bytes() {
        let text = "a\n".repeat(2 * BLOCK_LINES_MAX + 1);
        assert_eq!(split(text.as_bytes(), 999).1, [BLOCK_LINES_MAX, BLOCK_LINES_MAX, 1]);
        let line = format!("{}\n", "b".repeat(BLOCK_BYTES_TARGET / 4));
        assert_eq!(split(line.repeat(9).as_bytes(), 100_000).1, [4, 4, 1]);
    }
}
