//! `deploy/s3audit-receiver.service` against the program, and `deploy/secrets.sh`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use audit_core::config::VARIABLES;
use e2e::process::Directory;

use super::deploy;

#[test]
fn the_unit_sets_known_variables_from_credentials_it_loads() {
    let unit = std::fs::read_to_string(deploy("s3audit-receiver.service")).unwrap();
    let values = |key: &str| -> Vec<String> {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.map(str::to_owned).collect()
    };
    let credentials: Vec<_> =
        values("LoadCredential").iter().map(|own| own.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(credentials, ["client_secret", "webhook_auth_token"]);
    for pair in values("Environment").iter().flat_map(|line| line.split(' ')) {
        let (name, value) = pair.split_once('=').unwrap();
        assert!(VARIABLES.iter().any(|known| known.name == name), "{name}");
        if let Some(credential) = value.strip_prefix("%d/") {
            assert!(name.ends_with("_FILE") && credentials.contains(&credential.to_owned()), "{pair}");
        }
    }
    for (key, value) in [("DynamicUser", "yes"), ("ProtectSystem", "strict"), ("StateDirectory", "s3audit")] {
        assert_eq!(values(key), [value]);
    }
}

#[test]
fn secrets_are_made_once_and_only_their_owner_gets_at_them() {
    let place = Directory::new().unwrap();
    let script = place.path().join("secrets.sh");
    std::fs::copy(deploy("secrets.sh"), &script).unwrap();
    let run = || {
        assert!(Command::new("sh").arg(&script).status().unwrap().success());
        let files = std::fs::read_dir(place.path().join("secrets")).unwrap().map(|file| file.unwrap());
        let read = |file: std::fs::DirEntry| (file.file_name(), std::fs::read_to_string(file.path()).unwrap());
        files.map(read).collect::<BTreeMap<_, _>>()
    };
    let first = run();
    assert_eq!(first.len(), 5);
    assert!(first.values().all(|secret| !secret.is_empty() && !secret.contains(char::is_whitespace)));
    assert_eq!(run(), first);
    let mode = std::fs::metadata(place.path().join("secrets")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
