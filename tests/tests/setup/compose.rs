//! `deploy/compose.yaml` against the programs: no container engine is needed to see that they fit together.

use std::collections::BTreeSet;

use audit_core::config::VARIABLES;
use yaml_rust2::{Yaml, YamlLoader};

use super::deploy;

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap()
}

fn compose() -> Yaml {
    YamlLoader::load_from_str(&read("compose.yaml")).unwrap().remove(0)
}

fn services(compose: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    compose["services"].as_hash().unwrap().iter().map(|(name, service)| (name.as_str().unwrap(), service))
}

fn words(list: &Yaml) -> Vec<&str> {
    list.as_vec().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
}

/// The names in a mapping, and its values.
fn pairs(mapping: &Yaml) -> Vec<(&str, &Yaml)> {
    mapping.as_hash().into_iter().flatten().map(|(name, value)| (name.as_str().unwrap(), value)).collect()
}

fn is_ours(variable: &str) -> bool {
    VARIABLES.iter().any(|known| known.name == variable)
}

#[test]
fn every_variable_is_one_that_its_program_reads() {
    let compose = compose();
    let receiver = pairs(&compose["services"]["receiver"]["environment"]);
    assert!(receiver.len() > 10);
    for (variable, _) in receiver {
        assert!(is_ours(variable), "receiver: {variable}");
    }
    let script = read("minio-setup.sh");
    for (variable, _) in pairs(&compose["services"]["minio-setup"]["environment"]) {
        let name = variable.trim_end_matches("_FILE");
        assert!(script.contains(&format!("setting {name})")) || script.contains(&format!("${{{name}:-")), "{variable}");
    }
    for (variable, _) in pairs(&compose["services"]["minio"]["environment"]) {
        assert!(variable.starts_with("MINIO_"), "minio: {variable}");
    }
}

#[test]
fn the_example_s_variables_are_known_and_used() {
    let compose = read("compose.yaml");
    let example = read(".env.example");
    let names: Vec<_> = example.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    for original in ["AUTH_URL", "PROCESS_API_URL", "CLIENT_ID", "AUTH_ITEM_ID", "AUTH_ITEM_TYPE", "AUTH_ROLE", "PORT"]
    {
        assert!(names.contains(&original), "{original}");
    }
    for name in names {
        assert!(compose.contains(&format!("${{{name}:-")), "{name} is not used in compose.yaml");
    }
}

#[test]
fn secrets_come_by_files_that_are_mounted_and_made() {
    let compose = compose();
    let made = read("secrets.sh");
    let defined: BTreeSet<_> = pairs(&compose["secrets"]).into_iter().map(|(name, _)| name).collect();
    for (name, secret) in pairs(&compose["secrets"]) {
        assert_eq!(secret["file"].as_str(), Some(format!("secrets/{name}").as_str()));
        assert!(made.contains(&format!("secret {name} ")), "{name} is made by secrets.sh");
    }
    for (service, spec) in services(&compose) {
        let mounted: Vec<_> = spec["secrets"]
            .as_vec()
            .into_iter()
            .flatten()
            .map(|secret| secret.as_str().or(secret["source"].as_str()).unwrap())
            .collect();
        assert!(mounted.iter().all(|secret| defined.contains(secret)), "{service}: {mounted:?}");
        for (variable, value) in pairs(&spec["environment"]) {
            if let Some(file) = value.as_str().and_then(|value| value.strip_prefix("/run/secrets/")) {
                assert!(variable.ends_with("_FILE") && mounted.contains(&file), "{service}: {variable}");
            }
            let secret = ["TOKEN", "CLIENT_SECRET", "ROOT_PASSWORD"].iter().any(|word| variable.ends_with(word));
            assert!(!secret, "{service}: {variable} is a secret in the environment");
        }
    }
}

#[test]
fn services_start_in_the_order_of_their_health() {
    let compose = compose();
    for (service, spec) in services(&compose) {
        if service != "minio-setup" {
            assert!(words(&spec["healthcheck"]["test"]).len() > 1, "{service} has a health check");
        }
        for (other, condition) in pairs(&spec["depends_on"]) {
            let condition = condition["condition"].as_str();
            assert_eq!(condition, Some("service_healthy"), "{service} waits for {other}");
            let depended = &compose["services"][other];
            assert!(!depended.is_badvalue(), "{service}: {other}");
            // A service of a profile is not there without it.
            let profiles = words(&depended["profiles"]);
            let same = profiles == words(&spec["profiles"]);
            assert!(
                profiles.is_empty() || same || spec["depends_on"][other]["required"].as_bool() == Some(false),
                "{service}: {other}"
            );
        }
    }
    let setup: Vec<_> =
        pairs(&compose["services"]["minio-setup"]["depends_on"]).iter().map(|(name, _)| *name).collect();
    assert_eq!(setup, ["minio", "receiver"]);
}

#[test]
fn minio_is_told_the_receiver_s_alias_and_keeps_its_queue() {
    let compose = compose();
    let setup = &compose["services"]["minio-setup"]["environment"];
    let aliases = words(&compose["services"]["receiver"]["networks"]["default"]["aliases"]);
    let url = setup["RECEIVER_URL"].as_str().unwrap();
    assert_eq!(url, format!("http://{}:8092", aliases[0]));
    let queue = setup["QUEUE_DIR"].as_str().unwrap();
    let volumes = words(&compose["services"]["minio"]["volumes"]);
    let volume = volumes.iter().find_map(|volume| volume.strip_suffix(&format!(":{queue}"))).unwrap();
    assert!(!compose["volumes"][volume].is_badvalue());
    let receiver = &compose["services"]["receiver"];
    for variable in ["SPOOL", "QUARANTINE", "HELD"] {
        let path = receiver["environment"][variable].as_str().unwrap();
        let kept = words(&receiver["volumes"]).iter().any(|volume| path.starts_with(volume.split_once(':').unwrap().1));
        assert!(kept, "{variable} is on a volume");
    }
}

#[test]
fn our_own_containers_have_few_rights() {
    let compose = compose();
    let dockerfile = read("Dockerfile");
    for (service, spec) in services(&compose).filter(|(_, spec)| !spec["build"].is_badvalue()) {
        assert_eq!(spec["read_only"].as_bool(), Some(true), "{service}");
        assert_eq!(words(&spec["cap_drop"]), ["ALL"], "{service}");
        assert!(words(&spec["security_opt"]).contains(&"no-new-privileges:true"), "{service}");
        assert!(words(&spec["tmpfs"]).contains(&"/tmp"), "{service}");
        let target = spec["build"]["target"].as_str().unwrap();
        assert!(dockerfile.contains(&format!(" AS {target}\n")), "{service}: {target}");
    }
    // Every stage that an image is made of drops its rights, itself or through the one that it is built upon.
    let final_stages =
        dockerfile.split("\nFROM ").skip(1).filter(|stage| !stage.starts_with("rust") && !stage.starts_with("golang"));
    for stage in final_stages {
        assert!(stage.contains("\nUSER 1000") || stage.starts_with("base "), "{stage}");
    }
    assert!(words(&compose["services"]["redis"]["command"]).contains(&"noeviction"));
}

#[test]
fn ports_are_open_to_this_machine_alone() {
    let compose = compose();
    for (service, spec) in services(&compose) {
        for port in words(&spec["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{service}: {port}");
        }
    }
}
