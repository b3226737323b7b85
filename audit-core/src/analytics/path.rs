//! What a key tells of the object: templates such as `{version}/{type}/{format}/**/{region}.{ext}`, tried in order.

/// The template used where none is set.
pub const DEFAULT_TEMPLATE: &str = "{version}/{type}/{format}/**/{region}.{ext}";

/// Names that the event alone uses. `collection`, `item` and `asset` are none: where no signed URL tells them, the key may.
pub const RESERVED: [&str; 7] = ["method", "client", "client_version", "bytes", "backend", "time", "user_agent"];

const EXPECTED: &str = "templates such as {version}/{type}/**/{region}.{ext}, with ; between several: each name once, text between \
    two names of one part, at most one **, and none of the event's own names";
const NAME_BYTES: usize = 64;
/// With the event's own, fewer than the server takes.
const MAX_NAMES: usize = 16;

/// Templates for keys, in the order they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplates(Vec<Template>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    /// The parts before `**`; all of them where there is none.
    front: Vec<Part>,
    /// The parts after `**`.
    back: Option<Vec<Part>>,
}

/// One part of a path: text, then names each followed by more text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    start: String,
    names: Vec<(String, String)>,
}

impl PathTemplates {
    /// Reads templates separated by `;` or line ends.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let texts = text.split([';', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let templates = texts.map(template).collect::<Option<Vec<_>>>().ok_or(EXPECTED)?;
        if templates.is_empty() { Err(EXPECTED) } else { Ok(Self(templates)) }
    }

    /// Names and values of the first template that fits `key`, and `country` (the first two letters of `region`) where it has none of its own;
    /// `None` when none fits. `ext` and names starting with `_` must fit too but are not told.
    #[must_use]
    pub fn props(&self, key: &str) -> Option<Vec<(String, String)>> {
        let parts: Vec<&str> = key.split('/').collect();
        let mut props = self.0.iter().find_map(|template| template.fit(&parts))?;
        let named = |wanted: &str| props.iter().find(|(name, _)| name == wanted);
        let region = if named("country").is_none() { named("region") } else { None };
        if let Some(country) = region.map(|(_, region)| region.chars().take(2).collect()) {
            props.push(("country".to_owned(), country));
        }
        Some(props)
    }
}

impl Default for PathTemplates {
    fn default() -> Self {
        Self(template(DEFAULT_TEMPLATE).into_iter().collect())
    }
}

fn template(text: &str) -> Option<Template> {
    let mut lists = vec![Vec::new()];
    for part_text in text.split('/') {
        if part_text == "**" {
            lists.push(Vec::new());
        } else {
            lists.last_mut()?.push(part(part_text)?);
        }
    }
    let mut names: Vec<&str> =
        lists.iter().flatten().flat_map(|part| &part.names).map(|(name, _)| name.as_str()).collect();
    let count = names.len();
    let reserved = names.iter().any(|name| RESERVED.contains(name));
    names.sort_unstable();
    names.dedup();
    if names.len() != count || count > MAX_NAMES || reserved {
        return None;
    }
    let mut lists = lists.into_iter();
    let template = Template { front: lists.next()?, back: lists.next() };
    lists.next().is_none().then_some(template)
}

fn part(text: &str) -> Option<Part> {
    let mut pieces = text.split('{');
    let start = pieces.next().filter(|start| !start.contains(['}', '*']))?;
    let names = pieces.map(|piece| {
        let (name, after) = piece.split_once('}').filter(|(_, after)| !after.contains(['}', '*']))?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && (1..=NAME_BYTES).contains(&name.len())).then(|| (name.to_owned(), after.to_owned()))
    });
    let names = names.collect::<Option<Vec<_>>>()?;
    let separated = names.split_last().is_none_or(|(_, others)| others.iter().all(|(_, after)| !after.is_empty()));
    (separated && !(start.is_empty() && names.is_empty())).then(|| Part { start: start.to_owned(), names })
}

impl Template {
    fn fit(&self, parts: &[&str]) -> Option<Vec<(String, String)>> {
        let back = self.back.as_deref().unwrap_or_default();
        let middle = parts.len().checked_sub(self.front.len() + back.len())?;
        if self.back.is_none() && middle > 0 {
            return None;
        }
        let mut props = Vec::new();
        let texts = parts.iter().take(self.front.len()).chain(parts.iter().skip(self.front.len() + middle));
        for (part, text) in self.front.iter().chain(back).zip(texts) {
            part.fit(text, &mut props)?;
        }
        Some(props)
    }
}

