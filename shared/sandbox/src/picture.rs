//! Pictures with a text on them, as small PNG files that also have the text as metadata.
//!
//! Format: Portable Network Graphics, third edition (W3C), zlib (RFC 1950) with stored blocks (RFC 1951).

mod font;

/// The first bytes of every PNG.
const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// The keyword of the metadata with the text.
const KEYWORD: &[u8] = b"Description";
/// Characters in a line.
const LINE: usize = 40;
/// The most lines drawn; the metadata has the complete text.
const LINES: usize = 12;
/// Pixels for each dot of a letter.
const DOT: usize = 4;
/// Dots around the text, and from one letter or line to the next.
const MARGIN: usize = 4;
const ADVANCE: usize = font::WIDTH + 1;
const LEADING: usize = font::HEIGHT + 3;

/// A picture of a text: black on white.
pub(crate) fn draw(text: &str) -> Vec<u8> {
    let lines = wrapped(text);
    let (width, height) = extent(&lines);
    let stride = width.div_ceil(8);
    // One bit a pixel, white; each row begins with its filter type, 0 for none.
    let mut rows = vec![0xff_u8; (stride + 1) * height];
    rows.iter_mut().step_by(stride + 1).for_each(|filter| *filter = 0);
    for (line, text) in lines.iter().enumerate() {
        for (column, letter) in text.chars().enumerate() {
            for (x, y) in font::dots(letter) {
                let left = (MARGIN + column * ADVANCE + x) * DOT;
                let top = (MARGIN + line * LEADING + y) * DOT;
                blacken(&mut rows, stride, left, top);
            }
        }
    }
    let mut head = Vec::with_capacity(13);
    head.extend(be(width));
    head.extend(be(height));
    // One bit a pixel, greyscale, and the only compression and filter methods there are.
    head.extend([1, 0, 0, 0, 0]);
    let mut said = KEYWORD.to_vec();
    // The end of the keyword, not compressed, no method, no language, no translated keyword.
    said.extend([0, 0, 0, 0, 0]);
    said.extend(text.as_bytes());
    let mut png = SIGNATURE.to_vec();
    for (kind, data) in [(*b"IHDR", head), (*b"iTXt", said), (*b"IDAT", zlib(&rows)), (*b"IEND", Vec::new())] {
        chunk(&mut png, kind, &data);
    }
    png
}

/// Width and height in pixels of the picture of a text.
pub(crate) fn size(text: &str) -> (usize, usize) {
    extent(&wrapped(text))
}

/// The text in the metadata of a picture. `None` for a picture without it, and for anything but a PNG.
pub(crate) fn read(png: &[u8]) -> Option<String> {
    let mut rest = png.strip_prefix(&SIGNATURE)?;
    loop {
        let (head, tail) = rest.split_at_checked(8)?;
        let length = usize::try_from(u32::from_be_bytes(head[..4].try_into().ok()?)).ok()?;
        let data = tail.get(..length)?;
        if &head[4..] == b"iTXt"
            && let Some(said) = data.strip_prefix(KEYWORD).and_then(|said| said.strip_prefix(&[0, 0, 0, 0, 0]))
        {
            return String::from_utf8(said.to_vec()).ok();
        }
        rest = tail.get(length + 4..)?;
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut open = String::new();
        for word in line.split_whitespace() {
            if !open.is_empty() && open.chars().count() + 1 + word.chars().count() > LINE {
                lines.push(std::mem::take(&mut open));
            }
            if !open.is_empty() {
                open.push(' ');
            }
            open.extend(word.chars().take(LINE));
        }
        lines.push(open);
    }
    lines.truncate(LINES);
    lines
}

fn extent(lines: &[String]) -> (usize, usize) {
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).max(12);
    ((longest * ADVANCE + 2 * MARGIN) * DOT, (lines.len().max(1) * LEADING + 2 * MARGIN) * DOT)
}

fn blacken(rows: &mut [u8], stride: usize, left: usize, top: usize) {
    for y in top..top + DOT {
        for x in left..left + DOT {
            rows[y * (stride + 1) + 1 + x / 8] &= !(0x80 >> (x % 8));
        }
    }
}

fn be(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    png.extend(be(data.len()));
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let sum = crc(&png[start..]);
    png.extend(sum.to_be_bytes());
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = data.chunks(0xffff).collect();
    for (at, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(at + 1 == blocks.len()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(*block);
    }
    out.extend(adler(data).to_be_bytes());
    out
}

fn adler(data: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    (b << 16) | a
}

fn crc(data: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in data {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_their_standards() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(b"IEND"), 0xae42_6082);
        assert_eq!(adler(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_picture_says_what_it_shows() {
        let text = "Lakers -3.5 (-110) 2u 🔒\nSuns ML";
        let png = draw(text);
        assert_eq!(read(&png).as_deref(), Some(text));
        let (width, height) = size(text);
        assert_eq!(png[16..24], [be(width), be(height)].concat());
        assert!(png.len() < 20_000, "{} bytes", png.len());
    }

    #[test]
    fn what_is_cut_short_or_no_picture_says_nothing() {
        let png = draw("Suns ML");
        for length in [0, 7, 8, 12, 33, 40, 60] {
            assert_eq!(read(&png[..length]), None, "{length}");
        }
        assert_eq!(read(b"GIF89a"), None);
    }

    #[test]
    fn a_text_of_any_length_and_alphabet_is_drawn() {
        for text in ["", "日本", &"x".repeat(500), &"long ".repeat(400), "\n\n\n"] {
            assert_eq!(read(&draw(text)).as_deref(), Some(text));
        }
    }
}
