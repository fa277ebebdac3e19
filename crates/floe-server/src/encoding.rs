//! Compressed bodies: `Content-Encoding` (RFC 9110 section 8.4), decoded step by step.
//!
//! A step reads what it is given and writes into a buffer of its caller, so what a body decodes to
//! is never in memory unless the caller keeps it. What a decoder keeps is bounded: 32 KiB of
//! history for gzip, and for zstd a window of [`ZSTD_WINDOW_LOG_MAX`].

use flate2::{Decompress, FlushDecompress, Status};
use http::header::{CONTENT_ENCODING, HeaderMap};
use zstd::stream::raw::{DParameter, Decoder as Zstd, Operation as _};

use crate::error::ApiError;

/// What may stand in `Content-Encoding`, as `Accept-Encoding` in the answer to another says it
/// (RFC 9110 section 12.5.3).
pub(crate) const ACCEPTED: &str = "gzip, zstd";

/// Logarithm of the largest window that a zstd frame may ask for: 8 MiB, as RFC 9659 demands of
/// this content coding.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Logarithm of the largest window of gzip, of which there is one.
const GZIP_WINDOW_LOG: u8 = 15;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    /// How the body of a request is compressed; `None` if it is not.
    ///
    /// # Errors
    ///
    /// A coding that is not known, or more than one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut found = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            let text = value.to_str().map_err(|_| ApiError::UnsupportedCoding)?;
            for name in text.split(',').map(str::trim) {
                let coding = match name.to_ascii_lowercase().as_str() {
                    "" | "identity" => continue,
                    // The old name of the same (RFC 9110 section 8.4.1.3).
                    "gzip" | "x-gzip" => Self::Gzip,
                    "zstd" => Self::Zstd,
                    _ => return Err(ApiError::UnsupportedCoding),
                };
                if found.replace(coding).is_some() {
                    return Err(ApiError::UnsupportedCoding);
                }
            }
        }
        Ok(found)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn broken(self) -> ApiError {
        ApiError::BrokenEncoding(self.name())
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Bytes of the input that are done with.
    pub(crate) read: usize,
    /// Bytes of the output that were written.
    pub(crate) written: usize,
}

/// A decoder of any number of gzip members or zstd frames, one behind the other.
pub(crate) struct Decoder {
    coding: Coding,
    state: State,
    /// Whether the input so far ends where a member or frame does, of which there was one.
    is_complete: bool,
}

enum State {
    Gzip(Decompress),
    /// A member has ended; the next one makes a decoder of its own.
    BetweenMembers,
    Zstd(Zstd<'static>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder at the start of a body.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub(crate) fn new(coding: Coding) -> Result<Self, ApiError> {
        let state = match coding {
            Coding::Gzip => State::BetweenMembers,
            Coding::Zstd => {
                let decoder = Zstd::new().and_then(|mut decoder| {
                    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                    Ok(decoder)
                });
                State::Zstd(decoder.map_err(|_| ApiError::Busy("There is no memory for it."))?)
            }
        };
        Ok(Self { coding, state, is_complete: false })
    }

    /// Decodes some of `input` into `output`, neither of which is empty, except that an empty
    /// input asks for what is decoded already. Nothing read and nothing written says that more
    /// input is needed.
    ///
    /// # Errors
    ///
    /// [`ApiError::BrokenEncoding`].
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, ApiError> {
        if self.is_complete && input.is_empty() {
            return Ok(Step { read: 0, written: 0 });
        }
        let coding = self.coding;
        let step = match &mut self.state {
            State::BetweenMembers if input.is_empty() => Step { read: 0, written: 0 },
            State::BetweenMembers => {
                self.state = State::Gzip(Decompress::new_gzip(GZIP_WINDOW_LOG));
                self.is_complete = false;
                return self.step(input, output);
            }
            State::Gzip(decoder) => {
                let (read, written) = (decoder.total_in(), decoder.total_out());
                let status = decoder
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|_| coding.broken())?;
                let step = Step {
                    read: difference(decoder.total_in(), read),
                    written: difference(decoder.total_out(), written),
                };
                if status == Status::StreamEnd {
                    self.state = State::BetweenMembers;
                    self.is_complete = true;
                }
                step
            }
            State::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output).map_err(|_| coding.broken())?;
                self.is_complete = status.remaining == 0;
                Step { read: status.bytes_read, written: status.bytes_written }
            }
        };
        // Nothing would ever come of the rest.
        if step.read == 0 && step.written == 0 && !input.is_empty() && !self.is_complete {
            return Err(coding.broken());
        }
        Ok(step)
    }

    /// Checks that nothing is missing at the end.
    ///
    /// # Errors
    ///
    /// [`ApiError::TruncatedEncoding`].
    pub(crate) fn finish(&self) -> Result<(), ApiError> {
        if self.is_complete { Ok(()) } else { Err(ApiError::TruncatedEncoding(self.coding.name())) }
    }
}

