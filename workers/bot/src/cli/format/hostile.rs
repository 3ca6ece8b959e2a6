//! Property tests: whatever a text has in it, the output has no character that a terminal acts on.

use proptest::prelude::*;

use super::{
    line::{Line, Tone},
    table::{Listing, cell, cut, key, number, whole},
    text::{clean, clean_lines, cut as shortened, escaped_json, one_line, wrapped},
};

/// Texts in which the dangerous characters are as frequent as others.
fn hostile() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '\u{0}',
        '\u{7}',
        '\u{8}',
        '\t',
        '\n',
        '\r',
        '\u{b}',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{9d}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{e0041}',
        '[',
        ']',
        ';',
        'm',
        'J',
        '日',
        'e',
        ' ',
        '…',
    ]);
    prop::collection::vec(prop_oneof![odd, any::<char>()], 0..60).prop_map(|chars| chars.into_iter().collect())
}

/// Characters that a terminal acts on or that change how a text reads.
fn is_acted_on(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn is_one_clean_line(text: &str) -> bool {
    !text.contains(is_acted_on)
}

proptest! {
    #[test]
    fn a_line_is_one_line_that_no_terminal_acts_on(first in hostile(), second in hostile(), width in 0usize..100) {
        let line = Line::new(&first).then("  ").toned(Tone::Bad, &second);
        prop_assert!(is_one_clean_line(&line.draw(false)));
        let coloured = line.draw(true);
        prop_assert!(coloured.matches('\u{1b}').count() <= 2 && !coloured.contains('\n'), "{coloured:?}");
        for text in [clean(&first).into_owned(), one_line(&first), shortened(&one_line(&first), width)] {
            prop_assert!(is_one_clean_line(&text), "{text:?}");
        }
        prop_assert!(clean_lines(&first).all(|line| is_one_clean_line(&line)));
        prop_assert!(wrapped(&first, width).iter().all(|line| is_one_clean_line(line)));
    }

    #[test]
    fn a_table_has_one_line_for_each_row_whatever_its_texts(
        texts in prop::collection::vec(hostile(), 4), below in hostile(), width in prop_oneof![40usize..200, Just(usize::MAX)],
    ) {
        let mut listing = Listing::new([key("KEY"), whole("ID"), number("N"), cut("TEXT")]);
        listing.row(texts.iter().map(cell));
        listing.below(below, 3);
        let drawn = listing.render(width, false);
        prop_assert!(drawn.lines().all(is_one_clean_line), "{drawn:?}");
        // After the title and the row, only indented lines.
        prop_assert!(drawn.lines().skip(2).all(|line| line.is_empty() || line.starts_with("       ")), "{drawn:?}");
    }

    #[test]
    fn json_means_the_same_and_is_acted_on_by_no_terminal(text in hostile()) {
        let printed = escaped_json(serde_json::to_string(&text).expect("a text"));
        prop_assert!(is_one_clean_line(&printed), "{printed:?}");
        prop_assert_eq!(serde_json::from_str::<String>(&printed).expect("JSON"), text);
    }
}
