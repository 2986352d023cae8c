//! Dead letters: what is failing, since when and why; then one is mended and redriven.
//!
//! `cargo run -p driftq-client --example dead_letters`, with a `driftqd` at `DRIFTQ_HTTP_URL`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use driftq_client::{
    Client, DeadLetterId, Delivery, WorkError, Worker,
    api::{DeadLetterQuery, EnvelopeRequest, ProduceRequest, RedriveRequest, RetryPolicyRequest},
    json,
};
use serde_json::{Value, json as object};

async fn charge(payment: Delivery<Value>) -> Result<(), WorkError> {
    match payment.value["cents"].as_u64() {
        Some(cents) => println!("charged {cents} cents"),
        None => return Err(WorkError::new("cents are missing").with_kind("BadPayment")),
    }
    Ok(())
}

/// Waits until there is a dead letter.
async fn letter(client: &Client) -> Result<DeadLetterId, Box<dyn std::error::Error>> {
    let query = DeadLetterQuery { topic: Some("payments".into()), ..DeadLetterQuery::default() };
    loop {
        let page = client.dead_letters(&query).await?;
        if let Some(letter) = page.items.first() {
            return Ok(letter.into());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn mend(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    client.create_topic("payments", None).await?;
    client
        .produce(ProduceRequest {
            topic: Some("payments".into()),
            value: Some(json(&object!({ "euros": 5 }))?),
            envelope: Some(EnvelopeRequest {
                retry_policy: Some(RetryPolicyRequest { max_attempts: Some(2), ..Default::default() }),
                ..EnvelopeRequest::default()
            }),
            ..ProduceRequest::default()
        })
        .await?;
    let id = letter(&client).await?;
    let letter = client.dead_letter(&id).await?;
    println!("{id} failed in {} attempts: {}", letter.attempts, letter.last_error);
    for attempt in &letter.history {
        println!("attempt {} by {}: {}", attempt.attempt, attempt.owner, attempt.error.message);
    }

    let value = Some(json(&object!({ "cents": 500 }))?);
    let reason = Some("euros are no cents".to_owned());
    client.redrive(&id, &RedriveRequest { value, reason, ..RedriveRequest::default() }).await?;
    // The worker charges it before it is stopped: what runs comes to its end.
    while client.topic("payments").await?.groups.iter().any(|group| group.lag > 0) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let (done, is_done) = tokio::sync::oneshot::channel();
    let mending = client.clone();
    let stop = async move {
        let mended = Box::pin(mend(mending)).await.map_err(|error| error.to_string());
        drop(done.send(mended));
    };
    Worker::new(client).owner("charger").handler("payments", "charging", charge).run_until(stop).await?;
    Ok(is_done.await??)
}
