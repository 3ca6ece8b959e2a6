/// The text in lower case, without accents and dots.
pub fn fold(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .filter_map(|c| match c {
            '.' => None,
            'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' | 'ă' | 'ą' => Some('a'),
            'é' | 'è' | 'ê' | 'ë' | 'ę' | 'ě' => Some('e'),
            'í' | 'ì' | 'î' | 'ï' => Some('i'),
            'ó' | 'ò' | 'ô' | 'ö' | 'õ' | 'ø' => Some('o'),
            'ú' | 'ù' | 'û' | 'ü' | 'ů' => Some('u'),
            'ç' | 'ć' | 'č' => Some('c'),
            'ñ' | 'ń' | 'ň' => Some('n'),
            'š' | 'ś' | 'ş' => Some('s'),
            'ž' | 'ż' | 'ź' => Some('z'),
            'ł' => Some('l'),
            'đ' => Some('d'),
            'ý' => Some('y'),
            'ğ' => Some('g'),
            c => Some(c),
        })
        .collect()
}
