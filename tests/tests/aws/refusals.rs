//! What AWS refuses: the first invocation says in one line what to add, names nobody, and nothing is lost.

use e2e::fake_aws::{CALLER, ELSEWHERE, FakeAws, Refusal};
use e2e::fixture::{gzip, log, post_of, s3_event, sqs_event};
use e2e::metering::CLIENT_SECRET;
use e2e::receiver::TOKEN;
use e2e::{Function, FunctionSpec, Get, Metering, UrlRequest};
use serde_json::{Value, json};

const SECRET_ARN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:client";
const TOKEN_ARN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:token";

/// A metering sink, and an AWS that refuses what it is told to.
struct Site {
    metering: Metering,
    aws: FakeAws,
}

impl Site {
    async fn new() -> Self {
        let (metering, aws) = (Metering::start().await.unwrap(), FakeAws::start().await.unwrap());
        aws.secret(SECRET_ARN, CLIENT_SECRET);
        aws.secret(TOKEN_ARN, TOKEN);
        // Two downloads and a record that must be quarantined.
        let mut records: Vec<Value> = Get::many(1..=3).iter().map(Get::cloudtrail).collect();
        records[2]["additionalEventData"]["bytesTransferredOut"] = json!("?");
        aws.put("logs", "log", gzip(&log(&records)).unwrap());
        Self { metering, aws }
    }

    fn spec(&self, binary: &str) -> FunctionSpec {
        let mut spec = FunctionSpec::new(binary).unwrap();
        spec.environment = self.metering.environment();
        spec.environment.retain(|(name, _)| name != "CLIENT_SECRET");
        spec.env("CLIENT_SECRET_ARN", SECRET_ARN)
            .env("WEBHOOK_AUTH_TOKEN_ARN", TOKEN_ARN)
            .env("LEDGER_URL", "dynamodb://ledger")
            .env("QUARANTINE", "s3://kept/quarantine")
            .env("HELD", "s3://kept/held")
            .env("AWS_ENDPOINT_URL", self.aws.endpoint())
    }
}

fn denied(permission: &str) -> String {
    Refusal::unauthorized(permission)
}

fn denied_json(permission: &str) -> Refusal {
    Refusal::json("com.amazon.coral.service#AccessDeniedException", &denied(permission))
}

/// What is refused, how, and what must be said of it.
fn of_the_log_reader() -> Vec<(&'static str, Refusal, &'static str)> {
    let malformed =
        format!("The authorization header is malformed; the region 'eu-central-1' is wrong; expecting '{ELSEWHERE}'");
    let redirect = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all \
                    future requests to this endpoint.";
    let no_table = "Requested resource not found";
    let no_secret = "Secrets Manager can't find the specified secret.";
    vec![
        (
            "S3.GetObject",
            Refusal::s3(403, "AccessDenied", &denied("s3:GetObject")),
            "the role needs s3:GetObject on this object",
        ),
        (
            "S3.GetObject",
            Refusal::s3(403, "AccessDenied", &denied("kms:Decrypt")),
            "the role needs kms:Decrypt on the key that encrypts this object",
        ),
        (
            "S3.GetObject",
            Refusal::s3(403, "AccessDenied", "Access Denied"),
            "the role needs s3:GetObject on this object",
        ),
        (
            "S3.GetObject",
            Refusal::s3(400, "AuthorizationHeaderMalformed", &malformed),
            "set CLOUDTRAIL_REGION=eu-north-1",
        ),
        (
            "S3.GetObject",
            Refusal::s3(301, "PermanentRedirect", redirect).header("x-amz-bucket-region", ELSEWHERE),
            "set CLOUDTRAIL_REGION=eu-north-1",
        ),
        ("S3.GetObject", Refusal::s3(404, "NoSuchBucket", "The specified bucket does not exist"), "no such bucket"),
        (
            "S3.GetObject",
            Refusal::s3(400, "KMS.DisabledException", "arn:aws:kms:eu-central-1:111122223333:key/k is disabled."),
            "the key that encrypts this object cannot be used",
        ),
        (
            "S3.PutObject",
            Refusal::s3(403, "AccessDenied", &denied("s3:PutObject")),
            "the role needs s3:PutObject on this place",
        ),
        (
            "S3.PutObject",
            Refusal::s3(403, "AccessDenied", &denied("kms:GenerateDataKey")),
            "the role needs kms:GenerateDataKey on the key that encrypts this place",
        ),
        (
            "DynamoDB.GetItem",
            denied_json("dynamodb:GetItem"),
            "the role needs dynamodb:GetItem on the table of LEDGER_URL",
        ),
        (
            "DynamoDB.PutItem",
            denied_json("dynamodb:PutItem"),
            "the role needs dynamodb:PutItem on the table of LEDGER_URL",
        ),
        (
            "DynamoDB.GetItem",
            Refusal::json("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", no_table),
            "LEDGER_URL: no such table in the function's region",
        ),
        (
            "SecretsManager.GetSecretValue",
            Refusal::json("AccessDeniedException", &denied("secretsmanager:GetSecretValue")),
            "CLIENT_SECRET_ARN: access denied: the role needs secretsmanager:GetSecretValue on this secret",
        ),
        (
            "SecretsManager.GetSecretValue",
            Refusal::json("AccessDeniedException", "Access to KMS is not allowed"),
            "CLIENT_SECRET_ARN: access denied: the role needs kms:Decrypt on the key that encrypts this secret",
        ),
        (
            "SecretsManager.GetSecretValue",
            Refusal::json("ResourceNotFoundException", no_secret),
            "CLIENT_SECRET_ARN: no such secret in eu-central-1, the function's region",
        ),
    ]
}

