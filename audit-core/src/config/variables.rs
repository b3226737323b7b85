//! Every variable in one list: the README's table is checked against it.

/// A variable of the environment.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

/// Every variable that any of the programs reads.
pub const VARIABLES: &[Variable] = &[
    v("AUTH_URL", "token endpoint of the auth server"),
    v("CLIENT_ID", "client id of the token request"),
    v("CLIENT_SECRET", "client secret of the token request"),
    v("CLIENT_SECRET_FILE", "file that holds the client secret"),
    v("CLIENT_SECRET_ARN", "Secrets Manager ARN of the client secret"),
    v("AUTH_ITEM_ID", "item id of the token request"),
    v("AUTH_ITEM_TYPE", "item type of the token request"),
    v("AUTH_ROLE", "role of the token request"),
    v("JOB_AUTH_ROLE", "role of a second token, to follow asynchronous jobs"),
    v("PROCESS_API_URL", "execution endpoint of the metering process"),
    v("PLAUSIBLE_API_URL", "base URL of Plausible Analytics"),
    v("PLAUSIBLE_DATA_DOMAIN", "site that downloads are shown under"),
    v("PLAUSIBLE_EVENT_NAME", "name of the events"),
    v("PLAUSIBLE_INCLUDE", "globs on BUCKET/KEY: only these objects are shown"),
    v("PLAUSIBLE_EXCLUDE", "globs on BUCKET/KEY: these objects are not shown"),
    v("PLAUSIBLE_EXCLUDE_ACCESS_KEYS", "access keys of own services, whose reads are not shown"),
    v("PLAUSIBLE_MAX_AGE", "how late an event may be sent"),
    v("PLAUSIBLE_WINDOW_SECONDS", "parts within this of the first are one download"),
    v("PLAUSIBLE_OTHER_PATHS", "skip or send-without: keys that no template fits"),
    v("PLAUSIBLE_OTHER_ADDRESSES", "skip or send-without: clients without a public IP address"),
    v("PLAUSIBLE_ADDRESS_HEADER", "X-Forwarded-For or X-Plausible-IP: header with the visitor's address"),
    v("PLAUSIBLE_USER_AGENT", "raw or neutral: the User-Agent that is sent"),
    v("PLAUSIBLE_INTERACTIVE", "false: downloads do not end a bounce"),
    v("PLAUSIBLE_CONCURRENCY", "visitors whose events are sent side by side"),
    v("PATH_TEMPLATE", "what a key tells of the object"),
    v("CLOUDTRAIL_BUCKET", "the only bucket to read logs from"),
    v("CLOUDTRAIL_REGION", "region of that bucket"),
    v("AWS_REGION", "region of everything else"),
    v("AWS_ENDPOINT_URL", "another endpoint for every AWS service"),
    v("AWS_ENDPOINT_URL_S3", "another endpoint for S3"),
    v("AWS_ENDPOINT_URL_SQS", "another endpoint for SQS"),
    v("AWS_ENDPOINT_URL_DYNAMODB", "another endpoint for DynamoDB"),
    v("AWS_ENDPOINT_URL_SECRETS_MANAGER", "another endpoint for Secrets Manager"),
    v("SSL_CERT_FILE", "certificate authorities to trust besides the web's"),
    v("SSL_CERT_DIR", "directory of such"),
    v("PORT", "port of the receiver"),
    v("BIND_ADDRESS", "address of the receiver"),
    v("WEBHOOK_AUTH_TOKEN", "token that MinIO sends"),
    v("WEBHOOK_AUTH_TOKEN_FILE", "file that holds that token"),
    v("WEBHOOK_AUTH_TOKEN_ARN", "Secrets Manager ARN of that token"),
    v("ALLOW_UNAUTHENTICATED", "true: take entries without a token"),
    v("MINIO_ENDPOINT", "MinIO, for its set-up"),
    v("MINIO_ROOT_USER", "access key of a MinIO administrator"),
    v("MINIO_ROOT_USER_FILE", "file that holds that access key"),
    v("MINIO_ROOT_PASSWORD", "its secret key"),
    v("MINIO_ROOT_PASSWORD_FILE", "file that holds that secret key"),
    v("RECEIVER_URL", "the receiver as MinIO reaches it, for MinIO's set-up"),
    v("SPOOL", "directory of the durable spool"),
    v("QUEUE_URL", "SQS queue that makes entries durable"),
    v("LEDGER_URL", "what remembers deliveries"),
    v("LEDGER_TTL", "how long a delivery is remembered"),
    v("LEASE_SECONDS", "how long a claim is held"),
    v("QUARANTINE", "where records go that cannot be delivered"),
    v("HELD", "where batches go whose outcome is unknown"),
    v("AMBIGUOUS", "what to do when an outcome is unknown"),
    v("BATCH_MAX_RECORDS", "records in one POST"),
    v("USER_ID_PARAM", "query parameter of the user id"),
    v("COLLECTION_ID_PARAM", "query parameter of the collection id"),
    v("ITEM_ID_PARAM", "query parameter of the item id"),
    v("ASSET_ID_PARAM", "query parameter of the asset id"),
    v("ANONYMOUS_USER_ID", "user to bill downloads without a user to"),
    v("MAX_BODY_BYTES", "largest body of one POST"),
    v("MAX_DECOMPRESSED_BYTES", "largest log file, uncompressed"),
    v("DATABASE_URL", "PostgreSQL of the resource server"),
    v("RUST_LOG", "what is logged"),
    v("LOG_FORMAT", "json or text"),
];

