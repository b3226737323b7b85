//! Who a visitor is taken for: address, country, person or bot.

use std::net::IpAddr;

use http::HeaderMap;

/// The visitor's address as Plausible finds it: the first of these headers that is there, unvalidated.
pub(super) fn remote_ip(headers: &HeaderMap, peer: IpAddr) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(ip) = header("x-plausible-ip").or_else(|| header("cf-connecting-ip")) {
        return without_port(ip);
    }
    if let Some(list) = header("b-forwarded-for").or_else(|| header("x-forwarded-for")) {
        return without_port(list.split(',').next().unwrap_or_default().trim());
    }
    let forwarded = header("forwarded").and_then(|value| value.split_once("for="));
    if let Some((_, ip)) = forwarded {
        return without_port(ip.split([';', ',']).next().unwrap_or_default().trim_matches('"'));
    }
    peer.to_string()
}

/// Without a port behind an IPv4 address or a bracket, and without brackets.
fn without_port(ip: &str) -> String {
    let bare = match ip.rsplit_once(':') {
        Some((host, port))
            if !port.is_empty()
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && (host.ends_with(']') || (host.contains('.') && host.ends_with(|c: char| c.is_ascii_digit()))) =>
        {
            host
        }
        _ => ip,
    };
    bare.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// The country of an address: the ranges reserved for documentation have one each here, no other has any.
pub(super) fn country(ip: &str) -> Option<&'static str> {
    const COUNTRIES: [(&str, &str); 4] =
        [("192.0.2.", "US"), ("198.51.100.", "FR"), ("203.0.113.", "DE"), ("2001:db8:", "IN")];
    COUNTRIES.iter().find(|(range, _)| ip.starts_with(range)).map(|(_, country)| *country)
}

/// Whether the User-Agent is taken for a bot's. An empty one is not.
pub(super) fn is_bot(user_agent: &str) -> bool {
    const ENDINGS: [&str; 10] =
        ["bot", "crawler", "spider", "slurp", "project", "research", "archive", "monitor", "fetch", "scanner"];
    let lower = user_agent.to_ascii_lowercase();
    let token_is_bot = |token: &str| {
        ENDINGS.iter().any(|ending| token.ends_with(ending)) || token == "headlesschrome" || token == "ahc"
    };
    lower.trim() == "node"
        || lower.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').any(token_is_bot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(headers: &[(&'static str, &'static str)]) -> String {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        remote_ip(&headers, IpAddr::from([127, 0, 0, 1]))
    }

    #[test]
    fn headers_have_an_order() {
        let all = [
            ("x-plausible-ip", "1.1.1.1:80"),
            ("cf-connecting-ip", "2.2.2.2"),
            ("x-forwarded-for", "[2001:db8::1]:443, 10.0.0.1"),
            ("forwarded", "by=x;for=\"[2001:db8::2]\";proto=https"),
        ];
        assert_eq!(ip(&all), "1.1.1.1");
        assert_eq!(ip(&all[1..]), "2.2.2.2");
        assert_eq!(ip(&all[2..]), "2001:db8::1");
        assert_eq!(ip(&all[3..]), "2001:db8::2");
        assert_eq!(ip(&[]), "127.0.0.1");
        assert_eq!(ip(&[("x-forwarded-for", "2001:db8::1:8080")]), "2001:db8::1:8080");
        assert_eq!(ip(&[("x-forwarded-for", "AWS Internal")]), "AWS Internal");
    }

    #[test]
    fn bots_are_told_by_their_tokens() {
        for bot in [
            "node",
            "Mozilla/5.0 HeadlessChrome/120.0",
            "AHC/2.1",
            "Mozilla/5.0 (compatible; Googlebot/2.1)",
            "Boto3/1.34.0 app/my-research",
            "aws-cli/2.15 app/big_project",
            "site-monitor/1.0",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
        for person in [
            "",
            "aws-cli/2.15.30 md/installer#exe",
            "Boto3/1.34.0 md/Botocore#1.34.0",
            "duckdb/v1.1.3(linux_amd64)",
            "MinIO (linux; amd64) minio-go/v7.0.70 mc/RELEASE.2024-01-01T00-00-00Z",
            "rclone/v1.66.0",
            "GDAL/3.8.4",
            "curl/8.5.0",
            "python-requests/2.31.0",
            "node-fetcher/1.0",
            "Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0",
        ] {
            assert!(!is_bot(person), "{person}");
        }
    }
}
