//! A body of bounded size, also after decompression.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// Why a body cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    /// It is not the gzip that the server announced.
    Broken,
}

/// The body that is being received.
pub(super) enum Body {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Body {
    /// An empty body, or `None` when the encoding is none that was asked for.
    pub(super) fn new(encoding: &str, most: usize) -> Option<Self> {
        let bounded = Bounded { bytes: Vec::new(), most, is_full: false };
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Plain(bounded)),
            "gzip" | "x-gzip" => Some(Self::Gzip(Box::new(MultiGzDecoder::new(bounded)))),
            _ => None,
        }
    }

    /// Adds what was received. What decompresses to more than the bound is cut off there.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        let written = match self {
            Self::Plain(bounded) => bounded.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk),
        };
        written.map_err(|_| self.failure())
    }

    /// The whole body.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, BodyError> {
        if let Self::Gzip(decoder) = &mut self
            && decoder.try_finish().is_err()
        {
            return Err(self.failure());
        }
        match self {
            Self::Plain(bounded) => Ok(bounded.bytes),
            Self::Gzip(mut decoder) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
        }
    }

    fn failure(&self) -> BodyError {
        let bounded = match self {
            Self::Plain(bounded) => bounded,
            Self::Gzip(decoder) => decoder.get_ref(),
        };
        if bounded.is_full { BodyError::TooLarge } else { BodyError::Broken }
    }
}

/// Takes at most `most` bytes.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    }

    fn unpack(encoding: &str, bytes: &[u8], most: usize) -> Result<Vec<u8>, BodyError> {
        let mut body = Body::new(encoding, most).expect("a known encoding");
        for chunk in bytes.chunks(7) {
            body.take(chunk)?;
        }
        body.finish()
    }

    #[test]
    fn a_body_is_taken_as_it_is_or_decompressed_up_to_its_bound() {
        assert_eq!(unpack("", b"0123456789", 10), Ok(b"0123456789".to_vec()));
        assert_eq!(unpack("identity", b"0123456789", 9), Err(BodyError::TooLarge));
        assert_eq!(unpack("GZIP", &gzip(b"0123456789"), 10), Ok(b"0123456789".to_vec()));
        let two = [gzip(b"01234"), gzip(b"56789")].concat();
        assert_eq!(unpack("gzip", &two, 10), Ok(b"0123456789".to_vec()));
        assert_eq!(unpack("gzip", &two, 9), Err(BodyError::TooLarge));
    }

    #[test]
    fn a_gzip_bomb_is_cut_off() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000);
        let mut body = Body::new("gzip", 100_000).expect("a known encoding");
        assert_eq!(body.take(&bomb), Err(BodyError::TooLarge));
        let Body::Gzip(decoder) = &body else { panic!("it is gzip") };
        assert!(decoder.get_ref().bytes.capacity() <= 200_000);
    }

    #[test]
    fn what_is_not_gzip_or_half_of_it_is_broken() {
        assert_eq!(unpack("gzip", b"this is plain text", 100), Err(BodyError::Broken));
        let whole = gzip(b"0123456789");
        assert_eq!(unpack("gzip", &whole[..whole.len() - 9], 100), Err(BodyError::Broken));
        assert!(Body::new("br", 100).is_none());
    }
}
