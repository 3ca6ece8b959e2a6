//! Letters of three by five dots.

pub(super) const WIDTH: usize = 3;
pub(super) const HEIGHT: usize = 5;

/// Each letter with its five rows from the top, in octal: 4 is the left dot, 2 the middle one, 1 the right one.
const LETTERS: &[(char, &str)] = &[
    ('A', "25755"),
    ('B', "65656"),
    ('C', "34443"),
    ('D', "65556"),
    ('E', "74647"),
    ('F', "74644"),
    ('G', "34553"),
    ('H', "55755"),
    ('I', "72227"),
    ('J', "11152"),
    ('K', "55655"),
    ('L', "44447"),
    ('M', "57755"),
    ('N', "65555"),
    ('O', "25552"),
    ('P', "65644"),
    ('Q', "25563"),
    ('R', "65655"),
    ('S', "34216"),
    ('T', "72222"),
    ('U', "55557"),
    ('V', "55552"),
    ('W', "55775"),
    ('X', "55255"),
    ('Y', "55222"),
    ('Z', "71247"),
    ('0', "75557"),
    ('1', "26227"),
    ('2', "61247"),
    ('3', "61216"),
    ('4', "55711"),
    ('5', "74616"),
    ('6', "34757"),
    ('7', "71122"),
    ('8', "75757"),
    ('9', "75716"),
    ('+', "02720"),
    ('-', "00700"),
    ('.', "00002"),
    (',', "00024"),
    (':', "02020"),
    ('/', "11244"),
    ('(', "12221"),
    (')', "42224"),
    ('@', "25743"),
    ('#', "57575"),
    ('%', "51245"),
    ('\'', "22000"),
    ('!', "22202"),
    ('?', "61202"),
    ('&', "25253"),
    ('=', "07070"),
    ('*', "05250"),
    ('$', "36236"),
];

/// The dots of a letter, from the left and from the top. An unknown letter has none.
pub(super) fn dots(letter: char) -> impl Iterator<Item = (usize, usize)> {
    let letter = match letter {
        '•' => '*',
        '–' | '—' | '−' => '-',
        '’' => '\'',
        other => other.to_ascii_uppercase(),
    };
    let rows = LETTERS.iter().find(|(known, _)| *known == letter).map_or("", |(_, rows)| rows);
    rows.bytes()
        .enumerate()
        .flat_map(|(y, row)| (0..WIDTH).filter(move |x| (row - b'0') & (4 >> x) != 0).map(move |x| (x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_as_high_as_the_others_and_no_two_are_alike() {
        for (at, (letter, rows)) in LETTERS.iter().enumerate() {
            assert_eq!(rows.len(), HEIGHT, "{letter}");
            assert!(rows.bytes().all(|row| (b'0'..=b'7').contains(&row)), "{letter}");
            let alike = LETTERS[..at].iter().find(|(_, other)| other == rows);
            assert!(alike.is_none(), "{letter} looks like {alike:?}");
        }
        assert_eq!(dots('l').count(), 7);
        assert_eq!(dots('日').count(), 0);
    }
}