fn difference(after: u64, before: u64) -> usize {
    // At most the length of a slice.
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    /// Decodes with inputs and outputs of these sizes.
    fn decode(coding: Coding, bytes: &[u8], sizes: (usize, usize)) -> Result<Vec<u8>, ApiError> {
        let mut decoder = Decoder::new(coding)?;
        let mut decoded = Vec::new();
        let mut output = vec![0; sizes.1];
        for mut input in bytes.chunks(sizes.0) {
            loop {
                let Step { read, written } = decoder.step(input, &mut output)?;
                input = &input[read..];
                decoded.extend_from_slice(&output[..written]);
                if written < output.len() && input.is_empty() {
                    break;
                }
            }
        }
        decoder.finish()?;
        Ok(decoded)
    }

    #[test]
    fn members_and_frames_of_any_cut_are_decoded() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let (first, second) = text.split_at(123_456);
        for (coding, encode) in [(Coding::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Coding::Zstd, zstd)]
        {
            let bytes = [encode(first), encode(b""), encode(second)].concat();
            for sizes in [(1, 1), (7, 64 * 1024), (bytes.len(), 100), (4096, 4096)] {
                assert!(decode(coding, &bytes, sizes).unwrap() == text, "{coding:?} {sizes:?}");
            }
            for end in [0, 1, 9, 100, bytes.len() - 1] {
                let cut = decode(coding, &bytes[..end], (4096, 4096));
                assert!(matches!(cut, Err(ApiError::TruncatedEncoding(_))), "{end}: {cut:?}");
            }
            let mut wrong = bytes.clone();
            let end = wrong.len() - 3;
            wrong[0] ^= 0x40;
            assert!(matches!(
                decode(coding, &wrong, (4096, 4096)),
                Err(ApiError::BrokenEncoding(_))
            ));
            let mut behind = bytes;
            behind[end] ^= 0x40;
            behind.extend_from_slice(b"no frame and no member");
            assert!(decode(coding, &behind, (4096, 4096)).is_err());
        }
    }

    #[test]
    fn a_window_over_8_mib_is_refused() {
        let frame = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            // More than is known at once, so that the frame does not tell its size.
            for _ in 0..3 {
                encoder.write_all(&[7; 1024 * 1024]).unwrap();
                encoder.flush().unwrap();
            }
            encoder.finish().unwrap()
        };
        assert_eq!(decode(Coding::Zstd, &frame(23), (4096, 4096)).unwrap().len(), 3 << 20);
        assert!(decode(Coding::Zstd, &frame(24), (4096, 4096)).is_err());
    }

    #[test]
    fn codings_are_read_as_rfc_9110_spells_them() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            Coding::of(&headers)
        };
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&["identity"]).unwrap(), None);
        assert_eq!(of(&["GZip"]).unwrap(), Some(Coding::Gzip));
        assert_eq!(of(&["x-gzip , identity"]).unwrap(), Some(Coding::Gzip));
        assert_eq!(of(&["zstd"]).unwrap(), Some(Coding::Zstd));
        for refused in [&["br"][..], &["gzip, zstd"], &["gzip", "gzip"], &["deflate"]] {
            assert!(matches!(of(refused), Err(ApiError::UnsupportedCoding)), "{refused:?}");
        }
    }
}
