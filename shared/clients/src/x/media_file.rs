//! Files that a post can carry: their kind, decided by their bytes, and the limits of X. No I/O.

use std::fmt;

use bytes::Bytes;

const MIB: usize = 1024 * 1024;
/// Most files of one post.
pub const MOST_MEDIA: usize = 4;

/// The kind of a file, decided by its first bytes. Names, extensions and stated media types play no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A PNG picture.
    Png,
    /// A JPEG picture.
    Jpeg,
    /// A WebP picture.
    Webp,
    /// A GIF, animated or not.
    Gif,
    /// An MP4 video.
    Mp4,
}

impl MediaKind {
    /// The kind of a file with these bytes. `None` for a file that no post can carry.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ if is_mp4(bytes) => Some(Self::Mp4),
            _ => None,
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Mp4 => "video/mp4",
        }
    }

    /// Whether a post may carry several of it.
    pub const fn is_picture(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Webp)
    }

    /// The most bytes that X accepts. Source: X API documentation, media upload, best practices, August 2026.
    pub const fn most_bytes(self) -> usize {
        match self {
            Self::Png | Self::Jpeg | Self::Webp => 5 * MIB,
            Self::Gif => 15 * MIB,
            Self::Mp4 => 512 * MIB,
        }
    }

    /// The category under which X takes it for a post.
    pub(super) const fn category(self) -> &'static str {
        match self {
            Self::Png | Self::Jpeg | Self::Webp => "tweet_image",
            Self::Gif => "tweet_gif",
            Self::Mp4 => "tweet_video",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Png => "a PNG picture",
            Self::Jpeg => "a JPEG picture",
            Self::Webp => "a WebP picture",
            Self::Gif => "a GIF",
            Self::Mp4 => "an MP4 video",
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Whether the file is of the ISO base media format (ISO/IEC 14496-12) with a brand of MP4. HEIC, AVIF, `QuickTime` and M4A have the same
/// format with other brands.
fn is_mp4(bytes: &[u8]) -> bool {
    const VIDEO: [&[u8]; 12] =
        [b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"MSNV", b"dash"];
    const OTHER: [&[u8]; 9] = [b"heic", b"heix", b"hevc", b"avif", b"avis", b"mif1", b"msf1", b"qt  ", b"M4A "];
    let [a, b, c, d, b'f', b't', b'y', b'p', rest @ ..] = bytes else { return false };
    let length = u32::from_be_bytes([*a, *b, *c, *d]);
    let length = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(8).min(rest.len());
    let mut brands = rest[..length].chunks_exact(4);
    let Some(major) = brands.next() else { return false };
    // After the major brand comes its version, then the brands that the file is compatible with.
    !OTHER.contains(&major) && (VIDEO.contains(&major) || brands.skip(1).any(|brand| VIDEO.contains(&brand)))
}

/// Why a file cannot go with a post.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaFileError {
    /// It has no bytes.
    #[error("the file is empty")]
    Empty,
    /// Its bytes are of no kind that X accepts.
    #[error(
        "the file is no PNG, JPEG, WebP or GIF picture and no MP4 video, by its first bytes; convert it to one of these"
    )]
    UnknownKind,
    /// It is larger than X accepts.
    #[error("the file has {bytes} bytes, and {kind} may have {most}; make it smaller", most = kind.most_bytes())]
    TooLarge {
        /// Its kind.
        kind: MediaKind,
        /// Its size.
        bytes: usize,
    },
    /// X accepts each of the files, but not all of them in one post.
    #[error("a post carries up to {MOST_MEDIA} pictures, or one GIF, or one video; leave out the others")]
    Mixed,
}

/// A file that X accepts: its kind is known and its size is within the limit. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFile {
    kind: MediaKind,
    bytes: Bytes,
}

impl MediaFile {
    /// The file with these bytes.
    pub fn of(bytes: impl Into<Bytes>) -> Result<Self, MediaFileError> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(MediaFileError::Empty);
        }
        let kind = MediaKind::of(&bytes).ok_or(MediaFileError::UnknownKind)?;
        if bytes.len() > kind.most_bytes() {
            return Err(MediaFileError::TooLarge { kind, bytes: bytes.len() });
        }
        Ok(Self { kind, bytes })
    }

    /// Its kind.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Whether one post can carry files of these kinds together.
