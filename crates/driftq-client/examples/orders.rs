//! Messages: produce some, work on them as they come, one of them later.
//!
//! `cargo run -p driftq-client --example orders`, with a `driftqd` at `DRIFTQ_HTTP_URL`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use driftq_client::{
    Client, DeliveryError,
    api::{BatchRequest, ConsumeRequest, ProduceRequest},
    json,
};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    cents: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    client.create_topic("orders", Some(1)).await?;

    let mut messages = Vec::new();
    for id in 1..=3 {
        messages.push(ProduceRequest {
            topic: Some("orders".into()),
            // The same order goes to the same partition, and is stored once however often it is sent.
            key: Some(format!("order-{id}")),
            idempotency_key: Some(format!("order-{id}")),
            value: Some(json(&Order { id, cents: id * 100 })?),
            ..ProduceRequest::default()
        });
    }
    client.produce_batch(BatchRequest { messages }).await?;

    let mut orders = client.deliveries::<Order>(ConsumeRequest {
        topic: Some("orders".into()),
        group: Some("billing".into()),
        owner: Some("example".into()),
        lease_ms: Some(30_000),
        ..ConsumeRequest::default()
    });
    let mut billed = 0;
    while billed < 3 {
        match orders.next().await {
            Some(Ok(order)) if order.value.id == 2 && order.item.attempts == 1 => {
                println!("order 2 has to wait");
                client.nack_item(&order.item, "the customer is on the phone").await?;
            }
            Some(Ok(order)) => {
                // Work that may take longer than the lease extends it.
                client.extend_item(&order.item, Duration::from_secs(60)).await?;
                println!("order {} billed: {} cents", order.value.id, order.value.cents);
                client.ack_item(&order.item).await?;
                billed += 1;
            }
            // What is no order is still held: give it back, and go on.
            Some(Err(DeliveryError::Value { item, cause })) => client.nack_item(&item, cause).await?,
            Some(Err(DeliveryError::Client(error))) => return Err(error.into()),
            None => break,
        }
    }
    Ok(())
}
