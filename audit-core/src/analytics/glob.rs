//! Which objects count: glob patterns on `BUCKET/KEY`.

use fast_glob::{glob_match, validate};

const EXPECTED: &str =
    "glob patterns on BUCKET/KEY with ; or a comma between several, such as stac/** or */tiles/**/*.png";

/// Patterns of which any may match. `*` and `?` stay within one part of the path, `**` does not.
#[derive(Debug, Clone)]
pub struct Patterns(Vec<Box<str>>);

impl Patterns {
    /// Reads patterns separated by `;`, line ends, or commas outside of braces.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let patterns: Vec<Box<str>> = split(text).map(Box::from).collect();
        // Without a slash it could be meant for the bucket or for the file's name; with a `!` it would be met by all others.
        let sound = |pattern: &str| pattern.contains('/') && !pattern.starts_with('!') && validate(pattern).is_ok();
        let all_sound = patterns.iter().all(|pattern| sound(pattern));
        if all_sound && !patterns.is_empty() { Ok(Self(patterns)) } else { Err(EXPECTED) }
    }

    /// Whether any pattern matches the object.
    #[must_use]
    pub fn matches(&self, bucket: &str, key: &str) -> bool {
        let object = format!("{bucket}/{key}");
        self.0.iter().any(|pattern| glob_match(&**pattern, &object))
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let parts = text.split(move |char| {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        matches!(char, ';' | '\n') || char == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_part_and_double_stars_do_not() {
        let patterns = Patterns::parse("stac/**, */tiles/*.{png,jpg};x/y?\n*/**/[!.]*.ü").unwrap();
        for (bucket, key) in [
            ("stac", "a"),
            ("stac", "a/b/ü c.tif"),
            ("other", "tiles/1.jpg"),
            ("x", "y1"),
            ("b", "a.ü"),
            ("b", "c/d/a.ü"),
        ] {
            assert!(patterns.matches(bucket, key), "{bucket}/{key}");
        }
        for (bucket, key) in [
            ("stack", "a"),
            ("other", "tiles/7/1.jpg"),
            ("other", "tiles/1.gif"),
            ("x", "y/"),
            ("x", "y"),
            ("b", "c/.ü"),
        ] {
            assert!(!patterns.matches(bucket, key), "{bucket}/{key}");
        }
    }

    #[test]
    fn a_bad_pattern_is_refused() {
        for text in ["", " , ", "stac", "*.png", "a/[", "a/{b", "!a/b", "a/b, c"] {
            assert_eq!(Patterns::parse(text).err(), Some(EXPECTED), "{text}");
        }
    }
}