pub fn check_together(kinds: &[MediaKind]) -> Result<(), MediaFileError> {
    let all_pictures = kinds.iter().all(|kind| kind.is_picture());
    if kinds.len() <= 1 || (all_pictures && kinds.len() <= MOST_MEDIA) { Ok(()) } else { Err(MediaFileError::Mixed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ftyp(major: [u8; 4], compatible: &[&[u8; 4]]) -> Vec<u8> {
        let length = u32::try_from(16 + 4 * compatible.len()).expect("short");
        let mut bytes = [&length.to_be_bytes()[..], b"ftyp", &major, b"\0\0\x02\0"].concat();
        for brand in compatible {
            bytes.extend(*brand);
        }
        bytes.extend(b"\0\0\0\x08freemoov");
        bytes
    }

    #[test]
    fn the_kind_of_a_file_is_read_from_its_bytes() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], Some(MediaKind::Png)),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Some(MediaKind::Jpeg)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some(MediaKind::Webp)),
            (b"GIF89a\x01\0", Some(MediaKind::Gif)),
            (b"GIF87a\x01\0", Some(MediaKind::Gif)),
            (b"GIF88a\x01\0", None),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"<svg xmlns=", None),
            (b"%PDF-1.7", None),
            (b"\x89PNG", None),
            (b"", None),
        ] {
            assert_eq!(MediaKind::of(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn an_mp4_is_told_from_other_files_of_its_format_by_its_brands() {
        for video in [ftyp(*b"isom", &[b"iso2", b"avc1"]), ftyp(*b"mp42", &[]), ftyp(*b"XAVC", &[b"XAVC", b"mp42"])] {
            assert_eq!(MediaKind::of(&video), Some(MediaKind::Mp4), "{video:?}");
        }
        for other in [
            ftyp(*b"heic", &[b"mif1", b"heic"]),
            ftyp(*b"avif", &[b"mif1", b"iso2"]),
            ftyp(*b"qt  ", &[b"qt  "]),
            ftyp(*b"M4A ", &[b"isom"]),
            ftyp(*b"3gp4", &[b"3gp4"]),
            b"\0\0\0\x08ftypisom".to_vec(),
            b"\0\0\0\x10ftyp".to_vec(),
        ] {
            assert_eq!(MediaKind::of(&other), None, "{other:?}");
        }
    }

    #[test]
    fn a_file_that_x_would_refuse_is_refused_first_with_its_limit() {
        assert_eq!(MediaFile::of(Vec::new()), Err(MediaFileError::Empty));
        assert_eq!(MediaFile::of("hello"), Err(MediaFileError::UnknownKind));
        let picture = |bytes: usize| {
            let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
            picture.resize(bytes, 0);
            MediaFile::of(picture)
        };
        assert!(picture(5 * MIB).is_ok());
        let error = picture(5 * MIB + 1).expect_err("it is too large").to_string();
        assert_eq!(error, "the file has 5242881 bytes, and a PNG picture may have 5242880; make it smaller");
    }

    #[test]
    fn a_post_carries_four_pictures_or_one_of_the_others() {
        use MediaKind::{Gif, Jpeg, Mp4, Png, Webp};
        for fine in [&[][..], &[Gif], &[Mp4], &[Png, Jpeg, Webp, Png]] {
            assert_eq!(check_together(fine), Ok(()), "{fine:?}");
        }
        for wrong in [&[Png; 5][..], &[Gif, Gif], &[Png, Gif], &[Mp4, Png]] {
            assert_eq!(check_together(wrong), Err(MediaFileError::Mixed), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_at_most_one_kind_and_no_bytes_break_the_reading(
            bytes in prop::collection::vec(any::<u8>(), 0..64), format in any::<bool>(),
        ) {
            let bytes = if format { [b"\0\0\0\x20ftyp", &bytes[..]].concat() } else { bytes };
            let read = MediaFile::of(bytes.clone());
            prop_assert_eq!(read.map(|file| file.kind()).ok(), MediaKind::of(&bytes));
        }
    }
}
