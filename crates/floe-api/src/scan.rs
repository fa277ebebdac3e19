//! Tokens of JSON that is right and has nothing rare in it: for events, which come in their
//! thousands.
//!
//! `jiter` reads every JSON and says what is wrong with it; with its tokens a batch takes twice the
//! time that it takes with these. These are fewer: `None` stands for whatever is not known here, and
//! where there is a value, [`crate::json`] has the same one for these bytes. Numbers and strings
//! with escapes are still read by `jiter`.

use std::borrow::Cow;

use jiter::{Jiter, NumberAny};

use crate::json::borrow;

/// One in each byte of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
/// Bytes of a word.
const WORD: usize = 8;

/// A place in a JSON text. White space in front of a token is no part of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The start of `bytes`, which must be UTF-8.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(|text| Self { text, at: 0 })
    }

    /// The byte that the next token starts with; `None` at the end.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                next => return next.copied(),
            }
        }
    }

    /// `Some` if there is nothing more.
    pub(crate) fn end(mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Takes `byte`, which must be next.
    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Takes `open`; whether there is something before `close`, which is taken if not.
    #[inline]
    pub(crate) fn open(&mut self, open: u8, close: u8) -> Option<bool> {
        self.take(open)?;
        if self.peek()? != close {
            return Some(true);
        }
        self.at += 1;
        Some(false)
    }

    /// Takes the comma behind an element or member, or `close`; whether there must be another.
    #[inline]
    pub(crate) fn more(&mut self, close: u8) -> Option<bool> {
        let next = self.peek()?;
        if next != b',' && next != close {
            return None;
        }
        self.at += 1;
        Some(next == b',')
    }

    /// A key without escapes, and its colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let key = self.unescaped()?;
        self.take(b':')?;
        Some(key)
    }

    /// A string.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        self.take(b'"')?;
        match self.unescaped() {
            Some(text) => Some(Cow::Borrowed(text)),
            None => {
                self.at = start;
                self.escaped()
            }
        }
    }

    /// What stands before the next quotation mark, which is taken too, if it is that text.
    #[inline]
    fn unescaped(&mut self) -> Option<&'a str> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start;
        while let Some(word) = bytes.get(end..).and_then(<[u8]>::first_chunk::<WORD>) {
            let stops = stops(u64::from_le_bytes(*word));
            if stops != 0 {
                end += stops.trailing_zeros() as usize / 8;
                break;
            }
            end += WORD;
        }
        // At the end of the text there may be less than a word.
        while bytes.get(end).is_some_and(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')) {
            end += 1;
        }
        if bytes.get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    #[cold]
    fn escaped(&mut self) -> Option<Cow<'a, str>> {
        self.peek()?;
        let rest = self.text.get(self.at..)?;
        let mut jiter = Jiter::new(rest.as_bytes());
        let text = borrow(rest, jiter.known_str().ok()?);
        self.at += jiter.current_index();
        Some(text)
    }

    /// A number, but for `NaN`, infinities and integers of more than 4300 digits.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<NumberAny> {
        self.peek()?;
        let rest = self.text.as_bytes().get(self.at..)?;
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(|byte| part(byte)).count();
        let number = NumberAny::from_bytes(rest.get(..length)?, false).ok()?;
        self.at += length;
        Some(number)
    }

    /// Takes `word`, which must be next.
    pub(crate) fn word(&mut self, word: &str) -> Option<()> {
        self.peek()?;
        if !self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()) {
            return None;
        }
        self.at += word.len();
        Some(())
    }
}

/// Marks bytes of `word` that do not simply stand for themselves in a string: quotation marks,
/// backslashes and control characters. Marks are right up to the lowest one, which is all that
/// counts: a borrow runs upwards.
#[inline]
const fn stops(word: u64) -> u64 {
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let quotes = quotes.wrapping_sub(ONES) & !quotes;
    let backslashes = backslashes.wrapping_sub(ONES) & !backslashes;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & (ONES * 0x80)
}
