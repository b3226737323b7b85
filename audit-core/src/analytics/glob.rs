//! Which objects count: glob patterns on `BUCKET/KEY`.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

const EXPECTED: &str =
    "glob patterns on BUCKET/KEY with ; or a comma between several, such as stac/** or */tiles/**/*.png";

/// Patterns of which any may match. `*` and `?` stay within one part of the path, `**` does not.
#[derive(Debug, Clone)]
pub struct Patterns {
    set: GlobSet,
}

impl Patterns {
    /// Reads patterns separated by `;`, line ends, or commas outside of braces.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut set = GlobSetBuilder::new();
        for pattern in split(text) {
            // Without a slash it could be meant for the bucket or for the file's name.
            let glob = if pattern.contains('/') {
                GlobBuilder::new(pattern).literal_separator(true).build()
            } else {
                return Err(EXPECTED);
            };
            set.add(glob.map_err(|_| EXPECTED)?);
        }
        let set = set.build().map_err(|_| EXPECTED)?;
        if set.is_empty() { Err(EXPECTED) } else { Ok(Self { set }) }
    }

    /// Whether any pattern matches the object.
    #[must_use]
    pub fn matches(&self, bucket: &str, key: &str) -> bool {
        self.set.is_match(format!("{bucket}/{key}"))
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
        let patterns = Patterns::parse("stac/**, */tiles/*.{png,jpg};x/y?").unwrap();
        for (bucket, key) in [("stac", "a"), ("stac", "a/b/ü c.tif"), ("other", "tiles/1.jpg"), ("x", "y1")] {
            assert!(patterns.matches(bucket, key), "{bucket}/{key}");
        }
        for (bucket, key) in
            [("stack", "a"), ("other", "tiles/7/1.jpg"), ("other", "tiles/1.gif"), ("x", "y/"), ("x", "y")]
        {
            assert!(!patterns.matches(bucket, key), "{bucket}/{key}");
        }
    }

    #[test]
    fn a_bad_pattern_is_refused() {
        for text in ["", " , ", "stac", "*.png", "a/[", "a/{b"] {
            assert_eq!(Patterns::parse(text).err(), Some(EXPECTED), "{text}");
        }
    }
}
