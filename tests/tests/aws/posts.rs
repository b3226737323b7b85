//! Function URL → receiver → queue → deliverer → rows.

use e2e::fixture::post_of;
use e2e::receiver::TOKEN;
use e2e::runtime_api::MAX_PAYLOAD_BYTES;
use e2e::{Function, Get, UrlRequest};
use serde_json::json;

use super::{LIMIT, Queue, Stack, secret, sum, tallies};

const PROCESSOR: &str = "/auditlogs/processor";

/// The receiver and the deliverer: the same binary, told apart by what invokes it.
async fn functions(stack: &Stack, queue: &Queue) -> (Function, Function) {
    let token = secret(stack.moto, &format!("{}-token", stack.bucket), TOKEN).await;
    let own = ["LEDGER_URL", "QUARANTINE", "HELD", "AWS_ENDPOINT_URL"];
    let mut receiver = stack.spec("lambda-minio-http");
    // The receiver has no upstream of its own: it only queues.
    receiver.environment.retain(|(name, _)| own.contains(&name.as_str()));
    let receiver = receiver.env("WEBHOOK_AUTH_TOKEN_ARN", token.clone()).env("QUEUE_URL", &queue.url);
    let deliverer = stack.spec("lambda-minio-http").env("WEBHOOK_AUTH_TOKEN_ARN", token);
    (Function::new(receiver).unwrap(), Function::new(deliverer).unwrap())
}

#[tokio::test]
async fn posts_become_messages_and_messages_rows() {
    let stack = Stack::new().await;
    let queue = Queue::new().await;
    let (receiver, deliverer) = functions(&stack, &queue).await;
    let gets = Get::many(1..=60);
    for (number, some) in gets.chunks(6).enumerate() {
        // As text, encoded, and with the header names that a sender may have.
        let post = UrlRequest::post(PROCESSOR, post_of(some)).base64(number % 2 == 0);
        let header = ["authorization", "Authorization", "AUTHORIZATION"][number % 3];
        let answer = receiver.request(&post.header(header, TOKEN)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", receiver.log());
    }
    // MinIO was not sure whether that one arrived.
    let again = UrlRequest::post(PROCESSOR, post_of(&gets[..6])).header("authorization", TOKEN);
    assert_eq!(receiver.request(&again).await.unwrap().status, 200);
    assert_eq!(stack.metering.posts().await.unwrap(), 0);
    stack.moto.sqs().send_message().queue_url(&queue.url).message_body("not ours").send().await.unwrap();

    let outcomes = queue.source.drain_all(&deliverer, LIMIT).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.error.is_none()), "{outcomes:?}");
    assert_eq!(queue.dead.remaining().await.unwrap(), 1, "the foreign message");
    stack.metering.has_exactly(&gets).await.unwrap();
    let tallies = tallies(&deliverer);
    assert_eq!((sum(&tallies, "/delivered"), sum(&tallies, "/duplicates")), (60, 6));
}

#[tokio::test]
async fn a_post_as_large_as_a_function_url_takes_passes_and_a_larger_one_never_arrives() {
    let stack = Stack::new().await;
    let queue = Queue::new().await;
    let (receiver, deliverer) = functions(&stack, &queue).await;
    let one = post_of(&[Get::new(9999)]).len();
    // What is left of six MiB when the body is encoded, and room for the headers.
    let gets = Get::many(0..u64::try_from((MAX_PAYLOAD_BYTES / 4 * 3 - 8192) / one).unwrap());
    let post = |gets: &[Get]| UrlRequest::post(PROCESSOR, post_of(gets)).base64(true).header("authorization", TOKEN);
    let largest = post(&gets);
    let bytes = largest.event().to_string().len();
    assert!((MAX_PAYLOAD_BYTES - (200 << 10)..=MAX_PAYLOAD_BYTES).contains(&bytes), "{bytes} bytes");
    assert_eq!(receiver.request(&largest).await.unwrap().status, 200, "{}", receiver.log());
    let messages = queue.source.remaining().await.unwrap();
    assert!(messages > 1, "{messages}");
    assert_eq!(sum(&tallies(&receiver), "/pending"), gets.len() as u64);

    let more = Get::many(0..gets.len() as u64 * 11 / 10);
    let refused = receiver.request(&post(&more)).await.unwrap_err();
    assert_eq!(refused.error_type, "RequestEntityTooLargeException");
    assert_eq!(queue.source.remaining().await.unwrap(), messages, "nothing of it was taken");

    // One message is enough to see what arrives; the rest is as in the test above.
    let bodies = receive(&stack, &queue, 1).await;
    let event = e2e::fixture::sqs_event(&[("m", bodies[0].clone())]);
    assert_eq!(deliverer.invoke(&event).await.unwrap(), json!({"batchItemFailures": []}));
    let count = usize::try_from(sum(&tallies(&deliverer), "/delivered")).unwrap();
    assert!(count > 100, "{count}");
    stack.metering.has_exactly(&gets[..count]).await.unwrap();
}

/// The bodies of the first messages.
async fn receive(stack: &Stack, queue: &Queue, count: i32) -> Vec<String> {
    let sqs = stack.moto.sqs();
    let answer = sqs.receive_message().queue_url(&queue.url).max_number_of_messages(count).send().await.unwrap();
    answer.messages.unwrap().into_iter().map(|message| message.body.unwrap()).collect()
}