const fn v(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::{BTreeSet, HashMap};
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Program, Strings, read_minio};

    /// What the AWS SDKs read everywhere, and Lambda sets: no settings of ours.
    const OF_AWS: [&str; 5] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_DEFAULT_REGION",
        "AWS_LAMBDA_FUNCTION_NAME",
    ];
    /// What is read by logging, before anything else.
    const OF_LOGGING: [&str; 2] = ["RUST_LOG", "LOG_FORMAT"];

    fn names() -> BTreeSet<String> {
        VARIABLES.iter().map(|variable| variable.name.to_owned()).collect()
    }

    /// The names in the first column of every table whose first column is headed `variable`.
    fn documented(text: &str) -> Vec<String> {
        let (mut names, mut of_variables) = (Vec::new(), false);
        for line in text.lines() {
            let first = line.strip_prefix('|').and_then(|row| row.split('|').next()).map(str::trim);
            match first {
                Some("variable") => of_variables = true,
                Some(cell) if of_variables => names.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned)),
                Some(_) => {}
                None => of_variables = false,
            }
        }
        names
    }

    #[test]
    fn the_tables_of_the_docs_have_each_variable_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|file| file.unwrap().path());
        let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        let mut told = BTreeSet::new();
        for page in pages.chain([root.join("README.md")]) {
            let own = documented(&std::fs::read_to_string(&page).unwrap());
            let own: BTreeSet<String> = own.into_iter().collect();
            let unknown: Vec<_> = own.difference(&names()).cloned().collect();
            assert!(unknown.is_empty(), "{} explains what no program reads: {unknown:?}", page.display());
            told.extend(own);
        }
        let untold: Vec<_> = names().difference(&told).cloned().collect();
        assert!(untold.is_empty(), "in no table of README.md or docs: {untold:?}");
    }

    #[test]
    fn each_variable_is_listed_once_with_its_meaning() {
        assert_eq!(names().len(), VARIABLES.len());
        assert!(VARIABLES.iter().all(|variable| !variable.meaning.is_empty()));
    }

    /// Remembers what it was asked for.
    #[derive(Default)]
    struct Asked {
        names: RefCell<BTreeSet<String>>,
        set: HashMap<&'static str, &'static str>,
    }

    impl Strings for Asked {
        fn get(&self, variable: &str) -> Option<String> {
            self.names.borrow_mut().insert(variable.to_owned());
            self.set.get(variable).map(|&value| value.to_owned())
        }
    }

    #[test]
    fn the_programs_read_each_variable_and_no_other() {
        // Some are asked for only where these are set.
        let set = [
            ("PROCESS_API_URL", "http://rs.example/x"),
            ("PLAUSIBLE_API_URL", "http://plausible.example"),
            ("AWS_ACCESS_KEY_ID", "k"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ];
        let asked = Asked { set: HashMap::from(set), ..Asked::default() };
        for program in [Program::CloudTrail, Program::ReceiverOnLambda, Program::Receiver, Program::Cli] {
            // Most of what it needs is missing, and yet all of it is asked for.
            assert!(Config::read(&asked, program).is_err());
        }
        assert!(read_minio(&asked).is_err());
        let mut expected = names();
        expected.extend(OF_AWS.map(str::to_owned));
        let mut found = asked.names.into_inner();
        found.extend(OF_LOGGING.map(str::to_owned));
        assert_eq!(found, expected);
    }
}