impl Part {
    /// Fits from the right, so that of `a.b.c` as `{x}.{y}` the last is `c`; each name stands for one character or more.
    fn fit(&self, text: &str, props: &mut Vec<(String, String)>) -> Option<()> {
        let mut rest = text.strip_prefix(self.start.as_str())?;
        let Some((_, end)) = self.names.last() else {
            return rest.is_empty().then_some(());
        };
        rest = rest.strip_suffix(end.as_str())?;
        let mut values = Vec::with_capacity(self.names.len());
        for (_, after) in self.names.iter().rev().skip(1) {
            let last_char = rest.chars().next_back()?;
            let room = rest.get(..rest.len() - last_char.len_utf8())?;
            let at = room.rfind(after.as_str())?;
            values.push(rest.get(at + after.len()..)?);
            rest = rest.get(..at)?;
        }
        values.push(rest);
        if values.iter().any(|value| value.is_empty()) {
            return None;
        }
        let told = self
            .names
            .iter()
            .zip(values.into_iter().rev())
            .filter(|((name, _), _)| name != "ext" && !name.starts_with('_'));
        props.extend(told.map(|((name, _), value)| (name.clone(), value.to_owned())));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(templates: &str, key: &str) -> String {
        let props = PathTemplates::parse(templates).unwrap().props(key);
        props.map_or("-".into(), |props| {
            props.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn the_default_tells_version_type_format_region_and_country() {
        let default = |key| told(DEFAULT_TEMPLATE, key);
        assert_eq!(
            default("v0.1/spatial/parquet/italy.parquet"),
            "version=v0.1 type=spatial format=parquet region=italy country=it"
        );
        assert_eq!(default("v1/a/b/x/y/ES51.gpkg.zip"), "version=v1 type=a format=b region=ES51.gpkg country=ES");
        for key in ["", "a", "a/b", "a/b/c.d", "v1/a/b/noext", "v1//b/c.d", "/v1/a/b", "v1/a/b/.hidden", "v1/a/b/c."] {
            assert_eq!(default(key), "-", "{key}");
        }
    }

    #[test]
    fn templates_are_tried_in_order() {
        let two = "tiles/{layer}/{_z}-{_x}.png;{version}/**/{region}.{ext}\n{all}";
        assert_eq!(told(two, "tiles/roads/7-3.png"), "layer=roads");
        assert_eq!(told(two, "tiles/roads/7-3.jpg"), "version=tiles region=7-3 country=7-");
        assert_eq!(told(two, "readme"), "all=readme");
        assert_eq!(told("data/**", "data"), "");
        assert_eq!(told("data/**", "data/x/y"), "");
        assert_eq!(told("data/**", "other/x"), "-");
    }

    #[test]
    fn a_template_may_name_what_else_a_signed_url_or_the_region_tells() {
        assert_eq!(
            told("{collection}/{item}/{asset}.{ext}", "sentinel-2/S2A/B04.tif"),
            "collection=sentinel-2 item=S2A asset=B04"
        );
        assert_eq!(told("{country}/{region}.{ext}", "spain/lugo.parquet"), "country=spain region=lugo");
    }

    #[test]
    fn names_fit_from_the_right() {
        assert_eq!(told("{a}.{b}", "x.y.z"), "a=x.y b=z");
        assert_eq!(told("{a}--{b}", "x---"), "a=x b=-");
        assert_eq!(told("{a}--{b}", "x---y"), "a=x- b=y");
        assert_eq!(told("n{a}é{b}!", "nxééé!"), "a=xé b=é");
        assert_eq!(told("{a}x{b}", "xxx"), "a=x b=x");
    }

    #[test]
    fn a_bad_template_is_refused() {
        for text in [
            "",
            " ; ",
            "{}",
            "{a}{b}",
            "{a",
            "a}",
            "{a}/{a}",
            "**/x/**",
            "a/*.b",
            "a//b",
            "{method}",
            "{x}/{user_agent}",
            "{a b}",
        ] {
            assert_eq!(PathTemplates::parse(text), Err(EXPECTED), "{text}");
        }
        let many: Vec<_> = (0..=MAX_NAMES).map(|number| format!("{{n{number}}}")).collect();
        assert_eq!(PathTemplates::parse(&many.join("/")), Err(EXPECTED));
    }

    proptest! {
        #[test]
        fn a_key_made_from_values_gives_them_back(
            version in "[^/{}*]+", kind in "[^/]+", format in "[^/]+", between in "([^/]*/){0,3}", region in "[^/]+", ext in "[^/.]+",
        ) {
            let key = format!("{version}/{kind}/{format}/{between}{region}.{ext}");
            let props = PathTemplates::default().props(&key).unwrap();
            let values: Vec<_> = props.iter().map(|(_, value)| value.as_str()).collect();
            prop_assert_eq!(&values[..4], [&version, &kind, &format, &region]);
        }

        #[test]
        fn any_key_and_template_fit_or_do_not(key in any::<String>(), template in "[{}a-c/.*;é]{0,30}") {
            let _ = PathTemplates::default().props(&key);
            if let Ok(templates) = PathTemplates::parse(&template) {
                let _ = templates.props(&key);
            }
        }
    }
}