#[tokio::test]
async fn the_first_invocation_says_what_to_add_and_the_log_file_comes_again() {
    let site = Site::new().await;
    let event = sqs_event(&[("m1", s3_event("logs", &["log"]).to_string())]);
    for (operation, refusal, said) in of_the_log_reader() {
        let function = Function::new(site.spec("lambda-cloudtrail")).unwrap();
        site.aws.refuse(operation, refusal);
        let answer = function.invoke(&event).await;
        match &answer {
            // What fails before there is a message to speak of fails the whole batch, with an error that AWS shows to nobody; but it is in the log.
            Err(error) => assert!(error.message.contains(said), "{operation}: {said} not in {}", error.message),
            Ok(answer) => {
                assert_eq!(*answer, json!({"batchItemFailures": [{"itemIdentifier": "m1"}]}), "{operation}: {said}");
            }
        }
        let told = errors(&function.log());
        assert!(told.lines().any(|line| line.contains(said)), "{operation}: {said} not in {told}\n{}", function.log());
        assert_eq!(told.lines().count(), 1, "{operation}: {told}");
        let everything = format!("{told}{}", function.log());
        assert!(!everything.contains(CALLER) && !everything.contains("111122223333"), "{everything}");
        assert_eq!(site.metering.posts().await.unwrap(), 0, "{operation}: {said}");
        site.aws.allow_all();
    }
    // Once it is mended, the sandbox that could not start deals with the message.
    let function = Function::new(site.spec("lambda-cloudtrail")).unwrap();
    site.aws.refuse("SecretsManager.GetSecretValue", denied_json("secretsmanager:GetSecretValue"));
    function.invoke(&event).await.unwrap_err();
    site.aws.allow_all();
    let quarantined = site.aws.objects("/kept/quarantine/");
    assert_eq!(function.invoke(&event).await.unwrap(), json!({"batchItemFailures": []}));
    site.metering.has_exactly(&Get::many(1..=2)).await.unwrap();
    assert_eq!(site.aws.objects("/kept/quarantine/"), quarantined + 1);
}

/// The messages of the log's error lines, a line each.
fn errors(log: &str) -> String {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let errors = lines.filter(|line| line["level"] == "ERROR");
    errors.map(|line| format!("{} {}", line["message"], line["trouble"])).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_receiver_takes_nothing_that_it_cannot_queue_and_says_why() {
    let site = Site::new().await;
    let queue = format!("{}/111122223333/entries", site.aws.endpoint());
    let gone = Refusal::json("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.");
    let key = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are \
               not allowed to access.";
    for (operation, refusal, said) in [
        (
            "SQS.SendMessage",
            denied_json("sqs:sendmessage").header("x-amzn-query-error", "AccessDenied;Sender"),
            "the role needs sqs:sendmessage on the queue of QUEUE_URL",
        ),
        (
            "SQS.SendMessage",
            gone.header("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender"),
            "QUEUE_URL: no such queue",
        ),
        (
            "SQS.SendMessage",
            Refusal::json("com.amazonaws.sqs#KmsAccessDenied", key)
                .header("x-amzn-query-error", "KMS.AccessDeniedException;Sender"),
            "on the key that encrypts the queue of QUEUE_URL",
        ),
        (
            "SecretsManager.GetSecretValue",
            denied_json("secretsmanager:GetSecretValue"),
            "the role needs secretsmanager:GetSecretValue on this secret",
        ),
    ] {
        let spec = site.spec("lambda-minio-http").env("QUEUE_URL", &queue).env("RUST_LOG", "trace");
        let receiver = Function::new(spec).unwrap();
        let post = UrlRequest::post("/auditlogs/processor", post_of(&[Get::new(1)])).header("authorization", TOKEN);
        site.aws.refuse(operation, refusal);
        // An error makes 502 of it; either way the sender sends again.
        if let Ok(answer) = receiver.request(&post).await {
            assert_eq!(answer.status, 503, "{operation}: {said}");
        }
        let told = receiver.log();
        assert!(told.lines().any(|line| line.contains(said)), "{operation}: {said} not in {told}");
        assert!(!told.contains(CALLER) && !told.contains("userId"), "{told}");
        site.aws.allow_all();
        assert_eq!(receiver.request(&post).await.unwrap().status, 200, "{}", receiver.log());
    }
}
